"""Programs that go to the background: their process, the file with its number, what ends them and what does not.

The real ones' texts and statuses were seen of dnsmasq 2.90, udhcpc 1.35 and iperf3 3.12.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from simvlan import Lab

NETWORK = """
ip netns add srv; ip netns add c1
ip link add eth0 netns srv type veth peer name eth0 netns c1
for n in srv c1; do ip -n $n link set eth0 up; ip -n $n link set lo up; done
ip -n srv address add 10.0.0.1/24 dev eth0; sleep 1
S="ip netns exec srv" C="ip netns exec c1"
"""
CONFIG = """# a lab
port=0          # no names
interface=eth0
no-ping
dhcp-range=10.0.0.50,10.0.0.60,1h
"""
TRY = "$C udhcpc -i eth0 -n -q -t 1 -T 1 > /dev/null 2>&1; echo $?; "


def said(tmp_path: Path, script: str, **files: str) -> str:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    done = Lab(seed=1).sh(f"{NETWORK}cd {tmp_path}; {script}")
    return done.stdout + done.stderr


def test_a_server_in_the_background_ends_by_the_number_in_its_file(tmp_path: Path) -> None:
    script = f"$S dnsmasq -C conf -x pid; {TRY} kill $(cat pid); sleep 1; {TRY} ls pid 2>/dev/null; echo $?"
    assert said(tmp_path, script, conf=CONFIG) == "0\n1\n2\n"


def test_one_in_the_foreground_has_such_a_file_with_k_and_not_with_d(tmp_path: Path) -> None:
    for flag, there in (("-k", "0"), ("-d", "1")):
        script = f"$S dnsmasq {flag} -C conf -x pid 2>/dev/null & sleep 1; test -s pid; echo $?; kill $!; wait $!; ls"
        assert said(tmp_path, script, conf=CONFIG) == f"{there}\nconf\n"


def test_what_is_no_plain_file_is_not_removed(tmp_path: Path) -> None:
    script = f"$S dnsmasq -C conf -x /dev/null; {TRY} test -c /dev/null; echo $?"
    assert said(tmp_path, script, conf=CONFIG) == "0\n0\n"


def test_the_end_of_the_script_does_not_end_the_server(tmp_path: Path) -> None:
    (tmp_path / "conf").write_text(CONFIG)
    lab = Lab(seed=1)
    lab.sh(f"{NETWORK}cd {tmp_path}; $S dnsmasq -C conf -x pid")
    assert lab.sh(f'C="ip netns exec c1"; {TRY}').stdout == "0\n"


def test_a_client_in_the_background_ends_so_too(tmp_path: Path) -> None:
    script = "$S dnsmasq -C conf; $C udhcpc -i eth0 -R -p pid > /dev/null 2>&1; sleep 1; kill $(cat pid); sleep 1;"
    out = said(tmp_path, script + "ip -n c1 -br -4 address show dev eth0; ls pid 2>&1", conf=CONFIG)
    assert "10.0.0." not in out
    assert "No such file" in out


def test_iperf3_in_the_background(tmp_path: Path) -> None:
    measure = "$C iperf3 -c 10.0.0.1 -B 10.0.0.2 -t 1 > /dev/null 2>&1; echo $?; "
    script = (
        "ip -n c1 address add 10.0.0.2/24 dev eth0; tc -n c1 qdisc add dev eth0 root netem rate 5mbit\n"
        f"$S iperf3 -s -D -I pid; echo $?; sleep 1; {measure} kill $(cat pid); sleep 1; {measure}"
    )
    assert said(tmp_path, script) == "0\n0\n1\n"


@pytest.mark.parametrize(
    ("command", "text", "status"),
    [
        ("dnsmasq -C missing", "\ndnsmasq: cannot read missing: No such file or directory\n", 3),
        ("dnsmasq -C conf -x missing/pid",
         "\ndnsmasq: failed to open pidfile missing/pid: No such file or directory\n", 3),
        ("dnsmasq -C bad", "\ndnsmasq: bad dhcp-range at line 3 of bad\n", 1),
        ("dnsmasq -C odd", "\ndnsmasq: bad option at line 1 of odd\n", 1),
        ("dnsmasq -F 10.0.0.5,10.0.0.9,1y", "\ndnsmasq: bad command line options: bad dhcp-range\n", 1),
        ("dnsmasq -F 10.0.0.5,10.9.0.9,255.255.255.0",
         "\ndnsmasq: bad command line options: inconsistent DHCP range\n", 1),
        ("dnsmasq -z -i none", "\ndnsmasq: unknown interface none\n", 2),
        ("dnsmasq -z -a 10.9.9.9",
         "\ndnsmasq: failed to create listening socket for 10.9.9.9: Cannot assign requested address\n", 2),
        ("dnsmasq --log-facility=log", "\nsimvlan: dnsmasq: --log-facility=log: logs go to standard error (-d)\n", 95),
        ("nc -l -s 10.0.0.99 -p 7003", "nc: Cannot assign requested address\n", 1),
        ("iperf3 -s -B 9.9.9.9",
         "iperf3: error - unable to start listener for connections: Cannot assign requested address\n", 1),
        ("iperf3 -c 10.0.0.1 -B 9.9.9.9",
         "iperf3: error - unable to connect to server: Cannot assign requested address\n", 1),
        ("iperf3 -s -V", "simvlan: iperf3 -s -V is not built (docs/hosts.md says what is)\n", 95),
    ],
)  # fmt: skip
def test_what_is_refused_and_how(tmp_path: Path, command: str, text: str, status: int) -> None:
    for name, lines in (("conf", CONFIG), ("bad", "port=0\n\ndhcp-range=10.0.0.5\n"), ("odd", "nonsense=1\n")):
        (tmp_path / name).write_text(lines)
    made = Lab(seed=1)
    for words in ("netns add srv", "-n srv link add eth0 type veth", "-n srv address add 10.0.0.1/24 dev eth0"):
        made.command("ip", *words.split())
    files = ("conf", "bad", "odd", "missing", "missing/pid")
    done = made.command(*(str(tmp_path / word) if word in files else word for word in command.split()), netns="srv")
    assert (done.exit, done.stderr.replace(f"{tmp_path}/", "")) == (status, text)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ("-p 99999", "port number must be between 1 and 65535 inclusive"),
        ("-t 99999", "test duration too long (maximum = 86400 seconds)"),
        ("-M 100000", "TCP MSS too large (maximum = 9216 bytes)"),
        ("-l 2M", "block size too large (maximum = 1048576 bytes)"),
        ("-u -l 70000", "block size invalid (minimum = 16 bytes, maximum = 65507 bytes)"),
    ],
)
def test_values_out_of_range(values: str, text: str) -> None:
    done = Lab().command("iperf3", "-c", "10.0.0.1", *values.split())
    assert (done.exit, done.stderr.splitlines()[0]) == (1, f"iperf3: parameter error - {text}")


def test_where_names_are_answered(tmp_path: Path) -> None:
    """--interface, --listen-address and --except-interface hold for questions too; the loopback device goes with -i."""
    ask = "{ $C nslookup a.lan 10.0.0.1; $S nslookup a.lan 127.0.0.1; } | grep -c 'Address: 10.0.0.7'; "
    script = "ip -n c1 address add 10.0.0.2/24 dev eth0; "
    for words in ("", "-i eth0", "-i lo", "-a 10.0.0.1", "-I eth0"):
        script += f"$S dnsmasq -R -h --host-record=a.lan,10.0.0.7 -x pid {words}; {ask} kill $(cat pid); sleep 1; "
    assert said(tmp_path, script).split() == ["2", "2", "1", "1", "1"]


def test_domains_of_other_servers_and_of_nobody(tmp_path: Path) -> None:
    script = """ip -n c1 address add 10.0.0.2/24 dev eth0
$C dnsmasq -R -h --host-record=a.far,10.0.0.9
$S dnsmasq -R -h --server=/far/10.0.0.2 --local=/near/
for name in a.far b.near c.else; do
    $S nslookup $name 127.0.0.1 | grep -oE 'Address: .*|NXDOMAIN|REFUSED' | head -1
done"""
    assert said(tmp_path, script) == "Address: 10.0.0.9\nNXDOMAIN\nREFUSED\n"


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """As dnsmasq 2.90 said it; with --bind-interfaces servers of DHCP share their port."""
    script = """$S dnsmasq -p 0 -F 10.0.0.50,10.0.0.60
$S dnsmasq -p 0 -F 10.0.0.50,10.0.0.60; echo $?
$S dnsmasq -R -h; $S dnsmasq -R -h; echo $?; $S dnsmasq -R -h -z -i eth0; echo $?
$C dnsmasq -p 0 -z -F 10.0.0.50,10.0.0.60; $C dnsmasq -p 0 -z -F 10.0.0.50,10.0.0.60; echo $?"""
    done = Lab(seed=1).sh(NETWORK + script)
    taken = ("bind DHCP server socket", "create listening socket for port 53", "create listening socket for 10.0.0.1")
    assert done.stdout == "2\n2\n2\n0\n"
    assert done.stderr == "".join(f"\ndnsmasq: failed to {what}: Address already in use\n" for what in taken)


def test_what_is_said_aloud(tmp_path: Path) -> None:
    """-k writes to the system's log, which is not there; -d and --log-facility=- to standard error."""
    for flags, lines in (("-d", 3), ("-k", 0), ("-k --log-facility=-", 3)):
        script = f"$S dnsmasq {flags} -C conf 2> said & sleep 1; kill $!; wait $!; wc -l < said"
        assert said(tmp_path, script, conf=CONFIG) == f"{lines}\n", flags


def test_names_are_read_again_at_sighup(tmp_path: Path) -> None:
    script = """S2="$S nslookup a.lan 127.0.0.1"
echo 10.0.0.7 a.lan > names
$S dnsmasq -R -h -H names -x pid
$S dnsmasq -R -h -H names -z -a 127.0.0.1 -p 5353 -k -x pid2 & sleep 1
echo 10.0.0.8 a.lan > names
$S2 | grep -o 'Address: .*'
kill -HUP $(cat pid) $(cat pid2); sleep 1
$S2 | grep -o 'Address: .*'; $S dig +short -p 5353 @127.0.0.1 a.lan
kill $(cat pid) $(cat pid2)"""
    assert said(tmp_path, script).splitlines() == ["Address: 10.0.0.7", "Address: 10.0.0.8", "10.0.0.8"]
