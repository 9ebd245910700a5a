# Groups by hand where no VLAN is, the last VLAN's answer, 224.0.0.106 in the filter while the bridge goes down; without reports of local groups.
ip netns add n1
ip netns exec n1 sysctl -qw net.ipv4.igmp_link_local_mcast_reports=0
ip -n n1 link add v1 address 02:00:00:00:00:10 type veth peer name w1 address 02:00:00:00:00:20
ip -n n1 link add br0 address 02:00:00:00:00:30 type bridge mcast_snooping 1 vlan_filtering 1 vlan_default_pvid 0
ip -n n1 link set v1 master br0
ip -n n1 link set w1 up
ip -n n1 link set v1 up
ip -n n1 link set br0 up
sleep 1.2
bridge -n n1 -j fdb show br br0
bridge -n n1 mdb add dev br0 port v1 grp 239.1.1.1 permanent
bridge -n n1 mdb del dev br0 port v1 grp 239.1.1.1
bridge -n n1 mdb show
bridge -n n1 vlan add dev v1 vid 5 pvid untagged
bridge -n n1 vlan add dev v1 vid 6
bridge -n n1 mdb add dev br0 port v1 grp 239.1.1.1 permanent vid 5
bridge -n n1 mdb del dev br0 port v1 grp 239.1.1.1
bridge -n n1 mdb show
bridge -n n1 mdb add dev br0 port v1 grp 239.1.1.1 permanent vid 6
bridge -n n1 mdb del dev br0 port v1 grp 239.1.1.1
bridge -n n1 mdb del dev br0 port v1 grp 224.0.0.5
bridge -n n1 mdb add dev br0 port v1 grp 239.1.1.1 permanent vid 6
ip -n n1 link set br0 down
bridge -n n1 mdb del dev br0 port v1 grp 239.1.1.1 vid 6
bridge -n n1 -j fdb show br br0
ip -n n1 -4 maddr show dev br0
