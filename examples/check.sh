# Sourced by the examples: one ping, one line, and the example fails if the answer is not the expected one.

failed=0

# check WANT NETNS ADDRESS WORDS...: ping ADDRESS once from NETNS; WANT is yes or no.
check() {
    local want=$1 netns=$2 address=$3 got=no
    shift 3
    ip netns exec "$netns" ping -c 1 -W 1 "$address" > /dev/null 2>&1 && got=yes
    printf '%-4s %s\n' "$got" "$*"
    [ "$got" = "$want" ] || failed=1
    return 0
}

# node NETNS: a namespace with its loopback up.
node() {
    ip netns add "$1"
    ip -n "$1" link set lo up
}

# cable NETNS DEV SWITCH PORT: a veth between a node and a port of the bridge br0 in SWITCH.
cable() {
    ip link add "$2" netns "$1" type veth peer name "$4" netns "$3"
    ip -n "$3" link set "$4" master br0 up
    ip -n "$1" link set "$2" up
}

# switch NETNS [OPTIONS]: a namespace with a bridge br0.
switch() {
    local netns=$1
    shift
    node "$netns"
    ip -n "$netns" link add br0 type bridge mcast_snooping 0 "$@"
    ip -n "$netns" link set br0 up
}
