"""hostname 3.23: `-I`, the addresses of the namespace; of the name itself the real one tells."""

from __future__ import annotations

from typing import Any

from simvlan.stack.ipaddr import ip_text
from simvlan.stack.ipv6.addr import ip6_text, is_link_local
from simvlan.tools.program import REFUSED_STATUS, Process


def main(proc: Process) -> int:
    """hostname [-I]."""
    words = proc.argv[1:]
    if words in (["-I"], ["--all-ip-addresses"]):
        proc.write("".join(f"{address} " for address in _addresses(proc)) + "\n")
        return 0
    real = proc.real("hostname")
    if not real:
        proc.write_err("simvlan: hostname: only -I is here\n")
        return REFUSED_STATUS
    # It goes by its name: dnsdomainname and domainname are the same program.
    return proc.execute(["bash", "-c", 'exec -a "$0" "$@"', proc.name, real, *words])


def _addresses(proc: Process) -> list[str]:
    """As getifaddrs lists them, by index, IPv4's first: not the loopback device's, nor IPv6's link-local ones."""
    ns: Any = proc.lab.network.netns[proc.netns]
    devices = sorted((dev for dev in ns.devices.values() if dev.kind and dev.up), key=lambda dev: dev.ifindex)
    found = [ip_text(ifa.local) for dev in devices for ifa in ns.stack.addresses(dev)]
    six = [] if ns.stack.ip6 is None else [ifa.address for dev in devices for ifa in ns.stack.ip6.addresses(dev)]
    return found + [ip6_text(address) for address in six if not is_link_local(address)]
