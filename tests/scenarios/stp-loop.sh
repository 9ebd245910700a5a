# Two bridges joined twice: 802.1D blocks one port, and opens it when the other link goes (short timers).
ip netns add s1
ip netns add s2
ip link add l1 address 02:00:00:00:01:01 netns s1 type veth peer name m1 address 02:00:00:00:02:01 netns s2
ip link add l2 address 02:00:00:00:01:02 netns s1 type veth peer name m2 address 02:00:00:00:02:02 netns s2
ip -n s1 link add br0 address 02:00:00:00:01:01 type bridge stp_state 1 forward_delay 230 hello_time 100 max_age 600 mcast_snooping 0 priority 4096
ip -n s2 link add br0 address 02:00:00:00:02:01 type bridge stp_state 1 forward_delay 230 hello_time 100 max_age 600 mcast_snooping 0
ip -n s1 link set l1 master br0
ip -n s1 link set l2 master br0
ip -n s2 link set m1 master br0
ip -n s2 link set m2 master br0
ip -n s1 link set l1 up
ip -n s1 link set l2 up
ip -n s2 link set m1 up
ip -n s2 link set m2 up
ip -n s1 link set br0 up
ip -n s2 link set br0 up
sleep 7.5
bridge -n s1 -j link show
bridge -n s2 -j link show
simvlan send --netns s1 br0 --hex ffffffffffff02000000010188b50000
ip -n s2 link set m1 down
sleep 7.5
bridge -n s1 -j link show
bridge -n s2 -j link show
simvlan send --netns s1 br0 --hex ffffffffffff02000000010188b50001
