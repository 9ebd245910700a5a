"""wget of busybox 1.35 on plain HTTP (networking/wget.c): what it says, keeps and refuses."""

from __future__ import annotations

import posixpath
from collections.abc import Generator
from typing import Any

from simvlan.clock import SECOND
from simvlan.tools.common import Refused
from simvlan.tools.hosts import find_all
from simvlan.tools.http.exchange import EMPTY, LATE, Connection, Failure, Head
from simvlan.tools.http.url import BadUrl, Url, parse
from simvlan.tools.names import look_up
from simvlan.tools.program import Process
from simvlan.tools.running import run
from simvlan.tools.talk import Talk, reason

Running = Generator[Any, Any, int]
USAGE = """BusyBox v1.35.0 multi-call binary.

Usage: wget [-cqS] [--spider] [-O FILE] [-o LOGFILE] [--header STR]
\t[--post-data STR | --post-file FILE] [-Y on/off]
\t[--no-check-certificate] [-P DIR] [-U AGENT] [-T SEC] URL...
"""
VALUED = {"-O": "O", "-P": "P", "-U": "U", "-T": "T", "--header": "header", "--post-data": "post", "-Y": "Y", "-t": "t",
          "--timeout": "T", "--output-document": "O", "--user-agent": "U", "--post-file": "file"}  # fmt: skip
PLAIN = {"--spider": "spider", "--no-check-certificate": "", "--quiet": "q", "--server-response": "S"}
REDIRECTS = frozenset({301, 302, 303, 307, 308})
TIMEOUT_S, REDIRECTIONS = 900, 5


class BusyboxWget:
    """One run."""

    def __init__(self, proc: Process) -> None:
        self.proc, self.talk = proc, Talk(proc)
        self.given: dict[str, str] = {}
        self.headers: list[tuple[str, str]] = []
        self.urls: list[str] = []
        words = list(proc.argv[1:])
        while words:
            self._word(words.pop(0), words)
        if not self.urls:
            raise Refused(USAGE)
        if not self.given.get("T", "0").isdigit():
            raise Refused(f"wget: invalid number '{self.given['T']}'\n")
        self.patience = int(self.given.get("T", TIMEOUT_S)) * SECOND
        if "file" in self.given:
            self.given["post"] = proc.read_file(self.given["file"]).decode(errors="surrogateescape")

    def _word(self, word: str, words: list[str]) -> None:
        name, glued, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if name in VALUED:
            if not glued and not words:
                raise Refused(f"wget: option requires an argument -- '{name.lstrip('-')}'\n{USAGE}")
            self._set(VALUED[name], value if glued else words.pop(0))
        elif name in PLAIN:
            self.given[PLAIN[name]] = ""
        elif word.startswith("-") and len(word) > 1:
            self._letters(word[1:], words)
        else:
            self.urls.append(word)

    def _letters(self, letters: str, words: list[str]) -> None:
        """`-qO-`."""
        for at, letter in enumerate(letters):
            if f"-{letter}" in VALUED:
                self._set(VALUED[f"-{letter}"], letters[at + 1 :] or (words.pop(0) if words else ""))
                return
            if letter in "qS":
                self.given[letter] = ""
            elif letter in "co":
                raise Refused(f"simvlan: wget -{letter} is not built (docs/hosts.md says what is)\n")
            else:
                raise Refused(f"wget: invalid option -- '{letter}'\n{USAGE}")

    def _set(self, name: str, value: str) -> None:
        if name == "header":
            key, _, rest = value.partition(":")
            self.headers.append((key, rest.strip()))
        self.given[name] = value

    def say(self, text: str) -> None:
        """Print, unless told to be quiet."""
        if "q" not in self.given:
            self.proc.write_err(text)

    # -- download -----------------------------------------------------------------------------------------------------

    def run(self) -> Running:
        """Every URL in turn; the first failure ends it."""
        for text in self.urls:
            yield from self._one(text)
        return 0

    def _one(self, text: str) -> Generator[Any, Any, None]:
        url = self._url(text)
        name = self._name(url)
        for _ in range(REDIRECTIONS + 1):
            connection = yield from self._connect(url)
            head = yield from self._asked(connection, url)
            location = head.get("location") if head.status in REDIRECTS else ""
            if not location:
                break
            self.talk.drop(connection.sock)
            url = url.follow(location)
        else:
            raise Refused("wget: too many redirections\n")
        if not 200 <= head.status < 300:
            raise Refused(f"wget: server returned error: {head.lines[0]}\n")
        if "spider" in self.given:
            self.say("remote file exists\n")
        else:
            yield from self._save(connection, head, name)
        self.talk.drop(connection.sock)

    def _url(self, text: str) -> Url:
        try:
            return parse(text)
        except BadUrl as bad:
            if bad.scheme in ("https", "ftp"):
                raise Refused(f"simvlan: wget: {bad.scheme}:// is not built; http:// is\n") from None
            raise Refused(f"wget: not an http or ftp url: {text}\n") from None

    def _name(self, url: Url) -> str:
        """The file's name; "-" for standard output."""
        given = self.given.get("O")
        if given is not None:
            return given
        name = url.file or "index.html"
        return posixpath.join(self.given["P"], name) if "P" in self.given else name

    def _connect(self, url: Url) -> Generator[Any, Any, Connection]:
        yield from look_up(self.proc, url.place)
        found = find_all(self.proc, url.place)
        if isinstance(found, str):
            raise Refused(f"wget: bad address '{url.host}'\n")
        host = found[0]
        self.say(f"Connecting to {url.authority} ({host.bracketed}:{url.port})\n")
        sock = self.talk.tcp(host.family)
        number = yield from self.talk.connect(sock, host, url.port, self.talk.now + self.patience)
        if number == 115:
            raise Refused("wget: download timed out\n")
        if number:
            shown = f" ({host.text})" if host.family == 4 else ""
            raise Refused(f"wget: can't connect to remote host{shown}: {reason(number)}\n")
        return Connection(self.talk, sock)

    def _asked(self, connection: Connection, url: Url) -> Generator[Any, Any, Head]:
        headers = [("Host", url.authority), ("User-Agent", self.given.get("U", "Wget")), ("Connection", "close")]
        headers += self.headers
        body = self.given.get("post", "").encode(errors="surrogateescape")
        if "post" in self.given:
            headers += [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", str(len(body)))]
        octets = connection.request("POST" if "post" in self.given else "GET", url.target, headers, body)
        try:
            yield from connection.send(octets + body)
            head = yield from connection.head(self.talk.now + self.patience)
        except Failure as failure:
            texts = {LATE: "download timed out", EMPTY: "error getting response"}
            raise Refused(f"wget: {texts.get(failure.kind, 'error getting response')}\n") from None
        if "S" in self.given:
            self.proc.write_err("".join(f"  {line}\n" for line in [*head.lines, ""]))
        return head

    def _save(self, connection: Connection, head: Head, name: str) -> Generator[Any, Any, None]:
        file = None if name == "-" else self._opened(name)
        self.say("writing to stdout\n" if file is None else f"saving to '{name}'\n")
        count = 0

        def take(data: bytes) -> None:
            nonlocal count
            count += len(data)
            (self.proc.write if file is None else file.write)(data)

        try:
            yield from connection.body(take, self.talk.now + self.patience)
        except Failure as failure:
            raise Refused(f"wget: {'download timed out' if failure.kind == LATE else 'connection closed prematurely'}\n"
                          ) from None  # fmt: skip
        finally:
            if file is not None:
                file.close()
        self.say(_bar(posixpath.basename(name), count, head.length))
        self.say("written to stdout\n" if file is None else f"'{name}' saved\n")

    def _opened(self, name: str) -> Any:
        if "O" not in self.given and self.proc.exists(name):
            raise Refused(f"wget: can't open '{name}': File exists\n")
        try:
            return self.proc.open(name)
        except OSError as error:
            raise Refused(f"wget: can't open '{name}': {error.strerror}\n") from None


def _bar(name: str, count: int, whole: int | None) -> str:
    """The bar as it stands at the end (libbb/progress.c)."""
    size, unit = count, ""
    if size >= 100_000:
        size, unit = size >> 10, "k"
    if size >= 100_000:
        size, unit = size >> 10, "M"
    shown = f"{size:5d}{unit}" if unit else f"{size:6d}"
    if whole is None:
        return f"{name[:20]:<20} {'':4}  |{'':32}| {shown}  0:00:00 ETA\n"
    return f"{name[:20]:<20} 100% |{'*' * 32}|{shown}  0:00:00 ETA\n"


def main(proc: Process) -> Generator[Any, Any, int]:
    """Run wget."""
    return (yield from run(proc, BusyboxWget))
