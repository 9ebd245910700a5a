"""The command line: what each verb does; its words are in `arguments.py`. Nothing heavy is imported too early.

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

from simvlan.arguments import parse

FAILED, USAGE, WARNED, NO_KERNEL = 1, 2, 3, 4


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        options = parse(words)
        status: int = VERBS[options.verb](options)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads has gone (`simvlan matrix ... | head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to fail at exit
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return status


def complain(text: str, status: int = USAGE) -> int:
    """Say what is wrong, in one line, and give the status back."""
    print(f"simvlan: {text}", file=sys.stderr)
    return status


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
    if wrong := _wrong_underlay("trace", options.underlay):
        return wrong
    lab, status = _after(options)
    if status:
        return status
    try:
        _lay(lab, options.underlay)
        walk = lab.trace(options.source, frame)
    except (KeyError, ValueError, OSError) as error:
        return complain(f"trace: {options.source}: {error.args[0] if error.args else error}")
    print(walk.to_json() if options.json else walk.to_text())
    return _drawn("trace", walk, options.picture) or (0 if walk.deliveries else FAILED)


def matrix_verb(options: argparse.Namespace) -> int:
    """simvlan matrix: run the script, then ping between all pairs without leaving a trace."""
    if wrong := _wrong_underlay("matrix", options.underlay):
        return wrong
    lab, status = _after(options)
    if status:
        return status
    try:
        _lay(lab, options.underlay)
        matrix = lab.matrix(options.between)
    except (KeyError, ValueError) as error:
        return complain(f"matrix: {error.args[0] if error.args else error}")
    print(matrix.to_json() if options.json else matrix.to_text())
    return _drawn("matrix", matrix, options.picture) or (0 if matrix.complete else FAILED)


def _drawn(verb: str, what: Any, path: str | None) -> int:
    """Save the picture that was asked for; 2 if that cannot be."""
    if path is None:
        return 0
    from simvlan.plot import save

    try:
        save(what.plot(), path)
    except (OSError, ValueError) as error:
        return complain(f"{verb}: {path}: {getattr(error, 'strerror', None) or error}")
    return 0


def _wrong_underlay(verb: str, underlays: Sequence[str]) -> int:
    """Refuse a wrong word before the script is run for nothing."""
    if underlays:
        from simvlan.underlay.words import checked

        try:
            for text in underlays:
                checked(text.rpartition("=")[2])
        except ValueError as error:
            return complain(f"{verb}: --underlay {error}")
    return 0


def _lay(lab: Any, underlays: Sequence[str]) -> None:
    """Lay every `[DEV=]WORD`, and say under which NICs."""
    for text in underlays:
        place, _, word = text.rpartition("=")
        nics = lab.underlay(word, place)
        print(f"simvlan: {word} under {', '.join(nics)}", file=sys.stderr)


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


def live_verb(options: argparse.Namespace) -> int:
    """simvlan live: run the script, then lead its wires to real devices."""
    from simvlan.live.verb import run

    return run(options, lambda: _after(options))


def exec_verb(options: argparse.Namespace) -> int:
    """simvlan exec: a command in a served lab."""
    from simvlan.docker.control import execute
    from simvlan.docker.private import CONTROL, socket_folder

    if not options.command:
        return complain("exec: which command?")
    folder, command = socket_folder(options.sockets), list(options.command)
    if (folder / command[0] / CONTROL).exists():  # simvlan exec ID ...: one of `simvlan live`
        folder /= command.pop(0)
    if not command:
        return complain("exec: which command?")
    try:
        return execute(folder / CONTROL, options.netns, command)
    except OSError as error:
        return complain(f"exec: {folder / CONTROL}: {error.strerror}: is `simvlan serve` or `simvlan live` running?")


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
    return run_on_kernel(
        options.on, options.script, options.args, pcap=options.pcap, timeout_s=limit, ipv6=options.ipv6
    )


SIM_ONLY = {
    "gso": "a real kernel sends super-packets unless ethtool -K switches them off",
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

    return Lab(seed=options.seed or 0, ipv6=options.ipv6, gso=options.gso)


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


VERBS = {
    "run": run_verb,
    "sh": sh_verb,
    "send": send_verb,
    "trace": trace_verb,
    "matrix": matrix_verb,
    "serve": serve_verb,
    "live": live_verb,
    "exec": exec_verb,
    "diff": diff_verb,
    "fuzz": fuzz_verb,
    "bench": bench_verb,
    "doctor": doctor_verb,
}

if __name__ == "__main__":
    sys.exit(main())
