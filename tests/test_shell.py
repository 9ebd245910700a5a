"""Unmodified bash scripts on a lab that is only a clock and a few fake commands: what ordinary scripts do."""

from __future__ import annotations

import subprocess

import pytest
from shell_stage import DRIVER, PYTHON, needs_namespaces

pytestmark = needs_namespaces


def test_ordinary_commands_work(stage):
    script = r"""
    set -euo pipefail
    f() { local x=$1; echo "f $x"; }
    f 1
    trap 'echo trapped' EXIT
    cat <<X | grep -c two
one
two
X
    echo '{"a": [1, 2]}' | python3 -c 'import json,sys; print(json.load(sys.stdin)["a"][1])'
    printf 'a b\n' | awk '{print $2}'
    ip args one 'two three' "" '*' é | sed 's/two/2/'
    x=$(ip args sub); echo "$x"
    ip args redirected > out.txt; cat out.txt; rm out.txt
    diff <(ip args same) <(ip args same) && echo same
    [[ $(command -v ip) == */ip ]] && [ "$(id -u)" = 0 ] && echo root
    """
    assert stage.out(script).splitlines() == (
        ["f 1", "1", "2", "b", "[one][2 three][][*][é]", "[sub]", "[redirected]", "same", "root", "trapped"]
    )


def test_the_status_is_the_scripts(stage):
    assert stage.play("exit 5").returncode == 5
    assert stage.play("ip fail").returncode == 2
    assert stage.play("kill -TERM $$").returncode == 143
    assert stage.play("true").returncode == 0


def test_arguments_and_name(stage):
    assert stage.out('echo "$# $1 $2"; basename "$0" | cut -c1-6', "a b", "-x") == "2 a b -x\nscript\n"


def test_standard_input_reaches_the_script_and_only_who_reads_it(stage):
    """`ip` does not eat the input of a `while read` loop, as the real one does not."""
    script = "while read -r word; do ip args $word; done"
    process = stage.start(script, stdin=subprocess.PIPE)
    out, _ = process.communicate("a\nb\nc\n", timeout=20)
    assert out == "[a]\n[b]\n[c]\n"


def test_input_is_read_when_asked_for(stage):
    script = """
    ip -batch - <<X
one
X
    printf 'two\\n' | ip -batch -
    ip -batch <(echo three)
    echo four > file; ip -batch file; cd /; ip -batch "$OLDPWD/file"
    ip log; ip -batch /nosuch
    """
    done = stage.play(script)
    assert done.stdout == "".join(f"0ms root: batch {word}\n" for word in ["one", "two", "three", "four", "four"])
    assert "FileNotFoundError" in done.stderr


def test_script_from_standard_input_and_from_a_descriptor(stage):
    run = [PYTHON, str(DRIVER)]
    env = stage.env()
    done = subprocess.run([*run, "-", "x"], input="ip args $1 $#", env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "[x][1]\n"
    line = f"{PYTHON} {DRIVER} <(echo 'ip args \"$1\"; exit 3') y"
    done = subprocess.run(["bash", "-c", line], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "[y]\n", "")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("ip time\nuntil (: < /dev/tcp/10.0.0.2/80); do exit; done\n", 2),
        ("HOST=a; exec 3<>/dev/udp/$HOST/53\n", 1),
        ("# echo > /dev/tcp/10.0.0.2/80\nip time\n", 0),
        ("echo /dev/tcp/10.0.0.2/80 > /dev/null\n", 0),
    ],
)
def test_what_bash_opens_itself_is_said_before_the_script_runs(stage, text, line):
    warning = f"line {line}: bash opens /dev/" if line else ""
    said = stage.play(text).stderr
    assert warning in said
    assert ("use nc -z HOST PORT" in said.partition("\n")[0]) == bool(line)


@pytest.mark.parametrize(("name", "why"), [("/nosuch", "No such file"), ("/tmp", "Is a directory")])
def test_a_missing_script_is_said(stage, name, why):
    done = subprocess.run([*stage.command, name], env=stage.env(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{name}: {why}" in done.stderr


def test_environment_and_directory_reach_the_command(stage):
    out = stage.out("cd /usr; MARK=here ip where; cd lib; ip where")
    assert out == "root /usr here\nroot /usr/lib -\n"


def test_errors_go_to_stderr_with_the_tools_status(stage):
    done = stage.play("ip fail 2>&1 | tr a-z A-Z; ip fail; echo $?")
    assert done.stdout == "RTNETLINK ANSWERS: FILE EXISTS\n2\n"
    assert done.stderr == "RTNETLINK answers: File exists\n"


def test_a_bug_in_a_command_is_said_and_the_script_goes_on(stage):
    done = stage.play("ip crash; echo $?; ip time")
    assert done.stdout == "70\n0\n"
    assert "internal error" in done.stderr
    assert "ZeroDivisionError: fake bug" in done.stderr


def test_a_command_that_is_not_built_yet_is_refused(stage):
    done = stage.play("ethtool x; echo $?")
    assert done.stdout == "95\n"
    assert "ethtool is not simulated yet" in done.stderr


def test_scripts_call_sudo(stage):
    script = "sudo ip args a; sudo -n -E ip args b; sudo -u root MARK=x ip where | cut -d' ' -f3; sudo echo hi"
    assert stage.out(script) == "[a]\n[b]\nx\nhi\n"


def test_netns_exec_of_anything(stage):
    script = """
    ip netns add n1
    ip netns exec n1 ip where | cut -d' ' -f1
    ip netns exec n1 bash -c 'ip where; sleep 1; ip netns exec n2 ip where; ip where' | cut -d' ' -f1
    ip netns exec n1 env -i "$(command -v ip)" where | cut -d' ' -f1
    ip netns exec n1 echo plain; ip where | cut -d' ' -f1
    ip netns exec n1 nosuch; echo $?
    ip netns exec n1 sh -c 'exit 9'; echo $?
    ls /run/netns /var/run/netns
    """
    done = stage.play(script)
    assert done.stdout.split() == [
        *("n1", "n1", "n2", "n1", "n1", "plain", "root", "255", "9"),
        *("/run/netns:", "n1", "/var/run/netns:", "n1"),
    ]
    assert done.stderr == 'exec of "nosuch" failed: No such file or directory\n'


def test_send_inside_a_script(stage):
    out = stage.out(
        "simvlan send eth0 --hex ff:ff:ff:ff:ff:ff:02:00:00:00:00:01:08:06; "
        "ip netns exec n simvlan send eth1 --count 2"
        ' \'Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01", type=0x88b5)\'; '
        "simvlan send --netns m eth2 --hex 'ffffffffffff 020000000001 0800 45'"
    )
    assert out.splitlines() == [
        "sent root/eth0 ffffffffffff0200000000010806",
        *["sent n/eth1 02000000000202000000000188b5"] * 2,
        "sent m/eth2 ffffffffffff020000000001080045",
    ]


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        ("send eth0", 2, "give a frame"),
        ("send eth0 --hex xyz", 2, "not pairs of hex digits"),
        ("send eth0 --hex 0011", 2, "2 octets are too few for an Ethernet header"),
        ("send eth0 'Ether('", 2, "was never closed"),
        ("send eth0 --hex 00 'Ether()'", 2, "one of them"),
        ("send nosuch --hex ffffffffffff0200000000010806", 1, "no such device"),
        ("send eth0 --count 0 --hex ffffffffffff0200000000010806", 2, "--count"),
        ("run x", 2, "`run` cannot be used inside a script"),
        ("", 2, "cannot be used inside a script"),
    ],
)
def test_send_refuses(stage, words, status, text):
    done = stage.play(f"simvlan {words}")
    assert done.returncode == status
    assert text in done.stderr
