# A VLAN that is down passes allmulti and promiscuity on, and one that comes up or goes down passes nothing.
ip netns add n2
ip -n n2 link add br7 address 02:00:00:00:00:70 type bridge mcast_snooping 0
ip -n n2 link add br9 address 02:00:00:00:00:80 type bridge mcast_snooping 0
ip -n n2 link add link br9 name q10 type vlan protocol 802.1ad id 1
ip -n n2 link set q10 master br7
ip -n n2 -d -j link show
ip -n n2 link set br9 up
sleep 2
ip -n n2 -d -j link show
ip -n n2 link set q10 promisc on
ip -n n2 link set br9 down
ip -n n2 -d -j link show
ip -n n2 link del q10
ip -n n2 -d -j link show
