"""Queueing disciplines in front of a device, as `tc qdisc` sets them: what all share (`queue`), and a file for each.

Mirrors net/sched. A discipline says when a frame leaves, how often, or that it never does: `admit` returns departures
in ns (at or before now: at once) or a Drop. Sizes in octets with the Ethernet header, without an accelerated tag
(qdisc_pkt_len); rates in octets per second; probabilities are the kernel's 32-bit fractions of one.
"""
