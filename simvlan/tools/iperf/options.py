"""The command line of iperf3 3.12: what it takes, what it complains of, what is not built."""

from __future__ import annotations

from dataclasses import dataclass

from simvlan.tools.common import Refused, permute
from simvlan.tools.hosts import Host, literal

SPEC = "46sc:p:t:i:ub:l:JD1C:n:P:Rw:M:NVf:B:k:hvS:O:A:T:ZL:I:F:d"
BUILT = frozenset("46scptiublJ1CnPRwMNfkxgEDIBOToV")
CLIENT_ONLY = frozenset("tbuPRlnkCwMNxgO")
LONG = {
    "json": "-J", "udp": "-u", "server": "-s", "one-off": "-1", "client": "-c", "port": "-p", "time": "-t",
    "reverse": "-R", "interval": "-i", "bandwidth": "-b", "bitrate": "-b", "length": "-l", "congestion": "-C",
    "bytes": "-n", "blockcount": "-k", "parallel": "-P", "window": "-w", "set-mss": "-M", "no-delay": "-N",
    "format": "-f", "bidir": "-x", "forceflush": "-E", "version": "-v", "help": "-h",
    "get-server-output": "-g", "version4": "-4", "version6": "-6",
    "omit": "-O", "verbose": "-V", "daemon": "-D", "logfile": "-o", "bind": "-B", "zerocopy": "-Z", "tos": "-S",
    "pidfile": "-I", "title": "-T", "file": "-F", "affinity": "-A", "flowlabel": "-L", "debug": "-d",
}  # fmt: skip
_OTHERS = """
bind-dev timestamps rcv-timeout snd-timeout server-bitrate-limit idle-timeout sctp xbind nstreams
connect-timeout pacing-timer fq-rate cport dscp extra-data udp-counters-64bit repeating-payload dont-fragment username
rsa-public-key-path rsa-private-key-path authorized-users-path time-skew-threshold
"""
NOT_BUILT = frozenset(_OTHERS.split())
"""Long options of iperf3 3.12 without a letter."""
VALUED = frozenset(["-c", "-p", "-t", "-i", "-b", "-l", "-C", "-n", "-k", "-P", "-w", "-M", "-f", "-O", "-B", "-S"])
USAGE = """
Usage: iperf3 [-s|-c host] [options]
       iperf3 [-h|--help] [-v|--version]

"""
MOST_STREAMS, MOST_BUFFER = 128, 212_992
"""MAX_STREAMS; net.core.wmem_max."""
MOST_SECONDS, MOST_BLOCK, MOST_MSS, UDP_BLOCKS, MOST_OMITTED = 86_400, 1 << 20, 9216, (16, 65_507), 60
"""MAX_TIME, MAX_BLOCKSIZE, MAX_MSS, MIN_ and MAX_UDP_BLOCKSIZE, MAX_OMIT_TIME."""


def wrong(text: str) -> Refused:
    """A parameter error."""
    return Refused(f"iperf3: parameter error - {text}\n{USAGE}")


def not_built(flag: str) -> Refused:
    """An option of iperf3's that is not there."""
    return Refused(f"simvlan: iperf3 {flag} is not built (docs/hosts.md says what is)\n", 95)


def bound_to(text: str, family: int) -> Host:
    """The address of -B."""
    found = literal(text, family) if text else Host(family or 4, 0)
    if found is None or family not in (0, found.family):
        raise Refused(f"simvlan: iperf3 -B {text}: an address of the same family is needed\n", 95)
    return found


def quantity(text: str, step: int = 1024) -> int:
    """`10M`: counted in 1024s, or in 1000s where it is a rate (unit_atoi, unit_atof_rate)."""
    factor = {"K": step, "M": step**2, "G": step**3, "T": step**4}.get(text[-1:].upper(), 1)
    digits = text[:-1] if factor > 1 else text
    try:
        return round(float(digits) * factor)
    except ValueError:
        raise wrong(f"invalid number: {text}") from None


@dataclass
class Options:
    """What iperf3 was told."""

    server: bool = False
    host: str = ""
    port: int = 5201
    json: bool = False
    once: bool = False
    udp: bool = False
    seconds: float = 10.0
    every: float = 1.0
    """0: no reports but the last."""
    rate: int = 0
    """Bits a second; 0: as much as goes."""
    length: int = 0
    """0: the usual."""
    size: int = 0
    """-n: octets; 0: by time."""
    blocks: int = 0
    parallel: int = 1
    reverse: bool = False
    bidir: bool = False
    window: int = 0
    mss: int = 0
    nodelay: bool = False
    congestion: str = ""
    unit: str = "a"
    """-f."""
    server_output: bool = False
    family: int = 0
    """-4 or -6; 0: both."""
    daemon: bool = False
    pidfile: str = ""
    bind: str = ""
    """-B: the own address."""
    omit: int = 0
    """-O: seconds at the beginning that do not count."""
    title: str = ""
    """-T: stands before each line."""
    logfile: str = ""
    verbose: bool = False


def read(words: list[str]) -> Options:
    """Read the command line.

    Raises:
        Refused: the text says why.
    """
    flags, _, fault = permute(_short(words), SPEC.replace("1", "1xgEo:"))
    given = dict(flags)
    if fault:
        raise Refused(f"iperf3: {fault}{USAGE}")
    _check(given)
    return _made(given)


def _short(words: list[str]) -> list[str]:
    """Long options by their letters."""
    made: list[str] = []
    for word in words:
        name, equals, value = word[2:].partition("=") if word.startswith("--") else ("", "", "")
        if not name:
            made.append(word)
            continue
        if name in NOT_BUILT:
            raise not_built(f"--{name}")
        if name not in LONG:
            raise Refused(f"iperf3: unrecognized option '--{name}'{USAGE}")
        made.append(LONG[name])
        if equals:
            made.append(value)
    return made


def _check(given: dict[str, str]) -> None:
    if "s" in given and "c" in given:
        raise wrong("cannot be both server and client")
    if "s" not in given and "c" not in given:
        raise wrong("must either be a client (-c) or server (-s)")
    if "s" in given and CLIENT_ONLY & set(given):
        raise wrong("some option you are trying to set is client only")
    if "s" in given and "V" in given:
        raise not_built("-s -V")
    if "c" in given and {"1", "D"} & set(given):
        raise wrong("some option you are trying to set is server only")
    for flag in given:
        if flag not in BUILT:
            raise not_built(f"-{flag}")
    if "R" in given and "x" in given:
        raise wrong("cannot be both reverse and bidirectional")
    if len({"t", "n", "k"} & set(given)) > 1:
        raise wrong("only one test end condition (-t, -n, -k) may be specified")


def _number(given: dict[str, str], flag: str, usual: str) -> float:
    text = given.get(flag, usual)
    if not text.replace(".", "", 1).isdigit():
        raise wrong(f"invalid number: {text}")
    return float(text)


def _made(given: dict[str, str]) -> Options:
    udp = "u" in given
    made = Options(
        server="s" in given, host=given.get("c", ""), port=int(_number(given, "p", "5201")), json="J" in given,
        once="1" in given, udp=udp, seconds=_number(given, "t", "10"), every=_number(given, "i", "1"),
        rate=quantity(given["b"].partition("/")[0], 1000) if "b" in given else 1_048_576 if udp else 0,
        length=quantity(given.get("l", "0")), size=quantity(given.get("n", "0")), blocks=quantity(given.get("k", "0")),
        parallel=int(_number(given, "P", "1")), reverse="R" in given, bidir="x" in given,
        window=quantity(given.get("w", "0")), mss=int(_number(given, "M", "0")), nodelay="N" in given,
        family=4 if "4" in given else 6 if "6" in given else 0,
        congestion=given.get("C", ""), unit=given.get("f", "a"), server_output="g" in given,
        daemon="D" in given, pidfile=given.get("I", ""), bind=given.get("B", ""),
        omit=int(_number(given, "O", "0")), title=given.get("T", ""), logfile=given.get("o", ""),
        verbose="V" in given,
    )  # fmt: skip
    _limits(made)
    return made


def _limits(made: Options) -> None:
    """What iperf_parse_arguments has to say of values."""
    if not 1 <= made.port <= 65_535:
        raise wrong("port number must be between 1 and 65535 inclusive")
    if made.seconds > MOST_SECONDS:
        raise wrong(f"test duration too long (maximum = {MOST_SECONDS} seconds)")
    if made.omit > MOST_OMITTED:
        raise wrong("bogus value for --omit")
    if made.mss > MOST_MSS:
        raise wrong(f"TCP MSS too large (maximum = {MOST_MSS} bytes)")
    if not made.udp and made.length > MOST_BLOCK:
        raise wrong(f"block size too large (maximum = {MOST_BLOCK} bytes)")
    if made.udp and made.length and not UDP_BLOCKS[0] <= made.length <= UDP_BLOCKS[1]:
        low, high = UDP_BLOCKS
        raise wrong(f"block size invalid (minimum = {low} bytes, maximum = {high} bytes)")
    if made.parallel > MOST_STREAMS:
        raise wrong(f"number of parallel streams too large (maximum = {MOST_STREAMS})")
    if made.every and not 0.1 <= made.every <= 60:
        raise wrong("report interval must be between 0.1 and 60 seconds")
    if made.unit not in ("a", *"kmgtKMGT"):
        raise wrong("bad format specifier (valid formats are in the set [kmgtKMGT])")
    if made.udp and not made.rate:
        raise Refused("simvlan: iperf3 -u -b 0 is not built: nothing holds datagrams back here; say a rate\n", 95)
