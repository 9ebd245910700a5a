"""GNU Wget 1.21.3 on plain HTTP: what it says and keeps, its tries and exit codes (src/retr.c, http.c, progress.c)."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from time import gmtime, strftime
from typing import Any, NoReturn

from simvlan.clock import SECOND
from simvlan.tools.common import Refused
from simvlan.tools.hosts import Host, find_all, literal
from simvlan.tools.http import wget_options
from simvlan.tools.http.exchange import EMPTY, LATE, RESET, Connection, Failure, Head
from simvlan.tools.http.url import BadUrl, Url, parse
from simvlan.tools.http.wget_text import Dots, decimal, human, rate
from simvlan.tools.names import look_up
from simvlan.tools.program import Process
from simvlan.tools.running import run
from simvlan.tools.talk import Talk, reason

Running = Generator[Any, Any, int]
NETWORK, SERVER, FILE, GENERIC = 4, 8, 3, 1
TIMED_OUT, FINAL = 115, frozenset({101, 111, 113})
"""EINPROGRESS; ENETUNREACH, ECONNREFUSED, EHOSTUNREACH, which are not tried again."""
REDIRECTS = frozenset({300, 301, 302, 303, 307, 308})
READ_TIMEOUT_S = 900


class GaveUp(Exception):  # noqa: N818 - what happened
    """One try failed: the exit status, and whether another may help."""

    def __init__(self, status: int, again: bool = False) -> None:
        self.status, self.again = status, again
        super().__init__(status)


class Wget:
    """One run."""

    def __init__(self, proc: Process) -> None:
        self.proc, self.talk = proc, Talk(proc)
        self.options = wget_options.read(proc)
        curly = "UTF-8" in "".join(proc.env.get(key, "") for key in ("LC_ALL", "LC_CTYPE", "LANG")).upper()
        self.open_quote, self.close_quote = "‘’" if curly else "''"
        self.idle: tuple[Url, Connection] | None = None
        self.posting = self.options.post is not None
        self.output: Any = None
        self.files = self.octets = 0
        self.spent_ns = 0

    # -- what it says -----------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """A line of the usual, verbose log."""
        if self.options.verbose:
            self.proc.write_err(text)

    def note(self, text: str) -> None:
        """What -nv shows too."""
        if not self.options.quiet:
            self.proc.write_err(text)

    @property
    def clock(self) -> str:
        """The date and time."""
        return strftime("%Y-%m-%d %H:%M:%S", gmtime(self.talk.now / SECOND))

    def quoted(self, name: str) -> str:
        """A name in quotes, as the locale writes them."""
        return f"{self.open_quote}{name}{self.close_quote}"

    # -- URLs -------------------------------------------------------------------------------------------------------

    def run(self) -> Running:
        """Every URL in turn; the gravest status."""
        if self.options.output not in (None, "-"):
            self.output = self._opened(str(self.options.output))
        began, statuses = self.talk.now, []
        for text in self.options.urls:
            statuses.append((yield from self._one(text)))
        if self.output is not None:
            self.output.close()
        if len(self.options.urls) > 1 and self.files:
            self._finished(began)
        worst = [status for status in statuses if status]
        return min(worst) if worst else 0

    def _finished(self, began: int) -> None:
        wall = decimal((self.talk.now - began) / SECOND)
        files = f"{self.files} files, {human(self.octets)} in {decimal(self.spent_ns / SECOND)}s"
        self.note(f"FINISHED --{self.clock}--\nTotal wall clock time: {wall}s\n"
                  f"Downloaded: {files} ({rate(self.octets, self.spent_ns)})\n")  # fmt: skip

    def _one(self, text: str) -> Running:
        try:
            url = parse(text)
        except BadUrl as bad:
            if bad.scheme in ("https", "ftp"):
                raise Refused(f"simvlan: wget: {bad.scheme}:// is not built; http:// is\n", 2) from None
            shown = f"Unsupported scheme {self.quoted(bad.scheme)}" if bad.scheme else "Invalid host name"
            self.note(f"{text}: {shown}.\n")
            return GENERIC
        if self.options.spider:
            self.say("Spider mode enabled. Check if remote file exists.\n")
        count, name = 1, self._name(url)
        while True:
            try:
                return (yield from self._try(url, count, name))
            except GaveUp as gave:
                self._forget()
                if not gave.again:
                    return gave.status
                if count >= self.options.tries:
                    self.say("Giving up.\n\n")
                    return gave.status
            self.say("Retrying.\n\n")
            yield self.proc.lab.env.timeout(min(count, self.options.waitretry) * SECOND)
            count += 1

    def _name(self, url: Url) -> str:
        """The file's name: not one that is there already."""
        wanted = url.target.rpartition("/")[2] or "index.html"
        name = f"{self.options.folder}/{wanted}" if self.options.folder else wanted
        found, number = name, 0
        while self.proc.exists(found) and not self.options.spider:
            number += 1
            found = f"{name}.{number}"
        return found

    # -- one try --------------------------------------------------------------------------------------------------

    def _try(self, url: Url, count: int, name: str) -> Running:
        for _ in range(self.options.redirects + 1):
            tries = f"  (try:{count:2d})" if count > 1 else ""
            self.say(f"--{self.clock}--{tries}  {url}\n")
            connection = yield from self._connection(url)
            head = yield from self._asked(connection, url)
            location = head.get("location") if head.status in REDIRECTS else ""
            if not location:
                return (yield from self._answered(url, connection, head, name))
            self.say(f"Location: {location} [following]\n")
            yield from self._rest(connection)
            url = url.follow(location)
            self.posting = self.posting and head.status in (307, 308)
        self.note(f"{self.options.redirects} redirections exceeded.\n")
        raise GaveUp(SERVER)

    def _connection(self, url: Url) -> Generator[Any, Any, Connection]:
        idle, self.idle = self.idle, None
        if idle is not None:
            if (idle[0].host, idle[0].port) == (url.host, url.port) and not idle[1].sock.eof:
                self.say(f"Reusing existing connection to {url.host}:{url.port}.\n")
                idle[1].again()
                return idle[1]
            self.talk.drop(idle[1].sock)
        return (yield from self._connect(url))

    def _connect(self, url: Url) -> Generator[Any, Any, Connection]:
        """A connection to the first of the host's addresses that answers."""
        number = 0
        for host in (yield from self._addresses(url)):
            named = literal(url.place) is None
            shown = f"{url.host} ({url.host})|{host.text}|" if named else host.bracketed
            self.say(f"Connecting to {shown}:{url.port}... ")
            sock = self.talk.tcp(host.family)
            by = None if self.options.timeout is None else self.talk.now + self.options.timeout
            number = yield from self.talk.connect(sock, host, url.port, by)
            if not number:
                self.say("connected.\n")
                return Connection(self.talk, sock)
            self.talk.drop(sock)
            self.say(f"failed: {'Connection timed out' if number == TIMED_OUT else reason(number)}.\n")
        raise GaveUp(NETWORK, number not in FINAL or self.options.retry_refused)

    def _addresses(self, url: Url) -> Generator[Any, Any, list[Host]]:
        named, host, family = literal(url.place) is None, url.place, self.options.family
        if named:
            self.say(f"Resolving {host} ({host})... ")
            yield from look_up(self.proc, host, family)
        found = find_all(self.proc, host, family)
        if isinstance(found, str):
            self.say(f"failed: {found}.\n")
            self.note(f"wget: unable to resolve host address {self.quoted(host)}\n")
            raise GaveUp(NETWORK)
        if named:
            self.say(f"{', '.join([each.text for each in found[:3]] + ['...'] * (len(found) > 3))}\n")
        return found

    def _asked(self, connection: Connection, url: Url) -> Generator[Any, Any, Head]:
        """Send the request, wait for the response's head."""
        method = "HEAD" if self.options.spider else "POST" if self.posting else "GET"
        headers = [("Host", url.authority), ("User-Agent", self.options.agent), ("Accept", "*/*"),
                   ("Accept-Encoding", "identity"), ("Connection", "Keep-Alive")]  # fmt: skip
        body = (self.options.post or b"") if self.posting else b""
        if self.posting:
            headers += [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", str(len(body)))]
        headers += self.options.headers
        yield from self._sent(connection, connection.request(method, url.target, headers, body), body)
        self.say(f"{'HTTP request sent, awaiting response... '}")
        try:
            head = yield from connection.head(self._by())
        except Failure as failure:
            text = {EMPTY: "No data received.", RESET: "Read error (Connection reset by peer) in headers.",
                    LATE: "Read error (Connection timed out) in headers."}  # fmt: skip
            self.say(f"{text.get(failure.kind, 'Malformed status line.')}\n")
            raise GaveUp(NETWORK, True) from None
        self._show(head)
        return head

    def _sent(self, connection: Connection, octets: bytes, body: bytes) -> Generator[Any, Any, None]:
        with suppress(Failure):  # what was answered before tells why
            yield from connection.send(octets)
            if body:
                yield from connection.send(body)

    def _by(self) -> int:
        return self.talk.now + (self.options.timeout or READ_TIMEOUT_S * SECOND)

    def _show(self, head: Head) -> None:
        if self.options.show_headers:
            self.note("\n" + "".join(f"  {line}\n" for line in head.lines))
        else:
            self.say(f"{head.status} {head.reason}\n")

    def _answered(self, url: Url, connection: Connection, head: Head, name: str) -> Running:
        """What to make of a response that leads nowhere else."""
        if self.options.spider:
            return (yield from self._spied(connection, head))
        if not 200 <= head.status < 300:
            self._forget(connection)
            if not self.options.verbose:
                self.note(f"{url}:\n")
            self.note(f"{self.clock} ERROR {head.status}: {head.reason or '(no description)'}.\n")
            self.say("\n")
            return SERVER
        return (yield from self._saved(url, connection, head, name))

    def _spied(self, connection: Connection, head: Head) -> Running:
        yield from self._rest(connection)
        if head.status >= 400:
            self.say("Remote file does not exist -- broken link!!!\n\n")
            return SERVER
        self._length(head)
        self.say("Remote file exists.\n\n")
        return 0

    def _length(self, head: Head) -> None:
        kind = head.get("content-type").partition(";")[0]
        length = head.length
        shown = "unspecified" if length is None else f"{length}{f' ({human(length)})' if length >= 1024 else ''}"
        self.say(f"Length: {shown}{f' [{kind}]' if kind else ''}\n")

    # -- bodies -----------------------------------------------------------------------------------------------------

    def _saved(self, url: Url, connection: Connection, head: Head, name: str) -> Running:
        self._length(head)
        given = self.options.output
        name = given if given not in (None, "-") else name
        file = self.output if self.output is not None else None if given == "-" else self._opened(name)
        self.say(f"Saving to: {self.quoted('STDOUT' if given == '-' else name)}\n")
        dots = Dots(self.say, head.length, lambda: self.talk.now)

        def take(data: bytes) -> None:
            dots.add(len(data))
            (self.proc.write if file is None else file.write)(data)

        whole = True
        try:
            yield from connection.body(take, self._by())
        except Failure:
            whole = False
        if file is not None and file is not self.output:
            file.close()
        dots.end()
        if not whole:
            self._cut(dots)
        self._counted(url, dots, head, name, given)
        self._keep(url, connection)
        return 0

    def _counted(self, url: Url, dots: Dots, head: Head, name: str, given: str | None) -> None:
        size = f"{dots.count}" + ("" if head.length is None else f"/{head.length}")
        self.files, self.octets = self.files + 1, self.octets + dots.count
        self.spent_ns += dots.elapsed
        if self.options.verbose:
            what = f"written to stdout [{size}]" if given == "-" else f"{self.quoted(name)} saved [{size}]"
            self.say(f"{self.clock} ({rate(dots.count, dots.elapsed)}) - {what}\n\n")
        else:
            self.note(f'{self.clock} URL:{url} [{size}] -> "{given or name}" [1]\n')

    def _cut(self, dots: Dots) -> NoReturn:
        """The body ended too early."""
        self.say(f"{self.clock} ({rate(dots.count, dots.elapsed)}) - Connection closed at byte {dots.count}. ")
        raise GaveUp(NETWORK, True)

    def _opened(self, name: str) -> Any:
        try:
            if self.options.folder and not self.options.output:
                self.proc.make_folder(self.options.folder)
            return self.proc.open(name)
        except OSError as error:
            self.note(f"{name}: {error.strerror}\n")
            self.note(f"\nCannot write to {self.quoted(name)} ({error.strerror}).\n" if not self.options.output else "")
            raise Refused("", FILE if not self.options.output else GENERIC) from None

    def _rest(self, connection: Connection) -> Generator[Any, Any, None]:
        """Read what nobody wants, to use the connection again."""
        with suppress(Failure):
            yield from connection.body(lambda _data: None, self._by())
        self._keep(None, connection)

    def _keep(self, url: Url | None, connection: Connection) -> None:
        if url is not None and connection.lasts:
            self.idle = (url, connection)
        else:
            self._forget(connection)

    def _forget(self, connection: Connection | None = None) -> None:
        if connection is not None:
            self.talk.drop(connection.sock)
        else:
            self.talk.close()


def main(proc: Process) -> Generator[Any, Any, int]:
    """Run wget."""
    return (yield from run(proc, Wget))
