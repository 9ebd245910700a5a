#!/bin/bash
# The same two machines with ipvlan: in l2 mode every container has its node's MAC, so no switch needs to be told; in l3
# mode the nodes route, there is no ARP in the containers, and the other node needs a route back.
set -u
exec 2>&1
for node in node-1 node-2; do
    docker-machine create -d virtualbox $node | tail -1
    eval "$(docker-machine env $node)"
    docker pull -q alpine
done

echo "== l2"
eval "$(docker-machine env node-1)"
docker network create -d ipvlan --subnet=192.168.0.0/16 --ip-range=192.168.11.0/24 -o parent=eth1.100 ipvlan100
for name in c1 c2; do docker run -itd --net=ipvlan100 --name $name alpine /bin/sh; done
eval "$(docker-machine env node-2)"
docker network create -d ipvlan --subnet=192.168.0.0/16 --ip-range=192.168.10.0/24 -o parent=eth1.100 ipvlan100
docker run -itd --net=ipvlan100 --name c3 alpine /bin/sh
eval "$(docker-machine env node-1)"
docker exec c1 ip addr show eth0
docker exec c1 ip route
docker exec c1 ping -c 1 -W 1 192.168.11.2
docker exec c1 ping -c 1 -W 1 192.168.10.1
docker exec c1 ip neigh
docker network create -d ipvlan --subnet=10.9.0.0/24 -o parent=eth1.100 second
docker rm -f c1 c2
docker network rm ipvlan100
eval "$(docker-machine env node-2)"
docker rm -f c3
docker network rm ipvlan100

echo "== l3: two subnets in one network reach each other; so do two nodes once each has a route to the other's subnets"
l3() { docker network create -d ipvlan --subnet="$1" --subnet="$2" -o ipvlan_mode=l3 -o parent=eth1 ipnet; }
eval "$(docker-machine env node-1)"
l3 10.1.1.0/24 10.1.2.0/24
docker run -itd --net=ipnet --ip=10.1.1.10 --name c1 alpine /bin/sh
docker run -itd --net=ipnet --ip=10.1.2.10 --name c2 alpine /bin/sh
eval "$(docker-machine env node-2)"
l3 10.2.1.0/24 10.2.2.0/24
docker run -itd --net=ipnet --ip=10.2.1.10 --name c3 alpine /bin/sh
eval "$(docker-machine env node-1)"
docker exec c1 ip route
docker exec c1 ping -c 1 -W 1 10.1.2.10
docker exec c1 ping -c 1 -W 1 10.2.1.10
docker-machine ssh node-1 sudo ip route add 10.2.0.0/16 via 192.168.99.101
docker-machine ssh node-2 sudo ip route add 10.1.0.0/16 via 192.168.99.100
docker exec c1 ping -c 1 -W 1 10.2.1.10
docker exec c1 ip neigh
