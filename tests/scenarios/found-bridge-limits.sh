# An emptied bridge has no limit of segment size; a macvlan on a bridge tells the speed of the bridge's ports.
ip link add v1 address 02:00:00:00:00:01 type veth peer name w1 address 02:00:00:00:00:02
ip link add br1 address 02:00:00:00:00:03 type bridge mcast_snooping 0
ip link add br2 address 02:00:00:00:00:04 type bridge mcast_snooping 0
ip link set v1 master br1
ip link set w1 up
ip link set v1 up
ip link set br1 up
ip link set br2 up
sleep 1.2
ip link add link br1 name m1 address 02:00:00:00:00:05 type macvlan mode bridge
ip link set m1 up
ip link set m1 master br2
ip -d -j link show
ip link set v1 nomaster
sleep 1.2
ip link add link br1 name m2 address 02:00:00:00:00:06 type macvlan mode bridge
ip -d -j link show br1
ip -d -j link show m2
