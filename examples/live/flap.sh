#!/bin/bash
# A download by real programs, and a simulated link that goes down for two seconds in the middle of it. Run as root.
. "$(dirname "$0")/lib.sh"

real svl-a
real svl-b
live trunk.sh --attach sw1/access=netns:svl-a/eth0 --attach sw2/access=netns:svl-b/eth0
ip -n svl-a addr add 10.80.0.1/24 dev eth0
ip -n svl-b addr add 10.80.0.2/24 dev eth0

head -c 4000000 /dev/urandom > "$scratch/file"
ip netns exec svl-b python3 -m http.server --directory "$scratch" --bind 10.80.0.2 8000 2> /dev/null &
server=$!
until ip netns exec svl-b ss -ltn | grep -q :8000; do sleep 0.1; done

ip netns exec svl-a curl -s -o "$scratch/got" -w 'downloaded %{size_download} octets in %{time_total} s\n' \
    http://10.80.0.2:8000/file &
download=$!
until [ -s "$scratch/got" ]; do sleep 0.05; done
inside ip -n sw1 link set trunk down
echo "trunk down at $(stat -c %s "$scratch/got") octets"
sleep 2
inside ip -n sw1 link set trunk up
echo "trunk up"
wait $download
cmp "$scratch/file" "$scratch/got" && echo "every octet is there"
kill $server
