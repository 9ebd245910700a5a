#!/bin/bash
# What most people stumble over with Docker's macvlan and ipvlan, and what `simvlan trace` says about it.
set -u
exec 2>&1
why() { simvlan trace --from "$1" "$2" | sed -n '/^Verdict/,$p'; }
mac() { docker inspect -f '{{range .NetworkSettings.Networks}}{{.MacAddress}}{{end}}' "$1"; }
address() { docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1"; }
title() { printf '\n== %s\n' "$*"; }

for node in node-1 node-2; do
    docker-machine create -d virtualbox $node | tail -1
    eval "$(docker-machine env $node)"
    docker pull -q alpine > /dev/null
    third=$((12 - ${node#node-}))
    docker network create -d macvlan --subnet=192.168.0.0/16 --ip-range=192.168.$third.0/24 -o parent=eth1.100 lan > /dev/null
done
docker run -itd --net=lan --name c3 alpine /bin/sh > /dev/null
c3=$(mac c3)
eval "$(docker-machine env node-1)"
for name in c1 c2; do docker run -itd --net=lan --name $name alpine /bin/sh > /dev/null; done

title "the host cannot reach its own containers"
docker-machine ssh node-1 sudo ip addr add 192.168.0.1/16 dev eth1.100
docker-machine ssh node-1 ping -c 1 -W 1 "$(address c1)" | tail -2
simvlan matrix --between node-1 c1
echo "-- with a child of its own it can:"
docker-machine ssh node-1 'sudo ip link add shim link eth1.100 type macvlan mode bridge; sudo ip addr add 192.168.11.250/32 dev shim;
    sudo ip link set shim up; sudo ip route add 192.168.11.0/24 dev shim'
docker-machine ssh node-1 ping -c 1 -W 1 "$(address c1)" | tail -2
docker-machine ssh node-1 'sudo ip link del shim; sudo ip addr del 192.168.0.1/16 dev eth1.100'

title "two nodes in virtual machines: nothing arrives"
docker exec c1 ping -c 1 -W 1 192.168.10.1
why c1/eth0 "Ether(dst=\"$c3\")/IP(dst=\"192.168.10.1\")/ICMP()"
for node in node-1 node-2; do VBoxManage controlvm $node nicpromisc2 allow-vms; done
docker exec c1 ping -c 1 -W 1 192.168.10.1

title "a second network on the same LAN: Pool overlaps"
docker network create -d macvlan --subnet=192.168.0.0/16 -o parent=eth1.200 lan200
docker network create -d macvlan --subnet=192.168.0.0/16 --ip-range=192.168.21.0/24 -o parent=eth1.200 lan200 > /dev/null && echo "-- with an ip-range of its own it is accepted"

title "two VLANs are two LANs, whatever the addresses say"
docker run -itd --net=lan200 --name d1 alpine /bin/sh > /dev/null
docker exec c1 ping -c 1 -W 1 "$(address d1)"
why c1/eth0 "Ether(dst=\"$(mac d1)\")/IP(dst=\"192.168.21.1\")/ICMP()"

title "the gateway Docker took for itself answers to nobody"
docker exec c1 ip route
docker exec c1 ping -c 1 -W 1 192.168.11.0

title "a published port is ignored"
docker run -d --net=lan -p 8080:80 --name web nginx 2> /dev/null > /dev/null
docker port web
docker ps --filter name=web --format '{{.Names}} "{{.Ports}}"'

title "macvlan and ipvlan on one parent"
docker network create -d ipvlan --subnet=10.9.0.0/24 -o parent=eth1.100 both > /dev/null
docker run -d --net=both --name e1 alpine sleep 1000 2>&1 | grep -o 'failed to .*'

title "two ipvlan networks on one parent"
docker network create -d ipvlan --subnet=10.10.0.0/24 -o parent=eth1.100 third

title "the parent is not there"
docker network create -d macvlan --subnet=10.11.0.0/24 -o parent=eth5 none5
docker network create -d macvlan --subnet=10.11.0.0/24 -o parent=eth5.10 none5

title "another MAC after every start"
before=$(mac c2)
docker restart -t 0 c2 > /dev/null
[ "$before" != "$(mac c2)" ] && echo "c2 had $before, now $(mac c2)"

title "an address for a container that the router gave to somebody else: Docker asks nobody"
docker run --rm --net=lan --ip=192.168.10.1 alpine ip addr show eth0 | grep 'inet '
