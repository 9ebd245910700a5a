# curl against python3 -m http.server, and against what nc says: every line, status and octet.
. "$(dirname "$0")/stage.sh"
try curl $U/a.txt
try curl -s $U/a.txt
try curl -sv $U/
try curl -I $U/a.txt
try curl -si $U/sub
try curl -sL -w '%{http_code} %{num_redirects} %{url_effective}\n' $U/sub
try curl -svL $U/sub
try curl -sf $U/none
try curl -f $U/none
try curl -s $U/none
try curl -sv -d a=b $U/
try curl -X POST -s $U/
try curl -s -o f -w '%{http_code} %{size_download} %{content_type} %{remote_ip} %{remote_port} %{local_ip} %{num_connects} %{scheme} %{method} %{http_version} %{exitcode} %{errormsg} %{filename_effective}\n' $U/a.txt
try curl -O $U/a.txt
try curl -s -o /nonexistent/f $U/a.txt
try curl http://10.9.0.2:81/
try curl -s http://10.9.0.2:81/
try curl -sv http://10.9.0.2:81/
try curl -sS -m 0.7 http://10.9.0.77/
try curl -sv --connect-timeout 0.8 http://10.9.0.78/
try curl -sS http://192.0.2.1/
try curl -sv http://192.0.2.1/
try curl http://no.such.invalid/
try curl -sv --resolve web:8000:10.9.0.2 http://web:8000/a.txt
try curl -sv --interface eth0 $U/a.txt
try curl -sv --interface 10.9.0.1 $U/a.txt
try curl -sv --interface nodev $U/a.txt
try curl
try curl --nosuch
try curl foo://x/
try curl 'http://10.9.0.2:99999/'
try curl -sS 10.9.0.2:8000/a.txt
try curl -sv $U/a.txt $U/x.py
try curl -sS -H 'X-A: b' -H 'Accept:' -A me -v $U/a.txt
try curl -s $U/big.bin -o f
try curl --fail-with-body -s $U/none
try curl -s -G -d q=1 -d r=2 "$U/a.txt"
canned ''
try curl http://10.9.0.2:9001/
wait $nc
canned 'garbage\n'
try curl -sS http://10.9.0.2:9001/
wait $nc
canned 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'
try curl -sSv http://10.9.0.2:9001/
wait $nc
canned 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc'
try curl -sSv http://10.9.0.2:9001/
wait $nc
canned 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'
try curl -sSv http://10.9.0.2:9001/
wait $nc
ip netns exec b nc -dl 9002 > /dev/null &
sleep 0.7
try curl -sS -m 1 http://10.9.0.2:9002/
wait $!
finish
