# An ipvlan takes its parent's carrier when the parent comes up, not only when the carrier changes.
ip link add v1 address 02:00:00:00:00:01 type veth peer name w1 address 02:00:00:00:00:02
ip link add link v1 name m1 address 02:00:00:00:00:05 type macvlan mode bridge
ip link add link m1 name i1 type ipvlan mode l2
ip link set w1 up
ip link set i1 up
ip link set v1 up
sleep 1.2
ip link set m1 up
sleep 1.2
ip -j link show i1
