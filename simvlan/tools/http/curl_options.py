"""The command line of curl 7.88.1: options people use on a plain HTTP server; the others are refused by name."""

from __future__ import annotations

from dataclasses import dataclass, field

from simvlan.clock import SECOND
from simvlan.tools.common import Refused
from simvlan.tools.hosts import literal
from simvlan.tools.program import Process

TRY = "curl: try 'curl --help' or 'curl --manual' for more information\n"
FLAGS = {
    "silent": "s", "show-error": "S", "include": "i", "head": "I", "verbose": "v", "fail": "f", "location": "L",
    "remote-name": "O", "ipv4": "4", "ipv6": "6", "get": "G", "insecure": "k", "no-buffer": "N", "globoff": "g",
    "fail-with-body": "", "retry-connrefused": "", "no-progress-meter": "", "http1.1": "", "no-keepalive": "",
    "tcp-nodelay": "", "http1.0": "0", "disable": "q",
}  # fmt: skip
"""Long name -> letter of options without a value."""
VALUES = {
    "output": "o", "write-out": "w", "max-time": "m", "connect-timeout": "", "interface": "", "header": "H",
    "data": "d", "data-raw": "", "data-binary": "", "data-ascii": "", "request": "X", "resolve": "", "user-agent": "A",
    "referer": "e", "max-redirs": "", "retry": "", "retry-delay": "", "url": "", "dump-header": "D",
    "noproxy": "",
}  # fmt: skip
"""The same with a value; there are no proxies, for nobody."""
_NOT_BUILT = """
user proxy cookie cookie-jar form upload-file range continue-at compressed http2 http3 cacert cert key
config parallel limit-rate json netrc unix-socket socks5 tlsv1.2 tlsv1.3 next output-dir create-dirs trace
trace-ascii connect-to dns-servers doh-url digest ntlm anyauth oauth2-bearer proxytunnel time-cond remote-time
progress-bar raw ftp-port quote mail-from speed-limit speed-time remote-header-name remote-name-all
retry-all-errors abstract-unix-socket url-query data-urlencode http0.9 stderr keepalive-time max-filesize
version help manual
"""
NOT_BUILT = frozenset(_NOT_BUILT.split())
_RARE = """
alt-svc append aws-sigv4 basic capath cert-status cert-type ciphers compressed-ssh create-file-mode crlf crlfile
curves delegation disable-eprt disable-epsv disallow-username-in-url dns-interface dns-ipv4-addr dns-ipv6-addr
doh-cert-status doh-insecure egd-file engine etag-compare etag-save expect100-timeout fail-early false-start
form-escape form-string ftp-account ftp-alternative-to-user ftp-create-dirs ftp-method ftp-pasv ftp-pret
ftp-skip-pasv-ip ftp-ssl-ccc ftp-ssl-ccc-mode ftp-ssl-control happy-eyeballs-timeout-ms haproxy-protocol hostpubmd5
hostpubsha256 hsts http2-prior-knowledge http3-only ignore-content-length junk-session-cookies key-type krb libcurl
list-only local-port location-trusted login-options mail-auth mail-rcpt mail-rcpt-allowfails metalink negotiate
netrc-file netrc-optional no-alpn no-clobber no-npn no-sessionid ntlm-wb parallel-immediate parallel-max pass
path-as-is pinnedpubkey post301 post302 post303 preproxy proto proto-default proto-redir rate remove-on-error
request-target retry-max-time sasl-authzid sasl-ir service-name socks4 socks4a socks5-hostname ssl ssl-reqd sslv2
sslv3 styled-output suppress-connect-headers tcp-fastopen telnet-option tls-max tlsauthtype tlspassword tlsuser tlsv1
tlsv1.0 tlsv1.1 tr-encoding trace-time use-ascii xattr
"""
RARE = frozenset(_RARE.split())
"""More of them, known by their whole names; those of proxies begin with `proxy`."""
LETTERS = {letter: name for name, letter in (FLAGS | VALUES).items() if letter} | {
    "u": "user", "x": "proxy", "b": "cookie", "c": "cookie-jar", "F": "form", "T": "upload-file",
    "r": "range", "C": "continue-at", "Z": "parallel", "n": "netrc", "E": "cert", "K": "config", "#": "progress-bar",
    "J": "remote-header-name", "R": "remote-time", "z": "time-cond", "Y": "speed-limit", "y": "speed-time",
    "V": "version", "h": "help", "M": "manual", "p": "proxytunnel", ":": "next",
}  # fmt: skip


@dataclass
class Options:
    """What curl was told."""

    flags: set[str] = field(default_factory=set)
    urls: list[str] = field(default_factory=list)
    outputs: list[str | None] = field(default_factory=list)
    """One for each -o; None for -O."""
    headers: list[str] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    resolved: dict[tuple[str, int], str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Whether a flag was given."""
        return name in self.flags

    @property
    def family(self) -> int:
        """-4 or -6; 0: both."""
        return 4 if self.has("ipv4") else 6 if self.has("ipv6") else 0

    @property
    def method(self) -> str:
        """What the request is, unless -X names it."""
        usual = "HEAD" if self.has("head") else "POST" if self.data and not self.has("get") else "GET"
        return self.values.get("request", usual)

    def seconds(self, name: str) -> int | None:
        """A time in ns; None where none was given, or 0."""
        return round(float(self.values.get(name, "0")) * SECOND) or None

    def number(self, name: str, usual: int) -> int:
        """A number."""
        return int(self.values.get(name, usual))


def read(proc: Process) -> Options:
    """Read the command line.

    Raises:
        Refused: what curl does not know, or what is not built.
    """
    made, words = Options(), list(proc.argv[1:])
    while words:
        word = words.pop(0)
        if word.startswith("--") and len(word) > 2:
            _long(proc, made, word[2:], words)
        elif word.startswith("-") and len(word) > 1:
            _short(proc, made, word[1:], words)
        else:
            made.urls.append(word)
    if not made.urls:
        raise Refused(TRY, 2)
    return made


def _long(proc: Process, made: Options, name: str, words: list[str]) -> None:
    known = [each for each in (*FLAGS, *VALUES, *NOT_BUILT) if each.startswith(name)]
    full = name if name in known else known[0] if len(known) == 1 else ""
    if not full and (name in RARE or name.startswith("proxy-")):
        raise Refused(f"simvlan: curl --{name} is not built (docs/hosts.md says what is)\n", 2)
    if not full:
        problem = "is ambiguous" if known else "is unknown"
        raise Refused(f"curl: option --{name}: {problem}\n{TRY}", 2)
    _take(proc, made, full, f"--{name}", None, words)


def _short(proc: Process, made: Options, letters: str, words: list[str]) -> None:
    while letters:
        letter, letters = letters[0], letters[1:]
        name = LETTERS.get(letter)
        if name is None:
            raise Refused(f"curl: option -{letter}: is unknown\n{TRY}", 2)
        if _take(proc, made, name, f"-{letter}", letters or None, words):
            return


def _take(proc: Process, made: Options, name: str, shown: str, glued: str | None, words: list[str]) -> bool:
    """Note one option; True when what was glued to it was its value."""
    if name in NOT_BUILT:
        raise Refused(f"simvlan: curl {shown} is not built (docs/hosts.md says what is)\n", 2)
    if name == "remote-name":
        made.outputs.append(None)
    if name in FLAGS:
        made.flags.discard({"ipv4": "ipv6", "ipv6": "ipv4"}.get(name, ""))  # the last one counts
        made.flags.add(name)
        return False
    if glued is None and not words:
        raise Refused(f"curl: option {shown}: requires parameter\n{TRY}", 2)
    _set(proc, made, name, shown, words.pop(0) if glued is None else glued)
    return True


def _set(proc: Process, made: Options, name: str, shown: str, value: str) -> None:
    if name in ("max-time", "connect-timeout", "retry", "retry-delay", "max-redirs"):
        _check_number(shown, value)
    if name == "url":
        made.urls.append(value)
    elif name == "output":
        made.outputs.append(value)
    elif name == "header":
        made.headers.append(value)
    elif name.startswith("data"):
        made.data.append(_data(proc, name, value))
    elif name == "resolve":
        _resolve(made, value)
    else:
        made.values[name] = value


def _check_number(shown: str, value: str) -> None:
    if not value.replace(".", "", 1).isdigit():
        raise Refused(f"curl: option {shown}: expected a proper numerical parameter\n{TRY}", 2)


def _data(proc: Process, name: str, value: str) -> bytes:
    """What -d sends: text, or a file's contents, which `--data` takes the line ends out of."""
    if not value.startswith("@") or name == "data-raw":
        return value.encode(errors="surrogateescape")
    try:
        data = proc.read_file(value[1:])
    except OSError:
        text = f"curl: Failed to open {value[1:]}\ncurl: option -d: error encountered when reading a file\n{TRY}"
        raise Refused(text, 2) from None
    return data if name == "data-binary" else data.replace(b"\r", b"").replace(b"\n", b"")


def _resolve(made: Options, value: str) -> None:
    """HOST:PORT:ADDRESS."""
    host, port, address = [*value.split(":", 2), "", ""][:3]
    if not port.isdigit() or literal(address.strip("[]")) is None:
        raise Refused(f"curl: (49) Couldn't parse CURLOPT_RESOLVE entry '{value}'\n", 49)
    made.resolved[host, int(port)] = address
