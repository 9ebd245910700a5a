"""What a command says when it is asked for help or cannot be understood at all.

A pointer to the manual, in our own words: iproute2's own synopses are its authors' text.
"""

from __future__ import annotations

from simvlan.tools.iproute.errors import USAGE, Quit

_MANUAL = {
    "ip": ("ip [ OPTIONS ] OBJECT { COMMAND | help }", "ip(8)"),
    "link": ("ip link { add | set | delete | show } ...", "ip-link(8)"),
    "address": ("ip address { add | change | replace | del | show | flush } ...", "ip-address(8)"),
    "route": ("ip route { add | del | change | append | replace | show | get | flush } ...", "ip-route(8)"),
    "rule": ("ip rule { add | del | flush | show } ...", "ip-rule(8)"),
    "neigh": ("ip neigh { add | del | change | replace | show | get | flush } ...", "ip-neighbour(8)"),
    "netns": ("ip netns { list | add | delete | exec | identify | pids | list-id } ...", "ip-netns(8)"),
    "maddress": ("ip maddress show [ dev STRING ]", "ip-maddress(8)"),
    "bridge": ("bridge [ OPTIONS ] OBJECT { COMMAND | help }", "bridge(8)"),
    "bridge link": ("bridge link { set | show } ...", "bridge(8)"),
    "fdb": ("bridge fdb { add | append | del | replace | show | get | flush } ...", "bridge(8)"),
    "vlan": ("bridge vlan { add | del | set | show } ...", "bridge(8)"),
    "mdb": ("bridge mdb { add | del | show } ...", "bridge(8)"),
}


_KINDS = {
    "bridge": "... bridge [ OPTION VALUE ] ...",
    "ipvlan": "... ipvlan [ mode MODE ] [ FLAG ]",
    "macvlan": "... macvlan mode MODE [ OPTIONS ]",
    "vlan": "... vlan id VLANID [ OPTIONS ]",
}
"""What may follow `type KIND`."""


def usage(topic: str) -> Quit:
    """Give the usage of a command and leave."""
    return Quit(USAGE, usage_text(topic))


def usage_text(topic: str) -> str:
    """Say how a command is used, in one line, and where to read more."""
    return _said(*_MANUAL[topic])


def kind_usage(kind: str) -> str:
    """Say the same of what follows `type KIND`."""
    return _said(_KINDS.get(kind, f"ip link add ... type {kind}"), "ip-link(8)")


def _said(form: str, page: str) -> str:
    return f"Usage: {form}\n       (simvlan: see {page} of iproute2 6.1)\n"
