# What dig, host, nslookup and getent say of what dnsmasq knows and does not know.
ip netns add srv; ip netns add c1
ip link add eth0 netns srv type veth peer name eth0 netns c1
for n in srv:1 c1:2; do
    ip -n ${n%:*} address add 10.0.0.${n#*:}/24 dev eth0
    ip -n ${n%:*} link set eth0 up; ip -n ${n%:*} link set lo up
done
mkdir -p /etc/netns/c1
echo "nameserver 10.0.0.1" > /etc/netns/c1/resolv.conf
printf '127.0.0.1 localhost\n10.0.0.1 gate gate.lan\n2001:db8::9 six.lan\n10.0.0.9 both.lan alias\n2001:db8::9 both.lan\n' > /etc/netns/c1/hosts
sleep 1
ip netns exec srv dnsmasq --no-daemon --conf-file=/dev/null --user=root --pid-file= --no-resolv --no-hosts --interface=eth0 \
    --bind-interfaces --host-record=box.lan,10.0.0.7 --host-record=two.lan,10.0.0.8,2001:db8::8 --host-record=two.lan,10.0.0.18 \
    --host-record=t.far,10.0.0.1 --host-record=t.far,10.0.0.2 --host-record=t.far,10.0.0.3 \
    --host-record=six.lan,2001:db8::6 --address=/wild.lan/10.0.0.9 --address=/none.lan/ --local=/lan/ 2> /dev/null &
server=$!
sleep 1
say() {
    echo "\$ $*"
    ip netns exec c1 "$@" 2>&1
    echo "[$?]"
}
say dig box.lan
say dig @10.0.0.1 two.lan
say dig two.lan AAAA
say dig two.lan a two.lan aaaa
say dig -x 10.0.0.7
say dig -x 10.0.0.77
say dig nosuch.lan
say dig nosuch.example
say dig box.lan AAAA
say dig box.lan MX
say dig -t aaaa -q six.lan
say dig +short two.lan
say dig +short -x 10.0.0.7
say dig +short nosuch.lan
say dig +noall +answer two.lan
say dig +noall +answer +question +stats two.lan
say dig +nocmd +nostats +nocomments box.lan
say dig +nocmd +noall +answer +ttlid -t A box.lan
say dig +noedns box.lan
say dig +nocookie +norecurse box.lan
say dig +tries=1 +time=1 @10.0.0.99 box.lan
say dig +noall +answer box.lan two.lan
say dig -4 +short a.wild.lan
say dig -p 53 +short a.none.lan
say nslookup box.lan
say nslookup two.lan 10.0.0.1
say nslookup 10.0.0.7
say nslookup nosuch.lan
say nslookup -type=aaaa two.lan
say nslookup -query=mx box.lan
say host box.lan
say host two.lan
say host six.lan
say host nosuch.lan
say host nosuch.example
say host 10.0.0.7
say host 10.0.0.77
say host -t A two.lan 10.0.0.1
say host -t AAAA box.lan
say host two.lan.
say host -t PTR 7.0.0.10.in-addr.arpa
say getent hosts box.lan
say getent hosts gate
say getent hosts gate.lan
say getent hosts both.lan
say getent hosts two.lan
say getent hosts six.lan
say getent hosts nosuch.lan
say getent hosts 10.0.0.1
say getent hosts 10.0.0.7
say getent hosts 10.0.0.77
say getent ahosts two.lan
say getent ahosts gate
say getent ahosts 10.0.0.5
say getent ahostsv4 both.lan
say getent ahostsv6 both.lan
say getent ahostsv6 box.lan
say getent ahosts nosuch.lan
say getent hosts box.lan gate nosuch.lan
for each in 1 2 3 4; do say dig +short t.far; done
say dig +noall +comments a.none.lan mx
say dig +noall +comments w.far +noquestion
say dig foo bar +short
say dig box.lan +noall +answer @10.0.0.1 -t a two.lan aaaa
say dig aaaa two.lan +noall +answer
say dig +nosuch foo
say dig -Z foo
say dig +noall +answer +noclass box.lan
say dig +noall +answer +nottlid a-very-long-name-that-takes-columns.wild.lan
say host -t mx box.lan
kill $server
wait
