"""Namespace-wide IPv4 settings and their defaults (net.ipv4.*, struct netns_ipv4)."""

from __future__ import annotations

SETTINGS: dict[str, int] = {
    "icmp_echo_enable_probe": 0,
    "icmp_echo_ignore_all": 0,
    "icmp_echo_ignore_broadcasts": 1,
    "icmp_errors_use_inbound_ifaddr": 0,
    "icmp_ignore_bogus_error_responses": 1,
    "icmp_msgs_burst": 50,
    "icmp_msgs_per_sec": 1000,
    "icmp_ratelimit": 1000,
    "icmp_ratemask": 6168,
    "igmp_link_local_mcast_reports": 1,
    "ip_default_ttl": 64,
    "ip_forward_update_priority": 1,
    "ip_forward_use_pmtu": 0,
    "ip_no_pmtu_disc": 0,
    "ip_nonlocal_bind": 0,
    "ipfrag_high_thresh": 4_194_304,
    "ipfrag_low_thresh": 3_145_728,
    "ipfrag_max_dist": 64,
    "ipfrag_time": 30,
    "tcp_early_retrans": 3,
    "tcp_fin_timeout": 60,
    "tcp_frto": 2,
    "tcp_orphan_retries": 0,
    "tcp_recovery": 1,
    "tcp_retries2": 15,
    "tcp_sack": 1,
    "tcp_syn_retries": 6,
    "tcp_synack_retries": 5,
    "tcp_timestamps": 1,
    "tcp_window_scaling": 1,
}
"""By the name under net.ipv4."""
