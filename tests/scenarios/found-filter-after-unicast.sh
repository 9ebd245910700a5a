# A VLAN's own address on a passthru macvlan makes the bridge beneath promiscuous: from then on every group gets in.
ip netns add n1
ip netns add n2
ip -n n1 link add br1 address 02:00:00:00:00:40 type bridge mcast_snooping 0
ip -n n1 link add v1 address 02:00:00:00:00:10 type veth peer name w1 address 02:00:00:00:00:20 netns n2
ip -n n1 link set v1 master br1
ip -n n1 link add link br1 name m1 address 02:00:00:00:00:50 type macvlan mode passthru nopromisc
ip -n n1 link set m1 allmulticast on
ip -n n1 link set v1 up
ip -n n2 link set w1 up
ip -n n1 link set br1 up
ip -n n1 link set m1 up
sleep 3.2
simvlan send --netns n2 w1 --hex 0180c200000002000000002088b50000
ip -n n1 link add link m1 name q1 address 02:00:00:00:00:60 type vlan id 5
ip -n n1 link set q1 up
sleep 3.2
simvlan send --netns n2 w1 --hex 0180c200000002000000002088b50000
simvlan send --netns n2 w1 --hex 01005e00008102000000002088b50000
