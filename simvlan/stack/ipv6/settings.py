"""Settings of IPv6 and their defaults (net.ipv6.*; ipv6_devconf of addrconf.c, nd_tbl of ndisc.c, 6.1)."""

from __future__ import annotations

from simvlan.stack.inetdev import NEIGH_DEFAULTS

CONF6_DEFAULTS: dict[str, int] = {
    "accept_dad": 0,
    "accept_ra": 1,
    "accept_ra_defrtr": 1,
    "accept_ra_from_local": 0,
    "accept_ra_min_hop_limit": 1,
    "accept_ra_mtu": 1,
    "accept_ra_pinfo": 1,
    "accept_ra_rtr_pref": 1,
    "accept_redirects": 1,
    "accept_source_route": 0,
    "accept_untracked_na": 0,
    "addr_gen_mode": 0,
    "autoconf": 1,
    "dad_transmits": 1,
    "disable_ipv6": 0,
    "disable_policy": 0,
    "drop_unicast_in_l2_multicast": 0,
    "drop_unsolicited_na": 0,
    "enhanced_dad": 1,
    "force_mld_version": 0,
    "force_tllao": 0,
    "forwarding": 0,
    "hop_limit": 64,
    "ignore_routes_with_linkdown": 0,
    "keep_addr_on_down": 0,
    "max_addresses": 16,
    "max_desync_factor": 600,
    "mldv1_unsolicited_report_interval": 10_000,
    "mldv2_unsolicited_report_interval": 1_000,
    "mtu": 1280,
    "ndisc_evict_nocarrier": 1,
    "ndisc_notify": 0,
    "ndisc_tclass": 0,
    "optimistic_dad": 0,
    "proxy_ndp": 0,
    "ra_defrtr_metric": 1024,
    "regen_max_retry": 3,
    "router_probe_interval": 60,
    "router_solicitation_delay": 1,
    "router_solicitation_interval": 4,
    "router_solicitation_max_interval": 3600,
    "router_solicitations": -1,
    "suppress_frag_ndisc": 1,
    "temp_prefered_lft": 86_400,
    "temp_valid_lft": 604_800,
    "use_oif_addrs_only": 0,
    "use_optimistic": 0,
    "use_tempaddr": 0,
}
"""`all` at boot; `default` differs in the next table. A device takes a copy of `default` when it appears."""

CONF6_DEFAULT_ONLY = {"accept_dad": 1}

LOOPBACK = {"accept_dad": -1, "use_tempaddr": -1}
"""What lo has instead (ipv6_add_dev)."""

NEIGH6_DEFAULTS: dict[str, int] = {**NEIGH_DEFAULTS, "locktime": 0}
"""Parameters of nd_tbl."""

SETTINGS6: dict[str, int] = {
    "anycast_src_echo_reply": 0,
    "auto_flowlabels": 1,
    "bindv6only": 0,
    "icmp/echo_ignore_all": 0,
    "icmp/echo_ignore_anycast": 0,
    "icmp/echo_ignore_multicast": 0,
    "icmp/ratelimit": 1000,
    "icmp/ratemask": -1,
    "ip6frag_high_thresh": 4_194_304,
    "ip6frag_low_thresh": 3_145_728,
    "ip6frag_time": 60,
    "ip_nonlocal_bind": 0,
    "route/mtu_expires": 600,
}
"""By the name under net.ipv6, `/` between its parts. A ratemask is one type, -1 stands for the default below."""

RATEMASK = "0-1,3-127"
"""Which ICMPv6 types are limited: all errors but packets too big (icmpv6_sk_init)."""

PRIORITY_KERNEL, PRIORITY_USER = 256, 1024
"""Metrics of routes the kernel makes for prefixes, and of all others (IP6_RT_PRIO_ADDRCONF, IP6_RT_PRIO_USER)."""
