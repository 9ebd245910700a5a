"""Scripts of one's own for DHCP clients: the environment that udhcpc 1.35 gives them, and who runs them.

Mirrors fill_envp of busybox's networking/udhcp/dhcpc.c: each option as busybox knows it, others as opt<number> in hex.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import IPv4Address
from typing import Any

from simvlan.dhcp import message as m
from simvlan.dhcp.message import Message
from simvlan.dns.message import MessageError, name_at

Run = Callable[[list[str], Mapping[str, str]], Any]
"""Runs a command with variables besides its own; an event that tells when it has ended."""

_ADDRESSES = {1: "subnet", 3: "router", 6: "dns", 7: "logsrv", 9: "lprsrv", 16: "swapsrv", 28: "broadcast",
              41: "nissrv", 42: "ntpsrv", 44: "wins", 54: "serverid", 150: "opt150"}  # fmt: skip
_TEXTS = {12: "hostname", 15: "domain", 17: "rootpath", 40: "nisdomain", 56: "message", 66: "tftp", 67: "bootfile",
          100: "tzstr", 101: "tzdbstr", 252: "wpad", 209: "pxeconffile", 210: "pxepathprefix"}  # fmt: skip
_NUMBERS = {2: "timezone", 13: "bootsize", 23: "ipttl", 26: "mtu", 51: "lease", 132: "vlanid",
            133: "vlanpriority"}  # fmt: skip
SEARCH, ROUTES = 119, 121


class Script:
    """A script, and whether it runs: meanwhile its client waits. In a copy of the network nobody runs it."""

    def __init__(self, path: str = "", run: Run | None = None) -> None:
        self.path, self.run = path, run
        self.busy = False
        self.event: Any = None
        """Tells when the last one has ended."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Script:
        return Script(self.path)

    def start(self, words: list[str], told: Mapping[str, str], then: Callable[[], None]) -> bool:
        """Begin, and say when it has ended; False where nobody runs it."""
        if self.run is None:
            return False
        self.busy = True

        def ended(_event: object) -> None:
            self.busy = False
            then()

        self.event = self.run([self.path, *words], told)
        self.event.callbacks.append(ended)
        return True


def variables(name: str, msg: Message | None) -> dict[str, str]:
    """What udhcpc's script finds in its environment: the interface, and the message that the event is about."""
    told = {"interface": name}
    if msg is None:
        return told
    fields = {"ip": msg.yiaddr, "siaddr": msg.siaddr, "giaddr": msg.giaddr}
    told |= {key: str(IPv4Address(number)) for key, number in fields.items() if number or key == "ip"}
    for code, value in msg.options.items():
        told |= _told(code, value)
    return told


def _told(code: int, value: bytes) -> dict[str, str]:
    if code in _ADDRESSES:
        found = {_ADDRESSES[code]: " ".join(addresses(value))}
        return found | ({"mask": str(int.from_bytes(value, "big").bit_count())} if code == m.MASK else {})
    if code in _TEXTS:
        return {_TEXTS[code]: value.decode(errors="replace")}
    if code in _NUMBERS:
        return {_NUMBERS[code]: str(int.from_bytes(value, "big"))}
    if code == SEARCH:
        return {"search": " ".join(domains(value))}
    if code == ROUTES:
        return {"staticroutes": " ".join(routes(value))}
    return {f"opt{code}": value.hex()}


_ISC = {1: "subnet_mask", 2: "time_offset", 3: "routers", 6: "domain_name_servers", 7: "log_servers", 12: "host_name",
        15: "domain_name", 17: "root_path", 26: "interface_mtu", 28: "broadcast_address", 40: "nis_domain",
        41: "nis_servers", 42: "ntp_servers", 44: "netbios_name_servers", 50: "dhcp_requested_address",
        51: "dhcp_lease_time", 53: "dhcp_message_type", 54: "dhcp_server_identifier", 56: "dhcp_message",
        58: "dhcp_renewal_time", 59: "dhcp_rebinding_time", 66: "tftp_server_name", 67: "bootfile_name",
        119: "domain_search"}  # fmt: skip
"""Options as ISC's programs call them."""


def lease_variables(prefix: str, msg: Message, ends_s: int) -> dict[str, str]:
    """A lease as dhclient tells it (script_write_params of client/dhclient.c): `new_ip_address`, `old_routers` ...

    One from the lease file has no next server: that is not kept there.
    """
    mask = msg.number(m.MASK)
    told = {"ip_address": str(IPv4Address(msg.yiaddr)), "expiry": str(ends_s)}
    told |= {"next_server": str(IPv4Address(msg.siaddr))} if msg.siaddr else {}
    if mask:
        told["network_number"] = str(IPv4Address(msg.yiaddr & mask))
        told["broadcast_address"] = str(IPv4Address(msg.yiaddr & mask | ~mask & 0xFFFF_FFFF))
    for code, value in msg.options.items():
        told[_ISC.get(code, f"unknown_{code}")] = _isc_value(code, value)
    return {f"{prefix}_{key}": value for key, value in told.items()}


def _isc_value(code: int, value: bytes) -> str:
    if code in _TEXTS:
        return value.decode(errors="replace")
    if code == SEARCH:
        return " ".join(f"{each}." for each in domains(value))
    if code in _ADDRESSES:
        return " ".join(addresses(value))
    if code in _NUMBERS or code in (m.TYPE, m.T1, m.T2):
        return str(int.from_bytes(value, "big"))
    return value.hex(":")


def wishes(codes: bytes) -> dict[str, str]:
    """What dhclient says that it asked for."""
    return {f"requested_{_ISC[code]}": "1" for code in codes if code in _ISC}


def addresses(value: bytes) -> list[str]:
    """The addresses of an option, written."""
    return [str(IPv4Address(value[at : at + 4])) for at in range(0, len(value) - 3, 4)]


def domains(value: bytes) -> list[str]:
    """Names one behind the other (RFC 3397); what is none ends them."""
    found, at = [], 0
    while at < len(value):
        try:
            name, at = name_at(value, at)
        except (MessageError, IndexError, ValueError):
            break
        found.append(name)
    return found


def routes(value: bytes) -> list[str]:
    """Networks and routers in turns (RFC 3442)."""
    found, at = [], 0
    while at < len(value):
        size = (value[at] + 7) // 8
        net = value[at + 1 : at + 1 + size].ljust(4, b"\0")
        router = value[at + 1 + size : at + 5 + size]
        if value[at] > 32 or len(router) < 4:
            break
        found += [f"{IPv4Address(net)}/{value[at]}", str(IPv4Address(router))]
        at += 5 + size
    return found
