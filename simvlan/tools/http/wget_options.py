"""The command line of GNU Wget 1.21.3: options people use on plain HTTP; the others are refused by name."""

from __future__ import annotations

from dataclasses import dataclass, field

from simvlan.clock import SECOND
from simvlan.tools.common import Refused
from simvlan.tools.program import Process

USAGE = "Usage: wget [OPTION]... [URL]...\n\nTry `wget --help' for more options.\n"
FLAGS = {
    "-q": "quiet", "-nv": "no-verbose", "-v": "verbose", "-S": "server-response", "-4": "inet4-only",
    "-6": "inet6-only",
    "-nd": "no-directories", "-nH": "no-host-directories",
}  # fmt: skip
_PLAIN = """
quiet no-verbose verbose server-response inet4-only inet6-only spider no-check-certificate retry-connrefused no-proxy
no-cache no-dns-cache no-directories no-host-directories no-hsts
"""
PLAIN = frozenset(_PLAIN.split())
SHORT = {"-O": "output-document", "-P": "directory-prefix", "-T": "timeout", "-t": "tries", "-U": "user-agent"}
_VALUED = """
output-document directory-prefix timeout tries user-agent header post-data post-file connect-timeout
read-timeout dns-timeout waitretry max-redirect progress
"""
VALUED = frozenset(_VALUED.split())
_NOT_BUILT = """
recursive continue background input-file output-file append-output mirror no-clobber timestamping
page-requisites limit-rate bind-address user password http-user http-password load-cookies
save-cookies method body-data content-disposition wait random-wait quota accept reject level convert-links
no-parent show-progress help version content-on-error force-directories adjust-extension
"""
NOT_BUILT = frozenset(_NOT_BUILT.split())
SHORT_NOT_BUILT = {
    "-r": "recursive", "-c": "continue", "-b": "background", "-i": "input-file", "-o": "output-file",
    "-a": "append-output", "-m": "mirror", "-nc": "no-clobber", "-N": "timestamping", "-p": "page-requisites",
    "-w": "wait", "-k": "convert-links", "-np": "no-parent", "-h": "help", "-V": "version",
    "-E": "adjust-extension", "-x": "force-directories", "-A": "accept", "-R": "reject", "-l": "level", "-Q": "quota",
}  # fmt: skip


@dataclass
class Options:
    """What wget was told."""

    urls: list[str] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)
    output: str | None = None
    folder: str = ""
    timeout: int | None = None
    """In ns."""
    tries: int = 20
    waitretry: int = 10
    redirects: int = 20
    agent: str = "Wget/1.21.3"
    headers: list[tuple[str, str]] = field(default_factory=list)
    post: bytes | None = None

    @property
    def quiet(self) -> bool:
        """-q."""
        return "quiet" in self.flags

    @property
    def verbose(self) -> bool:
        """Neither -q nor -nv."""
        return not self.flags & {"quiet", "no-verbose"}

    @property
    def family(self) -> int:
        """-4 or -6; 0: both."""
        return 4 if "inet4-only" in self.flags else 6 if "inet6-only" in self.flags else 0

    @property
    def spider(self) -> bool:
        """Only ask whether it is there (--spider)."""
        return "spider" in self.flags

    @property
    def show_headers(self) -> bool:
        """-S."""
        return "server-response" in self.flags

    @property
    def retry_refused(self) -> bool:
        """--retry-connrefused."""
        return "retry-connrefused" in self.flags


def read(proc: Process) -> Options:
    """Read the command line.

    Raises:
        Refused: what wget does not know, or what is not built.
    """
    made, words = Options(), list(proc.argv[1:])
    while words:
        word = words.pop(0)
        if word.startswith("--") and len(word) > 2:
            name, glued, value = word[2:].partition("=")
            _option(proc, made, name, word.partition("=")[0], value if glued else None, words)
        elif word.startswith("-") and len(word) > 1:
            _short(proc, made, word, words)
        else:
            made.urls.append(word)
    if not made.urls:
        raise Refused(f"wget: missing URL\n{USAGE}", 1)
    return made


def _short(proc: Process, made: Options, word: str, words: list[str]) -> None:
    """`-qO-`, `-nv`, `-T5`."""
    rest = word[1:]
    while rest:
        flag = f"-{rest[:2]}" if rest[:1] == "n" and len(rest) > 1 else f"-{rest[0]}"
        rest = rest[len(flag) - 1 :]
        name = FLAGS.get(flag) or SHORT.get(flag) or SHORT_NOT_BUILT.get(flag)
        if name is None:
            raise Refused(f"wget: invalid option -- '{flag[1:]}'\n{USAGE}", 2)
        if _option(proc, made, name, flag, rest or None if flag in SHORT else None, words) and flag in SHORT:
            return


def _option(proc: Process, made: Options, name: str, shown: str, value: str | None, words: list[str]) -> bool:
    """Note one option; True when it took a value."""
    if name in NOT_BUILT:
        raise Refused(f"simvlan: wget {shown} is not built (docs/hosts.md says what is)\n", 2)
    if name in PLAIN:
        made.flags.add(name)
        return False
    if name not in VALUED:
        raise Refused(f"wget: unrecognized option '{shown}'\n{USAGE}", 2)
    if value is None and not words:
        raise Refused(f"wget: option '{shown}' requires an argument\n{USAGE}", 2)
    _set(proc, made, name, words.pop(0) if value is None else value)
    return True


def _set(proc: Process, made: Options, name: str, value: str) -> None:
    if name == "output-document":
        made.output = value
    elif name == "directory-prefix":
        made.folder = value.rstrip("/") or "/"
    elif name == "user-agent":
        made.agent = value
    elif name == "header":
        key, _, rest = value.partition(":")
        made.headers.append((key, rest.strip()))
    elif name == "post-data":
        made.post = value.encode(errors="surrogateescape")
    elif name == "post-file":
        made.post = proc.read_file(value)
    elif name != "progress":
        _number(made, name, value)


def _number(made: Options, name: str, value: str) -> None:
    if not value.replace(".", "", 1).isdigit():
        raise Refused(f"wget: --{name}: Invalid number '{value}'.\n{USAGE}", 2)
    number = float(value)
    if name.endswith("timeout"):
        made.timeout = round(number * SECOND) or None
    elif name == "tries":
        made.tries = int(number) or 1 << 30
    elif name == "waitretry":
        made.waitretry = int(number)
    else:
        made.redirects = int(number)
