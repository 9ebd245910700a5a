"""The shell in containers says what busybox's says: every script here is run by both."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from simvlan.docker.programs.runtime import Simulated
from simvlan.docker.runtime import ProcessSpec
from simvlan.lab import Lab

BUSYBOX = shutil.which("busybox")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

SCRIPTS = r"""
echo one; echo two >&2; exit 3
true && echo yes || echo no; false && echo yes || echo no; ! true; echo $?
x=5; y="a b"; echo $x "$y" '$y' ${#y} ${z:-unset} ${x:+set} "${y%% *}" "${y#* }"
for i in 1 2 3; do [ $i -eq 2 ] && continue; echo $i; done; echo $i
i=0; while [ $i -lt 4 ]; do i=$((i + 1)); [ $i = 3 ] && break; echo $i; done
until [ "$n" = xx ]; do n=x$n; done; echo $n
case abc in a?c) echo first;; *) echo other;; esac; case x in y|x) echo both;; esac
f() { local v=$1; echo "$v $# $@"; return 4; }; f a 'b c'; echo $? $v
set -- a 'b c' d; echo $# "$2"; shift; for w in "$@"; do echo "<$w>"; done; for w in $*; do echo "[$w]"; done
echo $(echo a; echo b) `echo c` "$(printf '%s-%03d\n' x 7)"
echo $((2 + 3 * 4)) $((7 / 2)) $((-7 % 3)) $((1 << 4 | 1)) $((5 > 3 ? 10 : 20)) $(( (1+2)*3 )) $((0x1f)) $((!0))
a=3; b=$((a += 2)); echo $a $b $((a++)) $a $((++a))
printf '%s %d %x\n' abc 42 255; echo -n no; echo -e 'a\tb\\n'
echo a b c | wc -w; seq 5 | grep -v 3 | sort -r | head -2; seq 10 | tail -n 3
cat <<END
x is $((1+1)) and $HOME_NOT_SET.
END
cat <<'END'
$literal
END
echo out > /tmp/simvlan-sh-test; echo more >> /tmp/simvlan-sh-test; cat < /tmp/simvlan-sh-test; rm /tmp/simvlan-sh-test
(echo sub; exit 7); echo $?; { echo group; } ; (x=1); echo "x=$x"
nosuchcommand; echo $?
false; echo $?; set -e; echo before; false; echo never
trap 'echo bye $?' EXIT; echo hi; exit 5
trap 'echo caught' TERM; kill -TERM $$; echo after
sleep 0 & wait; echo waited $?
echo "a  b" a  b; echo 'it''s' "q\"q" \$x "\$x" '\n'
IFS=:; p=a:b::c; for w in $p; do echo "<$w>"; done
eval 'v=1; echo $v'; command -v echo; unset v; echo ${v-none}
[ -n "" ]; echo $?; [ a = a -a b != c ]; echo $?; test 3 -gt 2; echo $?
if [ -d /tmp ] && [ ! -e /nosuch ]; then echo dir; elif true; then echo x; else echo y; fi
readonly_test=1; export E=exported; env | grep ^E=; sh -c 'echo $E $0 $1' name arg
echo 'a b c' | while read x y; do echo "$y|$x"; done; echo abc | { read v; echo "got $v"; }
x=abcabc; echo ${x#a} ${x##*b} ${x%c} ${x%%b*} ${x:1:3} ${x:4}
echo $? $#; : ; echo ~nobodyhere "~"; echo {a,b} * | head -c 8 > /dev/null; echo done
while true; do echo once; break; done; for x in; do echo never; done; echo end
echo a && (echo b; false) && echo c || echo d; echo e | cat | cat
f() { [ $1 -le 0 ] && return; echo $1; f $(($1 - 1)); }; f 3
exec echo replaced; echo never
kill -9 999999; echo $?
echo ${nope?is not set}; echo never
if true; then echo unfinished
echo )
cd /tmp; pwd; cd /nosuch; echo $?; cd - > /dev/null; umask > /dev/null; type cd
set -u; echo $undefined_variable; echo never
x=`seq 3`; echo $x; echo "$x" | sort -n | uniq | wc -l; [ "$x" ] && echo nonempty
"""
"""One script a line; a here-document goes on to its END."""


def scripts() -> list[str]:
    found, lines = [], SCRIPTS.strip().split("\n")
    while lines:
        script = lines.pop(0)
        while "<<" in script and not script.endswith("END\n") and lines and not script.endswith("\nEND"):
            script += "\n" + lines.pop(0)
        found.append(script)
    return found


def theirs(script: str) -> tuple[str, str, int]:
    assert BUSYBOX is not None
    done = subprocess.run(
        [BUSYBOX, "sh", "-c", script], env={"PATH": PATH, "HOME": "/root"}, cwd="/", capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    return done.stdout, done.stderr, done.returncode


def ours(script: str) -> tuple[str, str, int]:
    lab, out, ended = Lab(), {1: bytearray(), 2: bytearray()}, list[int]()
    env = {"PATH": PATH, "HOME": "/root"}
    spec = ProcessSpec(
        "c" * 64, "box", ["sh", "-c", script], lab.network.netns[""], image="alpine", env=env, init=False
    )
    Simulated(lab.network).start(spec, lambda number, data: out[number].extend(data), ended.append)
    lab.run(until=60)
    assert len(ended) == 1, "the script does not end"
    return out[1].decode(), out[2].decode(), ended[0]


def masked(text: str) -> str:
    return re.sub(r"line \d+: ", "", text)


@pytest.mark.skipif(BUSYBOX is None, reason="busybox is not installed")
@pytest.mark.parametrize("script", scripts())
def test_the_same_as_busybox(script: str) -> None:
    (their_out, their_err, their_exit), (our_out, our_err, our_exit) = theirs(script), ours(script)
    assert our_out == their_out
    assert our_exit == their_exit
    assert masked(our_err) == masked(their_err)


def test_a_loop_that_never_waits_takes_time() -> None:
    """It must not stop the world: every turn takes a moment of virtual time."""
    lab, ended = Lab(), list[int]()
    spec = ProcessSpec("c" * 64, "box", ["sh", "-c", "while true; do :; done"], lab.network.netns[""], image="alpine")
    handle = Simulated(lab.network).start(spec, lambda _number, _data: None, ended.append)
    lab.run(until=1)
    assert lab.now == 1_000_000_000
    handle.kill(9)
    assert ended == [137]


@pytest.mark.parametrize("image", ["alpine", "debian"])
def test_ping_ends_with_its_last_answer(image: str) -> None:
    """An answer that is there before anybody waits for it is not waited for."""
    lab, ended = Lab(), list[int]()
    lab.command("ip", "link", "set", "lo", "up")
    spec = ProcessSpec("c" * 64, "box", ["ping", "-c", "2", "127.0.0.1"], lab.network.netns[""], image=image)
    Simulated(lab.network).start(spec, lambda _number, _data: None, lambda _status: ended.append(lab.now))
    lab.run(until=60)
    assert ended == [1_000_000_000]
