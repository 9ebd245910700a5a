"""dnsmasq's options about router advertisements: ranges of IPv6, --ra-param; DHCPv6 is refused by name."""

from __future__ import annotations

from simvlan.radv.ranges import Param, Range
from simvlan.stack.ipv6.addr import mask, parse_ip6
from simvlan.tools.common import Refused
from simvlan.tools.dnsmasq_dhcp import lease_time
from simvlan.tools.dnsmasq_values import BAD, bad

PRIORITIES = {"high": 1, "low": 3}
NOT_BUILT = ("static", "ra-stateless", "ra-names", "ra-advrouter", "proxy")


def is_six(value: str) -> bool:
    """Whether a --dhcp-range is of IPv6."""
    return any(_address(word) is not None for word in value.split(",") if not word.startswith(("set:", "tag:")))


def _address(word: str) -> int | None:
    if ":" not in word:
        return None
    try:
        return parse_ip6(word)
    except ValueError:
        return None


def ra_range(value: str) -> Range:
    """`[set:T,]NET::,ra-only|slaac[,off-link][,64][,LEASE]`, also with `constructor:DEV`."""
    words = [word for word in value.split(",") if not word.startswith(("set:", "tag:", "net:"))]
    first, device, off, ra, length = _address(words[0]) or 0, "", False, False, 64
    words = words[1:]
    while words:
        word = words[0]
        if word in NOT_BUILT or _address(word) is not None:
            raise _no_dhcp6(value, word)
        if word.startswith("constructor:"):
            device = word.removeprefix("constructor:")
        elif word in ("ra-only", "slaac"):
            ra = True
        elif word == "off-link":
            off = True
        else:
            break
        words = words[1:]
    if not ra:
        raise _no_dhcp6(value, "a range without ra-only or slaac")
    if words and words[0].isdigit() and int(words[0]) <= 128:
        length = int(words.pop(0))
    if length != 64:
        raise Refused(f"\ndnsmasq: {BAD}prefix length must be {'exactly' if length > 64 else 'at least'} 64"
                      f"{' for RA subnets' if length > 64 else ''}\n")  # fmt: skip
    if device and first & mask(64):
        raise Refused(f'\ndnsmasq: {BAD}prefix must be zero with "constructor:" argument\n')
    deprecated = words == ["deprecated"]
    if len(words) > 1:
        raise bad("dhcp-range", value)
    lease = 0 if deprecated or not words else lease_time(words[0], "dhcp-range")
    return Range(first, length, lease, deprecated, off, device)


def _no_dhcp6(value: str, what: str) -> Refused:
    said = f"--dhcp-range={value}: {what}: DHCPv6 is not modelled; there are ra-only and slaac"
    return Refused(f"\nsimvlan: dnsmasq: {said}\n", 95)


def ra_param(value: str) -> tuple[str, Param]:
    """`DEV,[mtu:N|off,][high|low,]INTERVAL[,LIFETIME]`."""
    name, *words = value.split(",")
    mtu, preference = 0, 0
    if words and words[0].startswith("mtu:"):
        text = words.pop(0)[4:]
        mtu = -1 if text == "off" else int(text) if text.isdigit() else 0
        if mtu != -1 and mtu < 1280:
            raise Refused(f"\ndnsmasq: {BAD}bad RA-params\n")
    if words and words[0] in PRIORITIES:
        preference = PRIORITIES[words.pop(0)]
    if not 1 <= len(words) <= 2 or not all(word.isdigit() for word in words):
        raise Refused(f"\ndnsmasq: {BAD}bad RA-params\n")
    numbers = [int(word) for word in words]
    return name, Param(mtu, preference, numbers[0], numbers[1] if len(numbers) > 1 else -1)
