#!/bin/bash
# The macvlan tutorial for today's Docker: a pair of subnet and ip-range may be used once, so macvlan200 has an ip-range
# of its own.
set -u
exec 2>&1
range() { docker network create -d macvlan --subnet=192.168.0.0/16 --ip-range="$2" -o macvlan_mode=bridge -o parent="$3" "$1"; }

for node in node-1 node-2; do
    docker-machine create -d virtualbox $node | tail -1
    VBoxManage controlvm $node nicpromisc2 allow-all
    eval "$(docker-machine env $node)"
    docker pull -q alpine
done

eval "$(docker-machine env node-1)"
range macvlan100 192.168.11.0/24 eth1.100
echo "== as the tutorial has it:"
range macvlan200 192.168.11.0/24 eth1.200
echo "== with another ip-range:"
range macvlan200 192.168.21.0/24 eth1.200
docker network ls
for name in c1-100 c2-100; do docker run -itd --net=macvlan100 --rm --name $name alpine /bin/sh; done
docker run -itd --net=macvlan200 --rm --name c1-200 alpine /bin/sh

eval "$(docker-machine env node-2)"
range macvlan100 192.168.10.0/24 eth1.100
range macvlan200 192.168.20.0/24 eth1.200
for name in c3-100 c4-100; do docker run -itd --net=macvlan100 --rm --name $name alpine /bin/sh; done
docker run -itd --net=macvlan200 --rm --name c2-200 alpine /bin/sh

eval "$(docker-machine env node-1)"
docker exec c1-100 ip route
echo "== one VLAN, one node"
docker exec c1-100 ping -c 2 -W 1 192.168.11.2
echo "== one VLAN, two nodes"
docker exec c1-100 ping -c 2 -W 1 192.168.10.1
docker exec c1-200 ping -c 2 -W 1 192.168.20.1
echo "== between the VLANs"
docker exec c1-100 ping -c 2 -W 1 192.168.21.1
docker exec c1-100 ping -c 2 -W 1 192.168.20.1

docker rm -f c1-100 c2-100 c1-200
docker network rm macvlan100 macvlan200
docker-machine ssh node-1 ip -br link
