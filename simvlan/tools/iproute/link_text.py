"""A link's dict as `ip link` and `ip address` write it. Mirrors print_linkinfo of ip/ipaddress.c."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from simvlan.tools.iproute.context import Record
from simvlan.tools.iproute.kind_text import KIND_TEXT, port_text
from simvlan.tools.iproute.stats_text import stats_text

if TYPE_CHECKING:
    from simvlan.tools.iproute.context import Options


def link_text(record: Record, opt: Options, name_of_nsid: Callable[[int], str | None]) -> str:
    """Write a link; an object that was filtered away is empty and writes nothing."""
    if not record:
        return ""
    if opt.brief:
        return _brief(record)
    parts = [
        f"{record['ifindex']}: {full_name(record)}: {flags_text(record)} mtu {record['mtu']} ",
        f"qdisc {record['qdisc']} " if "qdisc" in record else "",
        f"master {record['master']} " if "master" in record else "",
        f"state {record['operstate']} ",
        f"mode {record['linkmode']} " if "linkmode" in record else "",
        f"group {record['group']} " if "group" in record else "",
        f"qlen {record['txqlen']}" if "txqlen" in record else "",
        _addresses(record, opt),
        _netns(record, name_of_nsid),
        _details(record, opt),
        f"{opt.line}    alias {record['ifalias']}" if "ifalias" in record else "",
        opt.line + stats_text(record["stats64"], opt) if "stats64" in record else "",
        "\n",
    ]
    return "".join(parts)


def _brief(record: Record) -> str:
    text = f"{full_name(record):<16} {record['operstate']:<14} "
    if "address" in record:
        text += f"{record['address']} {flags_text(record)} \n"
    return text


def full_name(record: Record) -> str:
    """Write a name with what it is linked to."""
    if "link" in record:
        return f"{record['ifname']}@{record['link']}"
    if "link_index" in record:
        return f"{record['ifname']}@if{record['link_index']}"
    return str(record["ifname"])


def flags_text(record: Record) -> str:
    """Write interface flags."""
    return f"<{','.join(record['flags'])}>"


def _addresses(record: Record, opt: Options) -> str:
    if "link_type" not in record:
        return ""
    permanent = f" permaddr {record['permaddr']}" if "permaddr" in record else ""
    return f"{opt.line}    link/{record['link_type']} {record['address']} brd {record['broadcast']}{permanent}"


def _netns(record: Record, name_of_nsid: Callable[[int], str | None]) -> str:
    if "link_netnsid" not in record:
        return ""
    name = name_of_nsid(record["link_netnsid"])
    return f" link-netns {name}" if name else f" link-netnsid {record['link_netnsid']}"


_DETAILS = (
    ("promiscuity", " promiscuity {} "),
    ("allmulti", " allmulti {} "),
    ("min_mtu", "minmtu {} "),
    ("max_mtu", "maxmtu {} "),
    ("linkinfo", ""),
    ("inet6_addr_gen_mode", "addrgenmode {} "),
    ("num_tx_queues", "numtxqueues {} "),
    ("gso_max_size", "gso_max_size {} "),
    ("gso_max_segs", "gso_max_segs {} "),
    ("tso_max_size", "tso_max_size {} "),
    ("tso_max_segs", "tso_max_segs {} "),
    ("gro_max_size", "gro_max_size {} "),
)


def _details(record: Record, opt: Options) -> str:
    parts = []
    for key, form in _DETAILS:
        if key not in record:
            continue
        parts.append(_linkinfo(record[key], opt) if key == "linkinfo" else form.format(record[key]))
    return "".join(parts)


def _linkinfo(info: Record, opt: Options) -> str:
    text = f"{opt.line}    {info['info_kind']} "
    if "info_data" in info:
        text += KIND_TEXT[info["info_kind"]](info["info_data"], opt)
    if "info_slave_kind" in info:
        text += f"{opt.line}    {info['info_slave_kind']}_slave " + port_text(info["info_slave_data"])
    return text
