# without: 33:33:00:00:00:16 33:33:ff:00:00:01 33:33:ff:00:00:02
# VLAN devices hear of their lower device by protocol and number, not by age: in that order they come up and report.
ip netns add a
ip netns exec a sysctl -qw net.ipv6.conf.all.disable_ipv6=0
ip netns exec a sysctl -qw net.ipv6.conf.default.router_solicitations=0
ip -n a link add v0 address 02:00:00:00:00:01 type veth peer name w0 address 02:00:00:00:00:02
ip -n a link add link v0 name q3 type vlan protocol 802.1ad id 3
ip -n a link add link v0 name q7 type vlan id 7
ip -n a link add link v0 name q0 type vlan id 0
ip -n a link add link v0 name q1 type vlan protocol 802.1ad id 1
ip -n a link set w0 up
sleep 3
ip -n a link set v0 up
sleep 3
ip -n a -6 route show fe80::/64
