# Every path between two UDP sockets whose cost is measured, each in namespaces of its own: NAME ... are the paths wanted.
# Ends are X1 and X2 with the addresses 10.N.0.1 and 10.N.0.2; the MTU lets a 64 KB super-packet through in one piece.
set -e
mtu=65535

space() { ip netns add "$1"; ip -n "$1" link set lo up; }
address() { ip -n "$1" addr add "$2" dev eth0; ip -n "$1" link set eth0 up; }
pair() { ip -n "$1" link add "$2" mtu $mtu type veth peer name "$4" mtu $mtu netns "$3"; }

# A parent in X0 with carrier, for what stands on it.
parent() { space "$1"0; pair "$1"0 p "$1"0 w; ip -n "$1"0 link set p up; ip -n "$1"0 link set w up; }
stacked() { # NAME NET KIND OPTION ...
    name=$1 net=$2; shift 2
    parent "$name"
    for n in 1 2; do
        space "$name$n"
        ip -n "$name"0 link add link p name "x$n" mtu $mtu type "$@"
        ip -n "$name"0 link set "x$n" netns "$name$n" name eth0
        address "$name$n" "10.$net.0.$n/24"
    done
}
bridged() { # NAME NET: two containers on a bridge that has an address itself
    space "$1"0
    ip -n "$1"0 link add br0 type bridge mcast_snooping 0
    ip -n "$1"0 link set br0 mtu $mtu up
    ip -n "$1"0 addr add "10.$2.0.254/24" dev br0
    for n in 1 2; do
        space "$1$n"
        pair "$1$n" eth0 "$1"0 "p$n"
        ip -n "$1"0 link set "p$n" mtu $mtu master br0 up
        address "$1$n" "10.$2.0.$n/24"
    done
}
router() { # NAME PROGRAM...: a program in X0, which forwards
    name=$1; shift
    ip netns exec "$name"0 "$@"
}
docker() { # NAME: the chains that Docker makes for one published port, UDP and TCP
    for chain in DOCKER-USER DOCKER-FORWARD DOCKER-CT DOCKER; do router "$1" iptables-legacy -N $chain; done
    while read -r rule; do router "$1" iptables-legacy $rule; done << RULES
-P FORWARD DROP
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -o docker0 -j DOCKER
-A DOCKER-FORWARD -i docker0 -j ACCEPT
-A DOCKER -d 172.18.0.2/32 ! -i docker0 -o docker0 -p udp --dport 9999 -j ACCEPT
-A DOCKER -d 172.18.0.2/32 ! -i docker0 -o docker0 -p tcp --dport 9999 -j ACCEPT
-t nat -A POSTROUTING -s 172.18.0.0/24 ! -o docker0 -j MASQUERADE
-t nat -A PREROUTING -m addrtype --dst-type LOCAL -p udp --dport 9999 -j DNAT --to 172.18.0.2:9999
-t nat -A PREROUTING -m addrtype --dst-type LOCAL -p tcp --dport 9999 -j DNAT --to 172.18.0.2:9999
RULES
}
filter() { # NAME VALUE: whether the bridge hands frames to iptables
    ip netns exec "$1"0 sysctl -qw "net.bridge.bridge-nf-call-iptables=$2" 2> /dev/null || [ "$2" = 0 ]
}

for path in "$@"; do
    case $path in
        socket) space socket1; ip -n socket1 link set lo mtu 65536 ;;
        unheard) # what the other end takes for somebody else's
            space unheard1; space unheard2; pair unheard1 eth0 unheard2 eth0
            address unheard1 10.11.0.1/24; address unheard2 10.11.0.2/24
            ip -n unheard1 neigh replace 10.11.0.2 lladdr 02:00:00:00:00:99 dev eth0 nud permanent ;;
        veth) space veth1; space veth2; pair veth1 eth0 veth2 eth0; address veth1 10.2.0.1/24; address veth2 10.2.0.2/24 ;;
        bridge) bridged bridge 3; filter bridge 0 ;;
        netfilter)
            bridged netfilter 4; filter netfilter 1
            ip netns exec netfilter0 iptables-legacy -A FORWARD -m conntrack --ctstate INVALID -j DROP ;;
        nat)
            bridged nat 5; filter nat 1
            ip netns exec nat0 sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.br0.send_redirects=0
            ip netns exec nat0 iptables-legacy -A FORWARD -m conntrack --ctstate INVALID -j DROP
            for protocol in udp tcp; do
                ip netns exec nat0 iptables-legacy -t nat -A PREROUTING -d 10.5.0.254 -p $protocol --dport 9999 -j DNAT --to 10.5.0.2:9999
            done
            ip netns exec nat0 iptables-legacy -t nat -A POSTROUTING -s 10.5.0.0/24 -j MASQUERADE ;;
        routed) # two veths and between them a node that forwards and tracks connections, as Calico's does
            space routed0
            for n in 1 2; do
                space routed$n; pair routed$n eth0 routed0 p$n
                address routed$n 10.12.$n.1/24; ip -n routed$n route add default via 10.12.$n.254
                ip -n routed0 addr add 10.12.$n.254/24 dev p$n; ip -n routed0 link set p$n up
            done
            router routed sysctl -qw net.ipv4.ip_forward=1
            router routed iptables-legacy -A FORWARD -m conntrack --ctstate INVALID -j DROP ;;
        published) # a client on a wire, a node with a port published, docker0, a container
            for n in 0 1 2; do space published$n; done
            pair published1 eth0 published0 eth0; pair published2 eth0 published0 p
            ip -n published0 link add docker0 type bridge mcast_snooping 0
            ip -n published0 link set docker0 mtu $mtu up
            ip -n published0 addr add 172.18.0.1/24 dev docker0
            ip -n published0 link set p master docker0 up
            address published0 10.13.0.2/24; address published1 10.13.0.1/24; address published2 172.18.0.2/24
            ip -n published2 route add default via 172.18.0.1
            filter published 1
            router published sysctl -qw net.ipv4.ip_forward=1
            docker published ;;
        macvlan) stacked macvlan 6 macvlan mode bridge ;;
        ipvlan-l2) stacked ipvlan-l2 7 ipvlan mode l2 ;;
        ipvlan-l3) stacked ipvlan-l3 8 ipvlan mode l3 ;;
        ipvlan-l3s) stacked ipvlan-l3s 9 ipvlan mode l3s ;;
        vlan)
            space vlan1; space vlan2; pair vlan1 e vlan2 e
            for n in 1 2; do
                ip -n vlan$n link set e up
                ip -n vlan$n link add link e name eth0 mtu 65531 type vlan id 5
                address vlan$n 10.10.0.$n/24
            done ;;
    esac
done
