# GNU wget against python3 -m http.server, and against what nc says.
. "$(dirname "$0")/stage.sh"
try wget $U/a.txt
try wget -q $U/a.txt
try wget -O- $U/a.txt
try wget -qO- $U/a.txt
try wget -O x $U/big.bin
try wget --spider $U/a.txt
try wget -q --spider $U/none
try wget --spider $U/none
try wget $U/none
try wget -q $U/none
try wget -S -O- $U/a.txt
try wget -T 0.5 -t 1 http://10.9.0.77/
try wget http://10.9.0.2:81/
try wget http://192.0.2.1/
try wget
try wget --nosuch
try wget -nv $U/a.txt
try wget -nv -O- $U/none
try wget --post-data=a=b -O- $U/
try wget $U
try wget -P dd $U/a.txt
canned ''
try wget -t 1 http://10.9.0.2:9001/
wait $nc
canned 'HTTP/1.1 200 OK\r\n\r\nabc'
try wget -O- http://10.9.0.2:9001/
wait $nc
ls
finish
