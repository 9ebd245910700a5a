"""What the command line takes: a parser for each verb. Only argparse is imported: `simvlan --help` is instant."""

from __future__ import annotations

import argparse
from typing import Any

from simvlan import __version__


def parse(words: list[str]) -> argparse.Namespace:
    """Read the command line; a frame may stand before or after the options (argparse alone takes it before only)."""
    made = parser()
    options, rest = made.parse_known_args(_kernel_first(words))
    if len(rest) == 1 and not rest[0].startswith("-") and getattr(options, "expression", rest) is None:
        options.expression = rest.pop()
    if rest:
        made.error(f"unrecognized arguments: {' '.join(rest)}")
    return options


def _kernel_first(words: list[str]) -> list[str]:
    """Let the kernel of `simvlan diff SCRIPT --kernel K` stand behind the script; all else is the script's."""
    if words[:1] != ["diff"] or "--kernel" not in words:
        return words
    at = words.index("--kernel")
    return ["diff", *words[at : at + 2], *words[1:at], *words[at + 2 :]]


def seconds(text: str) -> float:
    """A positive number of seconds."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no time: seconds are expected, such as 60")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value


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
    _live_parser(verbs)
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
    _timeout(run, "on a kernel: end the script after S seconds (600)")
    _script(run)
    run.set_defaults(verb="run")


def _sh_parser(verbs: Any) -> None:
    shell = verbs.add_parser("sh", help="the same, as an interactive shell")
    _recordings(shell)
    _world(shell)
    shell.set_defaults(verb="sh")


def _send_parser(verbs: Any) -> None:
    send = verbs.add_parser("send", help="transmit a frame on a device (inside a script)")
    send.add_argument("--netns", metavar="NS", help="the device's namespace (default: the script's)")
    send.add_argument("device", metavar="DEV")
    _frame(send)
    send.add_argument("--count", type=int, default=1, metavar="N")
    send.set_defaults(verb="send")


def _trace_parser(verbs: Any) -> None:
    trace = verbs.add_parser("trace", help="where one frame would go after a script has run, and why")
    _world(trace)
    _underlays(trace)
    _json(trace)
    _script(trace, args=False)
    trace.add_argument("--from", dest="source", metavar="DEV", required=True, help="the sending device, [NETNS/]DEV")
    _frame(trace)
    trace.add_argument("--picture", metavar="FILE", help="save a ladder diagram too")
    trace.set_defaults(verb="trace")


def _matrix_parser(verbs: Any) -> None:
    matrix = verbs.add_parser("matrix", help="who reaches whom by ping after a script has run, and why not")
    _world(matrix)
    _underlays(matrix)
    _json(matrix)
    matrix.add_argument("--picture", metavar="FILE", help="save a heat map too")
    _script(matrix, args=False)
    matrix.add_argument("--between", metavar="NS", nargs="+", help="these namespaces only")
    matrix.set_defaults(verb="matrix")


def _bench_parser(verbs: Any) -> None:
    bench = verbs.add_parser(
        "bench",
        help="how many frames a second each engine forwards on this machine",
        description="Forward 64-octet frames among 64 containers on a learning bridge, engine by engine.",
    )
    _json(bench)
    bench.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the traffic (default: 0)")
    bench.set_defaults(verb="bench")


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
    _attachments(serve)
    serve.add_argument("--fast", action="store_true", help="virtual time instead of the wall's")
    serve.add_argument("--dialect", default="28", choices=["1.12", "27", "28", "29"], help="the release of Docker")
    serve.set_defaults(verb="serve")


def _live_parser(verbs: Any) -> None:
    live = verbs.add_parser(
        "live",
        help="a script's network in wall-clock time, its wires led to real devices",
        description="Run the script in virtual time, then let real programs' packets through its network: what the"
        " device NETNS/DEV transmits leaves by the real endpoint, what that delivers the device receives.",
    )
    _world(live)
    _attachments(live)
    live.add_argument("--watch", action="store_true", help="a table of devices, rates and drops, every second")
    live.add_argument("--pcapng", metavar="FILE", help="all frames as they come, for Wireshark: a file, FIFO or -")
    _json(live)
    live.add_argument("--name", default="live", metavar="ID", help="for `simvlan exec ID ...` (default: live)")
    live.add_argument("--sockets", metavar="DIR", help="where the control socket goes (default: a private folder)")
    live.add_argument("--for", dest="duration", type=seconds, metavar="S", help="end after S seconds (default: Ctrl-C)")
    _script(live, args=False)
    live.set_defaults(verb="live")


def _doctor_parser(verbs: Any) -> None:
    doctor = verbs.add_parser(
        "doctor",
        help="what this machine's kernels and tools can do, and how to get what is missing",
        description="Exit status 0: all is there; 3: something is missing; 1: the simulator does not run; 4: the kernel"
        " asked for is not there.",
    )
    doctor.add_argument("--kernel", choices=("uml", "host"), help="look at this kernel only")
    _json(doctor)
    doctor.set_defaults(verb="doctor")


def _diff_parser(verbs: Any) -> None:
    diff = verbs.add_parser(
        "diff",
        help="the same script on the simulator and on a kernel: do they agree?",
        description="Run a script on the simulator and on a real Linux kernel and compare every frame at every device,"
        " the exit status, the listings of ip and bridge with their counters, and the output. Exit status 0: they"
        " agree; 1: they do not; 4: no such kernel here.",
    )
    _world(diff)
    _kernel(diff)
    _json(diff)
    _timeout(diff, "end the script after S seconds (600)")
    diff.add_argument("--tries", type=_count, default=3, metavar="N", help="what disagrees must do so N times (3)")
    _script(diff)
    diff.set_defaults(verb="diff")


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
    inside.set_defaults(verb="exec")


def _fuzz_parser(verbs: Any) -> None:
    fuzz = verbs.add_parser(
        "fuzz",
        help="random networks and frames, on the simulator and on a real kernel",
        description="Run random networks and frames on the simulator and on a real kernel and compare every frame,"
        " answer and listing. What disagrees is shrunk and saved as a script for `simvlan diff`. A campaign that was"
        " interrupted goes on where it stopped when the same command is given again.",
    )
    _kernel(fuzz)
    _ipv6(fuzz)
    fuzz.add_argument("--scenarios", type=_count, default=100, metavar="N", help="how many networks (default: 100)")
    fuzz.add_argument("--frames", type=_count, default=60, metavar="M", help="frames sent in each (default: 60)")
    fuzz.add_argument("--seed", type=int, default=0, metavar="S", help="seed of the first; the others follow")
    fuzz.add_argument(
        "--timed",
        action="store_true",
        help="networks that sleep for true instead: spanning trees and ageing; with"
        " --ipv6 duplicates, routers, neighbours' timers and bridges that listen to MLD",
    )
    fuzz.add_argument("--jobs", type=_count, default=2, metavar="J", help="guests at a time (default: 2)")
    fuzz.add_argument("--out", metavar="DIR", help="state and scripts (default: fuzz-KERNEL[-ipv6][-timed]-SEED)")
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
    _json(fuzz)
    fuzz.set_defaults(verb="fuzz")


def _script(made: argparse.ArgumentParser, *, args: bool = True) -> None:
    made.add_argument("script", metavar="SCRIPT", help="a file; - is standard input")
    if args:
        made.add_argument("args", metavar="ARG", nargs=argparse.REMAINDER, help="the script's own arguments")


def _frame(made: argparse.ArgumentParser) -> None:
    example = "such as 'Ether()/IP(dst=\"10.0.0.2\")/ICMP()'"
    made.add_argument("expression", metavar="SCAPY", nargs="?", help=f"the frame as a scapy expression, {example}")
    made.add_argument("--hex", dest="octets", metavar="OCTETS", help="the frame as hex digits")


def _kernel(made: argparse.ArgumentParser) -> None:
    about = "User Mode Linux, or the host's (root)"
    made.add_argument("--kernel", choices=("uml", "host"), required=True, help=about)


def _timeout(made: argparse.ArgumentParser, about: str) -> None:
    made.add_argument("--timeout", type=seconds, metavar="S", help=about)


def _json(made: argparse.ArgumentParser) -> None:
    made.add_argument("--json", action="store_true", help="print JSON")


def _recordings(made: argparse.ArgumentParser) -> None:
    made.add_argument("--pcap", metavar="DIR", help="leave one pcap per device and namespace in DIR")
    made.add_argument("--pcapng", metavar="FILE", help="all frames in one file, with comments that say why")
    made.add_argument("--trace", metavar="FILE", help="every step as a line of JSON")


def _attachments(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--attach",
        metavar="NETNS/DEV=REAL",
        action="append",
        default=[],
        help="lead the wire of a simulated device to tap:NAME (a TAP, made if need be), dev:NAME[,promisc] (a device of"
        " this machine) or netns:REAL-NETNS/NAME (a veth made there); may be repeated (docs/live.md)",
    )


def _underlays(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--underlay",
        metavar="[DEV=]WORD",
        action="append",
        default=[],
        help="virtualbox, vmware, wifi-sta, port-security:N, cloud, finite-fdb:N, offload-strips-vlan: under a NIC, a"
        " bridge (its NICs), or every switch that a macvlan, ipvlan or VLAN hangs on (docs/underlays.md)",
    )


def _ipv6(made: argparse.ArgumentParser) -> None:
    made.add_argument("--ipv6", action="store_true", help="namespaces start with IPv6 on (default: disable_ipv6=1)")


def _world(made: argparse.ArgumentParser) -> None:
    _ipv6(made)
    made.add_argument(
        "--gso", action="store_true", help="TCP's super-packets cross virtual devices whole, as on Linux (default: cut)"
    )
    made.add_argument("--seed", type=int, metavar="N", help="seed of every random choice (default: 0)")
    made.add_argument(
        "--unconfined", action="store_true", help="do without private namespaces: only PATH protects the machine"
    )
