#!/bin/bash
# The macvlan tutorial of 2016 as it was written: two machines made by docker-machine, VLANs 100 and 200 between them,
# containers in terminals of their own. It needs the Docker of its time (1.12): there a second network may have the very
# subnet and ip-range of the first, and shares its addresses. docker-macvlan-modern.sh is the same for today's Docker.
exec 2>&1
export SIMVLAN_DOCKER_DIALECT=1.12
. "$(dirname "$0")/windows"

docker-machine create -d virtualbox node-1 | tail -1
docker-machine create -d virtualbox node-2 | tail -1
for node in node-1 node-2; do
    eval "$(docker-machine env $node)"
    docker pull -q alpine
done

echo "== the networks on node-1"
eval "$(docker-machine env node-1)"
docker network create -d macvlan --subnet=192.168.0.0/16 --ip-range=192.168.11.0/24 -o macvlan_mode=bridge -o parent=eth1.100 macvlan100
docker network create -d macvlan --subnet=192.168.0.0/16 --ip-range=192.168.11.0/24 -o macvlan_mode=bridge -o parent=eth1.200 macvlan200
docker network ls

echo "== the networks on node-2"
eval "$(docker-machine env node-2)"
docker network create -d macvlan --subnet=192.168.0.0/16 --ip-range=192.168.10.0/24 -o macvlan_mode=bridge -o parent=eth1.100 macvlan100
docker network create -d macvlan --subnet=192.168.0.0/16 --ip-range=192.168.10.0/24 -o macvlan_mode=bridge -o parent=eth1.200 macvlan200
docker network ls

echo "== the containers"
eval "$(docker-machine env node-1)"
window c1-100 docker run -it --net=macvlan100 --rm --name c1-100 alpine /bin/sh
window c2-100 docker run -it --net=macvlan100 --rm --name c2-100 alpine /bin/sh
window c1-200 docker run -it --net=macvlan200 --rm --name c1-200 alpine /bin/sh
docker ps --format '{{.Names}} {{.Image}} {{.Command}}'
docker inspect -f '{{.Name}} {{range .NetworkSettings.Networks}}{{.IPAddress}} {{.MacAddress}}{{end}}' c1-100 c2-100 c1-200
eval "$(docker-machine env node-2)"
window c3-100 docker run -it --net=macvlan100 --rm --name c3-100 alpine /bin/sh
window c4-100 docker run -it --net=macvlan100 --rm --name c4-100 alpine /bin/sh
window c2-200 docker run -it --net=macvlan200 --rm --name c2-200 alpine /bin/sh
docker ps --format '{{.Names}} {{.Image}} {{.Command}}'
docker inspect -f '{{.Name}} {{range .NetworkSettings.Networks}}{{.IPAddress}} {{.MacAddress}}{{end}}' c3-100 c4-100 c2-200

echo "== one VLAN, one node"
type_in c1-100 'ping -c 2 192.168.11.3'

echo "== one VLAN, two nodes: the virtual switch drops what it does not know, until it is told to let all through"
type_in c1-100 'ping -c 2 192.168.10.2'
for node in node-1 node-2; do
    VBoxManage controlvm $node nicpromisc2 allow-all
done
type_in c1-100 'ping -c 2 192.168.10.2'
type_in c4-100 'ping -c 2 192.168.11.3'
type_in c1-200 'ping -c 2 192.168.10.4'

echo "== between the VLANs: nothing, on one node or across"
type_in c1-100 'ping -c 2 192.168.11.4'
type_in c1-100 'ping -c 2 192.168.10.4'

for name in c1-100 c2-100 c1-200 c3-100 c4-100 c2-200; do
    type_in $name 'exit' > /dev/null
done
close_windows
docker ps -a
