"""net.bridge.*: the settings of br_netfilter. Mirrors brnf_table (net/bridge/br_netfilter_hooks.c)."""

CALLS = {
    "bridge-nf-call-arptables": 1, "bridge-nf-call-ip6tables": 1, "bridge-nf-call-iptables": 1,
    "bridge-nf-filter-pppoe-tagged": 0, "bridge-nf-filter-vlan-tagged": 0, "bridge-nf-pass-vlan-input-dev": 0,
}  # fmt: skip
"""net.bridge.*, as each namespace has it once the module is loaded."""
IPTABLES = "bridge-nf-call-iptables"
