# Snooping restricts only after a querier has been seen for its response interval (10 s): before, everybody hears all.
# without: 01:00:5e:00:00:16 01:00:5e:00:00:6a
ip netns add h1
ip netns add h2
ip netns add h3
ip link add eth0 address 02:00:00:00:00:11 netns h1 type veth peer name p1 address 02:00:00:00:00:01
ip link add eth0 address 02:00:00:00:00:12 netns h2 type veth peer name p2 address 02:00:00:00:00:02
ip link add eth0 address 02:00:00:00:00:13 netns h3 type veth peer name p3 address 02:00:00:00:00:03
ip -n h1 link set eth0 up
ip -n h2 link set eth0 up
ip -n h3 link set eth0 up
ip link add br0 address 02:00:00:00:00:01 type bridge
ip link set p1 master br0
ip link set p2 master br0
ip link set p3 master br0
ip link set p1 up
ip link set p2 up
ip link set p3 up
ip link set br0 up
sleep 2.5
simvlan send --netns h2 eth0 --hex 01005e010203020000000012080046c00020000040000102042f0a000002ef010203940400001600fbf9ef010203
simvlan send --netns h1 eth0 --hex 01005e01020302000000001108004500001c000100000111bccb0a000001ef010203040004d200080000
bridge mdb show
simvlan send --netns h1 eth0 --hex 01005e000001020000000011080046c0002000004000010244110a000001e0000001940400001164ee9b00000000
sleep 3
simvlan send --netns h1 eth0 --hex 01005e01020302000000001108004500001c000200000111bcca0a000001ef010203040004d200080000
sleep 8
simvlan send --netns h1 eth0 --hex 01005e01020302000000001108004500001c000300000111bcc90a000001ef010203040004d200080000
simvlan send --netns h1 eth0 --hex 01005e09090902000000001108004500001c000400000111b5b10a000001ef090909040004d200080000
simvlan send --netns h3 eth0 --hex 01005e00000902000000001308004500001c000500000111cbb70a000003e0000009040004d200080000
bridge -d mdb show
