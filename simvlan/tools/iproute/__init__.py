"""`ip` and `bridge` of iproute2 6.1: one parser per object, one printer per object over dicts in iproute2's JSON shape.

Text and JSON come from the same dict, so they cannot disagree. What is not modelled is refused by name (`refuse`).
"""
