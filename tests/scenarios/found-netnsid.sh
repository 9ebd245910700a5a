# A namespace gets an id when a link to it is first announced: a veth's first end, not yet its peer.
ip netns add n1
ip netns add n2
ip netns add n3
ip link add v1 address 02:00:00:00:00:20 netns n1 type veth peer name w2 address 02:00:00:00:00:21 netns n2
ip link add v3 address 02:00:00:00:00:40 netns n2 type veth peer name w4 address 02:00:00:00:00:41 netns n3
ip -n n2 -j link show
