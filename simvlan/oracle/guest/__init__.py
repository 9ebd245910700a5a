"""What runs inside the kernel under observation, as root there: standard library only, no rule of the simulator.

Started by file path with ``python -IS`` so that a guest does not pay for site-packages; hence relative imports.
"""
