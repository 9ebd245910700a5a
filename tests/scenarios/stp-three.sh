# Three bridges in a ring: the root by id, one port blocked, a cut healed, and the root's place taken by priority.
# without: 01:80:c2:00:00:00
ip netns add s1
ip netns add s2
ip netns add s3
ip link add l12 address 02:00:00:00:01:02 netns s1 type veth peer name l21 address 02:00:00:00:02:01 netns s2
ip link add l23 address 02:00:00:00:02:03 netns s2 type veth peer name l32 address 02:00:00:00:03:02 netns s3
ip link add l31 address 02:00:00:00:03:01 netns s3 type veth peer name l13 address 02:00:00:00:01:03 netns s1
ip -n s1 link add br0 address 02:00:00:00:01:02 type bridge stp_state 1 forward_delay 230 hello_time 100 max_age 600 mcast_snooping 0
ip -n s2 link add br0 address 02:00:00:00:02:01 type bridge stp_state 1 forward_delay 230 hello_time 100 max_age 600 mcast_snooping 0
ip -n s3 link add br0 address 02:00:00:00:03:01 type bridge stp_state 1 forward_delay 230 hello_time 100 max_age 600 mcast_snooping 0
ip -n s1 link set l12 master br0
ip -n s1 link set l13 master br0
ip -n s2 link set l21 master br0
ip -n s2 link set l23 master br0
ip -n s3 link set l32 master br0
ip -n s3 link set l31 master br0
ip -n s3 link set l32 type bridge_slave cost 50
ip -n s1 link set br0 up
ip -n s2 link set br0 up
ip -n s3 link set br0 up
ip -n s1 link set l12 up
ip -n s2 link set l21 up
ip -n s2 link set l23 up
ip -n s3 link set l32 up
ip -n s3 link set l31 up
ip -n s1 link set l13 up
sleep 7.5
bridge -n s1 -j link show
bridge -n s2 -j link show
bridge -n s3 -j link show
simvlan send --netns s2 br0 --hex ffffffffffff02000000020188b50000
ip -n s1 link set l13 down
sleep 7.5
bridge -n s1 -j link show
bridge -n s2 -j link show
bridge -n s3 -j link show
simvlan send --netns s2 br0 --hex ffffffffffff02000000020188b50001
ip -n s1 link set l13 up
ip -n s3 link set br0 type bridge priority 4096
sleep 9.5
bridge -n s1 -j link show
bridge -n s2 -j link show
bridge -n s3 -j link show
simvlan send --netns s2 br0 --hex ffffffffffff02000000020188b50002
