"""The command line: `simvlan run | sh | send | trace | matrix`. Nothing heavy is imported before it is needed.

Exit codes: 0 ok; 1 assertion, reachability or agreement failed; 2 usage or parse error; 3 warnings only; 4 kernel
oracle unavailable; `run` and `sh` pass on the script's own.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from simvlan import __version__

FAILED, USAGE, WARNED, NO_KERNEL = 1, 2, 3, 4
NOT_BUILT = {
    "live": "wall-clock runs with TAP devices",
}
"""Verbs of later versions: refused by name, not listed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in NOT_BUILT:
        return complain(f"`{words[0]}` ({NOT_BUILT[words[0]]}) is not built yet")
    try:
        options = parse(words)
        status: int = options.verb(options)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads has gone (`simvlan matrix ... | head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to fail at exit
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return status


def parse(words: list[str]) -> argparse.Namespace:
    """Read the command line; a frame may stand before or after the options (argparse alone takes it before only)."""
    made = parser()
    options, rest = made.parse_known_args(words)
    if len(rest) == 1 and not rest[0].startswith("-") and getattr(options, "expression", rest) is None:
        options.expression = rest.pop()
    if rest:
        made.error(f"unrecognized arguments: {' '.join(rest)}")
    return options


def complain(text: str, status: int = USAGE) -> int:
    """Say what is wrong, in one line, and give the status back."""
    print(f"simvlan: {text}", file=sys.stderr)
    return status


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="simvlan", description="See where every Ethernet frame goes in a Linux container network, and why."
    )
    top.add_argument("--version", action="version", version=f"simvlan {__version__}")
    verbs = top.add_subparsers(metavar="VERB", required=True)
    _run_parser(verbs)
    _sh_parser(verbs)
    _send_parser(verbs)
    _trace_parser(verbs)
    _matrix_parser(verbs)
    _serve_parser(verbs)
    _exec_parser(verbs)
    _diff_parser(verbs)
    _fuzz_parser(verbs)
    _bench_parser(verbs)
    _doctor_parser(verbs)
    return top


def _run_parser(verbs: Any) -> None:
    run = verbs.add_parser(
        "run",
        help="run a bash script whose network commands act on a simulated kernel",
        description="Run an unmodified bash script whose network commands (ip, bridge, ping, ...) act on a simulated"
        " kernel, in virtual time. The exit status is the script's.",
    )
    _recordings(run)
    _world(run)
    run.add_argument("--on", choices=["sim", "host", "uml"], default="sim", help="which kernel (default: sim)")
    run.add_argument("--timeout", type=seconds, metavar="S", help="on a kernel: end the script after S seconds (600)")
    run.add_argument("script", metavar="SCRIPT", help="a file; - is standard input")
    run.add_argument("args", metavar="ARG", nargs=argparse.REMAINDER, help="the script's own arguments")
    run.set_defaults(verb=run_verb)


def seconds(text: str) -> float:
    """A positive number of seconds."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no time: seconds are expected, such as 60")
    return value


def _sh_parser(verbs: Any) -> None:
    shell = verbs.add_parser("sh", help="the same, as an interactive shell")
    _recordings(shell)
    _world(shell)
    shell.set_defaults(verb=sh_verb)


def _send_parser(verbs: Any) -> None:
    send = verbs.add_parser("send", help="transmit a frame on a device (inside a script)")
    send.add_argument("--netns", metavar="NS", help="the device's namespace (default: the script's)")
    send.add_argument("device", metavar="DEV")
    send.add_argument("expression", metavar="SCAPY", nargs="?", help="such as 'Ether()/IP(dst=\"10.0.0.2\")/ICMP()'")
    send.add_argument("--hex", dest="octets", metavar="OCTETS", help="the frame as hex digits")
    send.add_argument("--count", type=int, default=1, metavar="N")
    send.set_defaults(verb=send_verb)


def _trace_parser(verbs: Any) -> None:
    trace = verbs.add_parser("trace", help="where one frame would go after a script has run, and why")
    _world(trace)
    trace.add_argument("--json", action="store_true", help="print JSON")
    trace.add_argument("script", metavar="SCRIPT")
    trace.add_argument("--from", dest="source", metavar="DEV", required=True, help="the sending device, [NETNS/]DEV")
    trace.add_argument("expression", metavar="SCAPY", nargs="?", help="the frame as a scapy expression")
    trace.add_argument("--hex", dest="octets", metavar="OCTETS", help="the frame as hex digits")
    trace.set_defaults(verb=trace_verb)


def _matrix_parser(verbs: Any) -> None:
    matrix = verbs.add_parser("matrix", help="who reaches whom by ping after a script has run, and why not")
    _world(matrix)
    matrix.add_argument("--json", action="store_true", help="print JSON")
    matrix.add_argument("--picture", metavar="FILE", help="save a heat map too")
    matrix.add_argument("script", metavar="SCRIPT")
    matrix.add_argument("--between", metavar="NS", nargs="+", help="these namespaces only")
    matrix.set_defaults(verb=matrix_verb)


def _bench_parser(verbs: Any) -> None:
    bench = verbs.add_parser(
        "bench",
        help="how many frames a second each engine forwards on this machine",
        description="Forward 64-octet frames among 64 containers on a learning bridge, engine by engine.",
    )
    bench.add_argument("--json", action="store_true", help="print JSON")
    bench.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the traffic (default: 0)")
    bench.set_defaults(verb=bench_verb)


def _serve_parser(verbs: Any) -> None:
    serve = verbs.add_parser(
        "serve",
        help="a Docker engine for each node, for the docker command",
        description="Serve the Docker Engine API on a Unix socket per node: docker -H unix://.../node-1.sock ...",
    )
    _world(serve)
    serve.add_argument("script", metavar="LAB", nargs="?", help="a script or a *.clab.yml file (default: one node)")
    serve.add_argument("--node", metavar="NETNS", action="append", help="a namespace that has an engine (default: all)")
    serve.add_argument("--sockets", metavar="DIR", help="where the sockets go (default: a private folder)")
    serve.add_argument("--state", metavar="DIR", help="keep networks and containers here, through any crash")
    serve.add_argument("--fast", action="store_true", help="virtual time instead of the wall's")
    serve.add_argument("--dialect", default="28", choices=["1.12", "27", "28", "29"], help="the release of Docker")
    serve.set_defaults(verb=serve_verb)


def _doctor_parser(verbs: Any) -> None:
    doctor = verbs.add_parser(
        "doctor",
        help="what this machine's kernels and tools can do, and how to get what is missing",
        description="Exit status 0: all is there; 3: something is missing; 1: the simulator does not run; 4: the kernel"
        " asked for is not there.",
    )
    doctor.add_argument("--kernel", choices=("uml", "host"), help="look at this kernel only")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.set_defaults(verb=doctor_verb)


def _diff_parser(verbs: Any) -> None:
    diff = verbs.add_parser(
        "diff",
        help="the same script on the simulator and on a kernel: do they agree?",
        description="Run a script on the simulator and on a real Linux kernel and compare every frame at every device,"
        " the exit status, the listings of ip and bridge with their counters, and the output. Exit status 0: they"
        " agree; 1: they do not; 4: no such kernel here.",
    )
    _world(diff)
    diff.add_argument("--kernel", choices=("uml", "host"), required=True, help="User Mode Linux, or the host's (root)")
    diff.add_argument("--json", action="store_true", help="print JSON")
    diff.add_argument("--timeout", type=seconds, metavar="S", help="end the script after S seconds (600)")
    diff.add_argument("--tries", type=_count, default=3, metavar="N", help="what disagrees must do so N times (3)")
    diff.add_argument("script", metavar="SCRIPT", help="a file; - is standard input")
    diff.add_argument("args", metavar="ARG", nargs=argparse.REMAINDER, help="the script's own arguments")
    diff.set_defaults(verb=diff_verb)


def _exec_parser(verbs: Any) -> None:
    inside = verbs.add_parser(
        "exec",
        help="a simulated command in a lab that is served",
        description="Run ip, bridge, ping, tcpdump, `simvlan trace` ... in a network namespace of a lab that"
        " `simvlan serve` serves. The exit status is the command's.",
    )
    inside.add_argument("--sockets", metavar="DIR", help="as given to serve")
    inside.add_argument("--netns", metavar="NS", default="", help="the namespace (default: the initial one)")
    inside.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER)
    inside.set_defaults(verb=exec_verb)


def _fuzz_parser(verbs: Any) -> None:
    fuzz = verbs.add_parser(
        "fuzz",
        help="random networks and frames, on the simulator and on a real kernel",
        description="Run random networks and frames on the simulator and on a real kernel and compare every frame,"
        " answer and listing. What disagrees is shrunk and saved as a script for `simvlan diff`. A campaign that was"
        " interrupted goes on where it stopped when the same command is given again.",
    )
    fuzz.add_argument("--kernel", choices=("uml", "host"), required=True, help="User Mode Linux, or the host's (root)")
    fuzz.add_argument("--scenarios", type=_count, default=100, metavar="N", help="how many networks (default: 100)")
    fuzz.add_argument("--frames", type=_count, default=60, metavar="M", help="frames sent in each (default: 60)")
    fuzz.add_argument("--seed", type=int, default=0, metavar="S", help="seed of the first; the others follow")
    fuzz.add_argument("--jobs", type=_count, default=2, metavar="J", help="guests at a time (default: 2)")
    fuzz.add_argument("--out", metavar="DIR", help="state and scripts (default: fuzz-KERNEL-SEED)")
    fuzz.add_argument("--fresh", action="store_true", help="begin anew instead of going on")
    fuzz.add_argument(
        "--replay", action="store_true", help="compare again with what the kernel did, without running it"
    )
    fuzz.add_argument(
        "--reuse", metavar="FILE", help="a recording: what the kernel did with scenarios that are the same"
    )
    fuzz.add_argument("--time-limit", type=float, metavar="S", help="stop after so many seconds; go on another time")
    fuzz.add_argument(
        "--shrink-time", type=float, default=60.0, metavar="S", help="for each kind of disagreement; 0: no"
    )
    fuzz.add_argument("--json", action="store_true", help="print the report as JSON")
    fuzz.set_defaults(verb=fuzz_verb)


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value


def _recordings(made: argparse.ArgumentParser) -> None:
    made.add_argument("--pcap", metavar="DIR", help="leave one pcap per device and namespace in DIR")
    made.add_argument("--pcapng", metavar="FILE", help="all frames in one file, with comments that say why")
    made.add_argument("--trace", metavar="FILE", help="every step as a line of JSON")


def _world(made: argparse.ArgumentParser) -> None:
    made.add_argument("--seed", type=int, metavar="N", help="seed of every random choice (default: 0)")
    made.add_argument(
        "--unconfined", action="store_true", help="do without private namespaces: only PATH protects the machine"
    )


# -- verbs ---------------------------------------------------------------------------------------------------------


COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


def run_verb(options: argparse.Namespace) -> int:
    """simvlan run."""
    if options.on != "sim":
        return run_on_kernel(options)
    if options.timeout is not None:
        return complain("--timeout is for --on host|uml: on the simulator time is virtual")
    from simvlan.shell.run import run_script

    if is_compose(options.script):
        return _recorded(options, lambda lab: _compose(lab, options))
    return _recorded(options, lambda lab: run_script(lab, options.script, options.args, confined=_confined(options)))


def is_compose(path: str) -> bool:
    """Whether a file is docker compose's, by its name."""
    return path.rpartition("/")[2] in COMPOSE_FILES


def _compose(lab: Any, options: argparse.Namespace) -> int:
    """Run `docker compose up` on a node with two NICs."""
    from simvlan.docker.compose import UP, build_node
    from simvlan.shell.run import run_text

    build_node(lab)
    return run_text(lab, UP, [options.script, *options.args], confined=_confined(options))


def sh_verb(options: argparse.Namespace) -> int:
    """simvlan sh."""
    from simvlan.shell.run import run_shell

    return _recorded(options, lambda lab: run_shell(lab, confined=_confined(options)))


def send_verb(_options: argparse.Namespace) -> int:
    """simvlan send, outside any script: inside one, the script's simulator answers instead of this program."""
    return complain("send: there is no network here; use it inside a script of `simvlan run` or in `simvlan sh`")


def trace_verb(options: argparse.Namespace) -> int:
    """simvlan trace: run the script, then follow one frame without sending it."""
    from simvlan.shell.send import frame_of

    try:
        frame = frame_of(options.octets, options.expression)
    except ValueError as error:
        return complain(f"trace: {error}")
    lab, status = _after(options)
    if status:
        return status
    try:
        walk = lab.trace(options.source, frame)
    except (KeyError, ValueError, OSError) as error:
        return complain(f"trace: {options.source}: {error.args[0] if error.args else error}")
    print(walk.to_json() if options.json else walk.to_text())
    return 0 if walk.deliveries else FAILED


def matrix_verb(options: argparse.Namespace) -> int:
    """simvlan matrix: run the script, then ping between all pairs without leaving a trace."""
    lab, status = _after(options)
    if status:
        return status
    try:
        matrix = lab.matrix(options.between)
    except (KeyError, ValueError) as error:
        return complain(f"matrix: {error.args[0] if error.args else error}")
    print(matrix.to_json() if options.json else matrix.to_text())
    try:
        if options.picture:
            matrix.save(options.picture)
    except (OSError, ValueError) as error:
        return complain(f"matrix: {options.picture}: {getattr(error, 'strerror', None) or error}")
    return 0 if matrix.complete else FAILED


def bench_verb(options: argparse.Namespace) -> int:
    """simvlan bench: measure every engine on this machine."""
    import json

    from simvlan.bench import table

    rates = table(options.seed)
    print(json.dumps(rates.rows) if options.json else rates)
    return 0


def serve_verb(options: argparse.Namespace) -> int:
    """simvlan serve: build the lab, then serve its engines."""
    try:
        from simvlan.docker.labs import TopologyError, is_topology, load
        from simvlan.docker.serve import new_cluster, one_node, serve
    except ModuleNotFoundError as missing:
        return complain(f"serve: the module {missing.name} is missing: pip install 'simvlan[docker]'")
    lab = new_lab(options)
    cluster = new_cluster(lab, options)
    if options.script is None:
        nodes = one_node(lab)
    elif is_topology(options.script):
        try:
            nodes = load(options.script).build(lab)
        except TopologyError as error:
            return complain(f"serve: {error}")
        except OSError as error:
            return complain(f"serve: {options.script}: {error.strerror}")
    else:
        _, status = _after(options, lab)
        if status:
            return status
        nodes = list(cluster.machines) or [name for name in lab.network.netns if name] or [""]
    unknown = [node for node in options.node or [] if node not in lab.network.netns]
    if unknown:
        return complain(f"serve: no network namespace {unknown[0]!r} in {options.script}")
    return serve(cluster, options.node or nodes, options)


def exec_verb(options: argparse.Namespace) -> int:
    """simvlan exec: a command in a served lab."""
    from simvlan.docker.control import execute
    from simvlan.docker.serve import CONTROL, socket_folder

    if not options.command:
        return complain("exec: which command?")
    path = socket_folder(options.sockets) / CONTROL
    try:
        return execute(path, options.netns, options.command)
    except OSError as error:
        return complain(f"exec: {path}: {error.strerror}: is `simvlan serve` running?")


def fuzz_verb(options: argparse.Namespace) -> int:
    """simvlan fuzz."""
    from simvlan.oracle.fuzz.verb import fuzz

    return fuzz(options)


def doctor_verb(options: argparse.Namespace) -> int:
    """simvlan doctor."""
    from simvlan.oracle import doctor

    return doctor.run(options)


def diff_verb(options: argparse.Namespace) -> int:
    """simvlan diff."""
    from simvlan.oracle import verb

    return verb.run(options)


def run_on_kernel(options: argparse.Namespace) -> int:
    """The same script on a real kernel, if this machine offers one."""
    for name, why in SIM_ONLY.items():
        if getattr(options, name) not in (None, False):
            return complain(f"--{name} needs the simulator ({why}): use --on sim")
    from simvlan.oracle.run import TIMEOUT_S, run_on_kernel

    limit = options.timeout or TIMEOUT_S
    return run_on_kernel(options.on, options.script, options.args, pcap=options.pcap, timeout_s=limit)


SIM_ONLY = {
    "pcapng": "a real kernel does not say why",
    "trace": "a real kernel does not say why",
    "seed": "a real kernel draws its own numbers",
    "unconfined": "on a kernel, namespaces are where the script runs",
}
"""Options that make no sense on a real kernel."""


def _confined(options: argparse.Namespace) -> bool:
    if options.unconfined:
        print("simvlan: unconfined: only PATH keeps this script from the real network", file=sys.stderr)
    return not options.unconfined


def _recorded(options: argparse.Namespace, play: Any) -> int:
    """Play something on a new lab, recording what was asked for."""
    try:
        lab = new_lab(options)
        with recording(lab, options):
            return _guarded(play, lab)
    except OSError as error:
        return complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _after(options: argparse.Namespace, lab: Any = None) -> tuple[Any, int]:
    """A lab as the script left it; its output goes to standard error, out of the way of the answer."""
    from simvlan.shell.run import Streams, run_script

    lab = lab or new_lab(options)
    confined, streams = _confined(options), Streams(stdout=2)
    status = _guarded(lambda it: run_script(it, options.script, confined=confined, streams=streams), lab)
    if status:
        print(f"simvlan: {options.script} ended with status {status}", file=sys.stderr)
    return lab, status


def _guarded(play: Any, lab: Any) -> int:
    from simvlan.shell.run import Forbidden, ScriptMissing

    try:
        status: int = play(lab)
        _report_storms(lab)
        return status
    except ScriptMissing as missing:
        return complain(str(missing))
    except Forbidden as forbidden:
        return complain(
            f"this machine does not allow private namespaces ({forbidden}), so a script could reach the real network;"
            " --unconfined runs it all the same"
        )


def _report_storms(lab: Any) -> None:
    """Say that frames were given up because they went in a circle, where, and what helps."""
    from simvlan.verdict import Drop

    if lab.network.storms:
        where = ", ".join(sorted(lab.network.storms))
        complain(f"{lab.network.storms.total()} frames given up on {where}: {Drop.STORM.sentence}")
        complain(f"remedy: {Drop.STORM.remedy}")


def new_lab(options: argparse.Namespace) -> Any:
    """An empty lab."""
    from simvlan.lab import Lab

    return Lab(seed=options.seed or 0)


@contextlib.contextmanager
def recording(lab: Any, options: argparse.Namespace) -> Iterator[None]:
    """Write --pcap, --pcapng and --trace while something runs."""
    from simvlan.capture import PcapDir
    from simvlan.capture_ng import PcapNg
    from simvlan.trace import JsonLines, listen

    with contextlib.ExitStack() as stack:
        if options.pcap:
            stack.callback(PcapDir(lab.network, options.pcap).flush)
        if options.pcapng:
            stack.callback(PcapNg(lab.network, stack.enter_context(open(options.pcapng, "wb"))).flush)
        if options.trace:
            listen(lab.network, JsonLines(stack.enter_context(open(options.trace, "w", encoding="utf-8"))))
        yield


if __name__ == "__main__":
    sys.exit(main())
