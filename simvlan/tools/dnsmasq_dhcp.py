"""The values of dnsmasq's options about DHCP: ranges, hosts, tags (src/option.c of dnsmasq 2.90)."""

from __future__ import annotations

from dataclasses import replace

from simvlan.dhcp.leases import FOREVER, Config, Range, Reservation
from simvlan.dhcp.tags import Pattern, Source, TagIf
from simvlan.tools.common import Refused
from simvlan.tools.dnsmasq_values import UNITS, address_of, bad, dhcp_option, match_option

TAGGED = ("set:", "tag:", "net:")
LISTS = ("dhcp-ignore", "dhcp-broadcast", "dhcp-ignore-names")
FLAGS = ("dhcp-authoritative", "no-ping", "dhcp-ignore-clid", "dhcp-sequential-ip")
CLASSES = {"dhcp-vendorclass": "vendor", "dhcp-userclass": "user", "dhcp-circuitid": "circuit",
           "dhcp-remoteid": "remote", "dhcp-subscrid": "subscriber"}  # fmt: skip
VALUED = (
    *("dhcp-range", "dhcp-host", "dhcp-option", "dhcp-option-force", "dhcp-mac", "dhcp-match", "dhcp-name-match"),
    *("tag-if", "dhcp-lease-max", *LISTS, *CLASSES),
)
NAMES = frozenset((*FLAGS, *VALUED))
"""Options that are read here."""


def set_option(config: Config, name: str, value: str) -> None:
    """Enter one option.

    Raises:
        Refused: a value that dnsmasq does not take, or that is not modelled.
    """
    if name in LISTS:
        lists = {"dhcp-ignore": config.ignored, "dhcp-broadcast": config.broadcast}
        tags = tuple(_bare(word) for word in value.split(",") if word)
        if tags or name != "dhcp-ignore":  # with no tag at all nobody is ignored (match_netid)
            lists.get(name, config.no_names).append(tags)
        return
    match name:
        case "dhcp-range":
            config.ranges.append(dhcp_range(value))
        case "dhcp-host":
            config.reservations.append(dhcp_host(value))
        case "dhcp-option" | "dhcp-option-force":
            config.options.append(dhcp_option(value, forced=name == "dhcp-option-force"))
        case "dhcp-authoritative":
            config.authoritative = True
        case "no-ping":
            config.ping = False
        case "dhcp-ignore-clid":
            config.no_ids = True
        case "dhcp-sequential-ip":
            config.in_order = True
        case "dhcp-lease-max":
            config.most = _count(name, value)
        case "tag-if":
            config.tag_ifs.append(tag_if(value))
        case _:
            config.sources.append(source(name, value))


def _count(name: str, value: str) -> int:
    if not value.isdigit():
        raise bad(name, value)
    return int(value)


def _bare(word: str) -> str:
    """A tag without its prefix."""
    return word[4:] if word.startswith(TAGGED) else word


def dhcp_range(value: str) -> Range:
    """`[tag:X,][set:Y,]10.0.0.100,10.0.0.150[,255.255.255.0[,BROADCAST]][,1h]`; `...10.0.0.0,static[,...]`."""
    words = value.split(",")
    wanted, tag = [], ""
    while len(words) > 1 and not _is_address(words[0]):
        word = words.pop(0)
        if word.startswith(("tag:", "net:")):
            wanted.append(word[4:])
        elif tag:
            raise _wrong("only one tag allowed")
        elif ":" in word and not word.startswith("set:"):
            raise Refused(f"\nsimvlan: dnsmasq: --dhcp-range={value}: {word} is not modelled\n", 95)
        else:
            tag = word.removeprefix("set:")
    if len(words) < 2:
        raise bad("dhcp-range", value)
    return replace(_addresses(words), wanted=tuple(each for each in wanted if each), tag=tag)


def _is_address(word: str) -> bool:
    return word.count(".") == 3 and word.replace(".", "").isdigit()


def _addresses(words: list[str]) -> Range:
    first = address_of(words[0], "dhcp-range")
    static = words[1] == "static"
    if words[1] == "proxy":
        raise Refused(f"\nsimvlan: dnsmasq: --dhcp-range={','.join(words)}: proxy is not modelled\n", 95)
    first, last = sorted((first, first if static else address_of(words[1], "dhcp-range")))
    masks: list[int] = []
    rest = words[2:]
    while rest and rest[0].count(".") == 3 and len(masks) < 2:
        masks.append(int(address_of(rest.pop(0), "dhcp-range")))
    if len(rest) > 1:
        raise bad("dhcp-range", rest[0])
    lease = lease_time(rest[0], "dhcp-range") if rest else 3600
    mask, broadcast = (*masks, 0, 0)[:2]
    if mask and (int(first) ^ int(last)) & mask:
        raise _wrong("inconsistent DHCP range")
    return Range(int(first), int(last), lease, mask, static, broadcast=broadcast)


def lease_time(word: str, where: str) -> int:
    """`45m`, `1h`, `3600`, `infinite`; two minutes at least."""
    if word == "infinite":
        return FOREVER
    number, unit = (word[:-1], UNITS[word[-1].lower()]) if word[-1:].lower() in UNITS else (word, 1)
    if not number.isdigit():
        raise bad(where, word)
    return max(120, int(number) * unit)


def dhcp_host(value: str) -> Reservation:
    """`MAC|id:CLIENT|id:*|NAME|IP|LEASE|set:TAG|tag:TAG|ignore`, in any order."""
    made = Reservation()
    for word in value.split(","):
        if word.startswith("[") or word.endswith("]"):
            raise Refused(f"\nsimvlan: dnsmasq: --dhcp-host={value}: addresses of IPv6 are not modelled\n", 95)
        made = _with_tag(made, word) if word.startswith(TAGGED) else _with_word(made, word)
    return made


def _with_tag(made: Reservation, word: str) -> Reservation:
    if word.startswith("tag:"):
        return replace(made, wanted=(*made.wanted, word[4:]))
    return replace(made, sets=(*made.sets, word[4:]))


def _with_word(made: Reservation, word: str) -> Reservation:
    if word == "id:*":
        return replace(made, nameless=True)
    if word.lower().startswith("id:"):
        return replace(made, client=client_id(word[3:]))
    if word == "ignore":
        return replace(made, ignore=True)
    if ":" in word:
        pattern = mac_pattern(word)
        octets = [each for each in pattern if each is not None]
        if len(octets) < len(pattern):
            return replace(made, patterns=(*made.patterns, pattern))
        return replace(made, macs=made.macs | {bytes(octets)})
    if _is_address(word):
        return replace(made, address=int(address_of(word, "dhcp-host")))
    if word == "infinite" or (word[:-1].isdigit() and (word[-1].isdigit() or word[-1].lower() in UNITS)):
        return replace(made, lease_s=lease_time(word, "dhcp-host"))
    return replace(made, name=word)


def client_id(text: str) -> bytes:
    """Hex octets with colons, or the text itself."""
    parts = text.split(":")
    try:
        return bytes(int(part, 16) for part in parts) if len(parts) > 1 else text.encode()
    except ValueError:
        return text.encode()


def mac_pattern(word: str) -> Pattern:
    """`02:00:00:*:*:*`, also with `1-` (Ethernet) before it."""
    word = word.removeprefix("1-").removeprefix("01-")
    try:
        return tuple(None if part == "*" else bytes((int(part, 16),))[0] for part in word.split(":"))
    except ValueError:
        raise bad("MAC", word) from None


def source(name: str, value: str) -> Source:
    """`[set:]TAG,...`: a MAC, a class, what a relay says, an option, a name."""
    tag, comma, rest = value.partition(",")
    tag = tag.removeprefix("set:")
    if not comma or not rest:
        raise bad(name, value)
    if name == "dhcp-mac":
        return Source(tag, "mac", pattern=mac_pattern(rest))
    if name == "dhcp-name-match":
        return Source(tag, "name", rest.removesuffix("*").encode(), wild=rest.endswith("*"))
    if name == "dhcp-match":
        return match_option(tag, rest)
    if rest.startswith("enterprise:") or ("," in rest and name != "dhcp-vendorclass"):
        raise Refused(f"\nsimvlan: dnsmasq: --{name}={value}: enterprises are not modelled\n", 95)
    hexed = name not in ("dhcp-vendorclass", "dhcp-userclass") and ":" in rest
    return Source(tag, CLASSES[name], client_id(rest) if hexed else rest.encode())


def tag_if(value: str) -> TagIf:
    """`set:X[,set:Y],tag:A[,tag:!B]`."""
    words = value.split(",")
    sets = tuple(word[4:] for word in words if word.startswith("set:"))
    wanted = tuple(word[4:] for word in words if word.startswith("tag:"))
    if len(sets) + len(wanted) < len(words) or not sets or any(len(word) < 5 for word in words):
        raise _wrong("bad tag-if")
    return TagIf(sets, wanted)


def _wrong(said: str) -> Refused:
    return Refused(f"\ndnsmasq: bad command line options: {said}\n")
