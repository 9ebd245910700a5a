"""A lab with a clock and no network, and fake commands, to test the shell around them: `shell_driver.py SCRIPT`."""

from __future__ import annotations

import errno
import os
import sys
from types import SimpleNamespace

import simpy

from simvlan.errors import RtnlError
from simvlan.shell import server
from simvlan.shell.run import Forbidden, ScriptMissing, run_script, run_shell
from simvlan.tools import TOOLS

SECOND = 10**9


class FakeProcSys:
    """The kernel behind /proc/sys/net: the lab's table."""

    def __init__(self, lab):
        self.lab = lab

    def namespaces(self):
        return [name for name in self.lab.network.netns if name]

    def devices(self, netns):
        return ["eth0"]

    def listing(self, netns, device):
        paths = [(key.removeprefix("net.").replace(".", "/"), value) for key, value in self.lab.sysctls.items()]
        return [(path, value) for path, value in paths if ("/eth0/" in path) == (device == "eth0")]

    def write(self, netns, path, value):
        key = "net." + path.replace("/", ".")
        if key not in self.lab.sysctls:
            raise RtnlError(errno.ENOENT)
        if not value.isdigit():
            raise RtnlError(errno.EINVAL)
        self.lab.sysctls[key] = value


class FakeLab:
    def __init__(self):
        self.env = simpy.Environment(initial_time=0)
        self.network = SimpleNamespace(netns={"": None})
        self.sysctls = {"net.ipv4.ip_forward": "0", "net.ipv4.conf.eth0.rp_filter": "0"}
        self.proc_sys = FakeProcSys(self)
        self.log = []
        self.sent = []
        self.flooded = 0

    def step(self):
        self.env.step()

    def send(self, where, frame):
        self.sent.append((where, frame))
        if where.endswith("/nosuch"):
            raise KeyError("no such device")


def ip(proc):
    """Notes, their log, the time, who and where we are, namespaces, input, much output, failures."""
    lab, words = proc.lab, proc.argv[1:]
    if words[:1] == ["note"]:
        lab.log.append((lab.env.now // 10**6, proc.netns, " ".join(words[1:])))
    elif words[:1] == ["log"]:
        for ms, netns, text in lab.log:
            proc.write(f"{ms}ms {netns or 'root'}: {text}\n")
    elif words[:1] == ["flooded"]:
        proc.write(f"{lab.flooded}\n")
    elif words[:1] == ["time"]:
        proc.write(f"{lab.env.now / SECOND:g}\n")
    elif words[:1] == ["where"]:
        proc.write(f"{proc.netns or 'root'} {proc.cwd} {proc.env.get('MARK', '-')}\n")
    elif words[:1] == ["args"]:
        proc.write("".join(f"[{word}]" for word in words[1:]) + "\n")
    elif words[:2] == ["netns", "add"]:
        lab.network.netns[words[2]] = None
    elif words[:2] == ["netns", "exec"]:
        return proc.execute(words[3:], netns=words[2])
    elif words[:1] == ["-batch"]:
        for line in proc.read_file(words[1]).decode().splitlines():
            lab.log.append((0, proc.netns, f"batch {line}"))
    elif words[:1] == ["big"]:
        proc.write("x" * int(words[1]))
    elif words[:1] == ["crash"]:
        raise ZeroDivisionError("fake bug")
    elif words[:1] == ["fail"]:
        proc.write_err("RTNETLINK answers: File exists\n")
        return 2
    return 0


def ping(proc):
    """One line a second, `-c N` of them (else for ever); statistics on SIGINT."""
    count = int(proc.argv[proc.argv.index("-c") + 1]) if "-c" in proc.argv else 10**9
    name, sent = proc.argv[-1], 0
    try:
        while sent < count:
            sent += 1
            proc.write(f"{name} seq={sent} t={proc.lab.env.now / SECOND:g}\n")
            if sent < count:
                yield proc.lab.env.timeout(SECOND)
    except simpy.Interrupt as interrupt:
        if interrupt.cause != "SIGINT":
            raise
    proc.write(f"{name}: {sent} sent\n")
    return 0


def flood(proc):
    """Writes 64 KiB every millisecond until told to stop; says on which ms it was stopped."""
    while True:
        proc.lab.flooded += 1
        proc.write("y" * 65535 + "\n")
        yield proc.lab.env.timeout(10**6)
        if proc.lab.env.now > 3000 * SECOND:
            return 1


def sysctl(proc):
    table = proc.lab.sysctls
    if proc.argv[1:] == ["-a"]:
        proc.write("".join(f"{key} = {value}\n" for key, value in sorted(table.items())))
        return 0
    key, _, value = proc.argv[-1].partition("=")
    if key not in table or not value.isdigit():
        proc.write_err(f'sysctl: setting key "{key}": Invalid argument\n')
        return 1
    table[key] = value
    proc.write(f"{key} = {value}\n")
    return 0


def storm(proc):
    """An instant that never ends."""
    while True:
        yield proc.lab.env.timeout(0)


def install():
    me = "shell_driver" if __name__ != "__main__" else "__main__"
    for name, function in {"ip": "ip", "ping": "ping", "tcpdump": "flood", "sysctl": "sysctl", "tc": "storm"}.items():
        TOOLS[name] = f"{me}:{function}"
    TOOLS["ethtool"] = "simvlan.tools.of_next_year:main"


def main(argv):
    install()
    if "PATIENT" in os.environ:
        server.INSISTED = 10**6
    lab = FakeLab()
    confined = "--unconfined" not in argv
    argv = [word for word in argv if word != "--unconfined"]
    try:
        if argv == ["sh"]:
            status = run_shell(lab, confined=confined)
        else:
            status = run_script(lab, argv[0], argv[1:], confined=confined)
    except (Forbidden, ScriptMissing) as error:
        print(f"driver: {error}", file=sys.stderr)
        status = 2
    for where, frame in lab.sent:
        print(f"sent {where} {bytes(frame).hex()}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
