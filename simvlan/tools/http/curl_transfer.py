"""One transfer of curl's: name, connection, request, response, redirections; -v's lines (lib/url.c, lib/http.c).

Lines of -v that name addresses of memory are left out.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator
from typing import Any

from simvlan.clock import MILLISECOND
from simvlan.tools.hosts import WRONG_FAMILY, Host, find_all, literal
from simvlan.tools.http.curl_options import Options
from simvlan.tools.http.curl_race import Race
from simvlan.tools.http.curl_text import Meter
from simvlan.tools.http.exchange import EMPTY, GARBAGE, LATE, RESET, Connection, Failure, Head
from simvlan.tools.http.url import BadUrl, Url
from simvlan.tools.names import look_up
from simvlan.tools.program import Process
from simvlan.tools.talk import Talk

REDIRECTS = frozenset({301, 302, 303, 307, 308})
AGENT = "curl/7.88.1"
TIMEOUT_NS = 300_000 * MILLISECOND


class Ended(Exception):  # noqa: N818 - what happened
    """A transfer that failed: curl's number and text."""

    def __init__(self, code: int, text: str) -> None:
        self.code, self.text = code, text
        super().__init__(text)


class Waiting(Talk):
    """Waits, and has the meter drawn meanwhile."""

    meter: Meter | None = None

    def until(self, condition: Callable[[], object], by_ns: int | None = None) -> Generator[Any, Any, bool]:
        """Wait until something holds; False when the time came first."""
        while not condition():
            if by_ns is not None and self.now >= by_ns:
                return False
            due = self.meter.due if self.meter is not None else None
            yield self.waiter.until(min((each for each in (by_ns, due) if each is not None), default=None))
            over = by_ns is not None and self.now >= by_ns
            if due is not None and self.now >= due and self.meter is not None and not over and not condition():
                self.meter.note()
        return True


class Session:
    """What transfers of one run share: the names found, the connections left open."""

    def __init__(self, proc: Process, options: Options) -> None:
        self.proc, self.options, self.talk = proc, options, Waiting(proc, 5)
        self.known: set[tuple[str, int]] = set(options.resolved)
        self.idle: tuple[Url, Connection, int] | None = None
        self.count = 0
        """Connections made."""

    def say(self, text: str) -> None:
        """A line of -v."""
        if self.options.has("verbose"):
            self.proc.write_err(f"* {text}\n")

    def show(self, mark: str, lines: list[str]) -> None:
        """A head, as -v shows it."""
        if self.options.has("verbose"):
            self.proc.write_err("".join(f"{mark} {line}\r\n" for line in [*lines, ""]))


class Transfer:
    """One URL, redirections included."""

    def __init__(self, session: Session, url: Url, meter: Meter, take: Callable[[bytes], None]) -> None:
        self.session, self.options, self.talk = session, session.options, session.talk
        self.url, self.meter, self._take_body = url, meter, take
        self.began = self.talk.now
        self.times = dict.fromkeys(("namelookup", "connect", "pretransfer", "starttransfer", "redirect"), 0)
        self.method = self.options.method
        self.body = b"&".join(self.options.data) if not self.options.has("get") else b""
        self.version = "1.0" if self.options.has("http1.0") else "1.1"
        self.redirects = self.connects = self.header_octets = self.request_octets = 0
        self.head: Head | None = None
        self.connection: Connection | None = None
        self.number = 0
        self.traced = False
        self.first = True
        """No head has come yet."""
        limit = self.options.seconds("max-time")
        self.limit = None if limit is None else self.began + limit

    def run(self) -> Generator[Any, Any, None]:
        """Transfer. Raises Ended."""
        try:
            while (location := (yield from self._once())) is not None:
                self._follow(location)
        except Failure as failure:
            ended = self._worded(failure)
            self.session.say(ended.text)
            self._close()
            raise ended from None

    # -- one request --------------------------------------------------------------------------------------------------

    def _once(self) -> Generator[Any, Any, str | None]:
        """One request and its response; where to go on."""
        yield from self._connected()
        connection = self.connection
        assert connection is not None
        self.times["pretransfer"] = self.talk.now - self.began
        lines, octets = self._request(connection)
        self.session.show(">", lines)
        if self.body:
            self._trace("}", len(self.body))
        yield from connection.send(octets + self.body)
        self.meter.up = len(self.body)
        self.head = head = yield from connection.head(self.limit)
        self.times["starttransfer"] = self.talk.now - self.began
        self._heard(head)
        location = self._next(head)
        if self.options.has("fail") and head.status >= 400:
            self._close(quiet=not self.options.has("verbose"))
            raise Ended(22, f"The requested URL returned error: {head.status}")
        yield from self._receive(connection, head, location is not None)
        self._settle(connection)
        return location

    def _request(self, connection: Connection) -> tuple[list[str], bytes]:
        """The lines of a request, and its octets."""
        headers = {"Host": self.url.authority, "User-Agent": self.options.values.get("user-agent", AGENT)}
        headers["Accept"] = "*/*"
        if "referer" in self.options.values:
            headers["Referer"] = self.options.values["referer"]
        if self.body or (self.method == "POST" and self.options.data):
            headers |= {"Content-Length": str(len(self.body)), "Content-Type": "application/x-www-form-urlencoded"}
        extra = []
        for line in self.options.headers:
            name, _, value = line.partition(":")
            usual = next((key for key in headers if key.lower() == name.rstrip(";").lower()), None)
            if usual is not None and usual != "Host":
                del headers[usual]
            if usual == "Host" and value.strip():
                headers["Host"] = value.strip()
            elif value.strip() or name.endswith(";"):
                extra.append((name.rstrip(";"), value.strip()))
        if not headers.get("User-Agent", "x"):
            del headers["User-Agent"]
        split = [*headers.items()]
        at = next((i for i, (key, _) in enumerate(split) if key.startswith("Content-")), len(split))
        every = [*split[:at], *extra, *split[at:]]
        octets = connection.request(self.method, self._target(), every, self.body, self.version)
        self.request_octets += len(octets) + len(self.body)
        return octets.decode("latin-1").split("\r\n")[:-2], octets

    def _target(self) -> str:
        if not self.options.has("get") or not self.options.data:
            return self.url.target
        query = b"&".join(self.options.data).decode("latin-1")
        return f"{self.url.target}{'&' if '?' in self.url.target else '?'}{query}"

    def _heard(self, head: Head) -> None:
        if head.version == "1.0":
            self.session.say("HTTP 1.0, assume close after body")
            self.version = "1.0"
        self.header_octets += sum(len(line) + 2 for line in head.lines) + 2
        self.session.show("<", head.lines)
        self.traced = False
        if self.method != "HEAD":
            self.meter.total_down = -1 if head.length is None else head.length
        elif head.length is not None:
            self.meter.total_down = head.length
        octets = "".join(f"{line}\r\n" for line in [*head.lines, ""]).encode("latin-1")
        if self.options.has("include") or self.options.has("head"):
            self._take_body(octets)
        self._dump(octets)

    def _dump(self, octets: bytes) -> None:
        """-D: heads to a file, one behind the other."""
        name = self.options.values.get("dump-header")
        if name == "-":
            self.session.proc.write(octets)
        elif name is not None:
            with self.session.proc.open(name, "wb" if self.first else "ab") as file:
                file.write(octets)
        self.first = False

    def _next(self, head: Head) -> str | None:
        """Where a redirection leads that is to be followed."""
        location = head.get("location")
        return location if location and head.status in REDIRECTS and self.options.has("location") else None

    def _receive(self, connection: Connection, head: Head, ignored: bool) -> Generator[Any, Any, None]:
        if ignored and head.length:
            self.session.say("Ignoring the response-body")
        before = [connection.pending]

        def take(data: bytes) -> None:
            self._trace("{", max(len(data), before[0]))
            if not ignored:
                self.meter.down += len(data)
                self._take_body(data)

        yield from connection.body(take, self.limit)

    def _trace(self, mark: str, count: int) -> None:
        """-v: how much came in one piece, once."""
        if not self.traced and self.options.has("verbose") and not self.session.proc.stdout_isatty:
            self.session.proc.write_err(f"{mark} [{count} bytes data]\n")
        self.traced = mark == "{"

    # -- connections --------------------------------------------------------------------------------------------------

    def _connected(self) -> Generator[Any, Any, None]:
        """The connection left open by the last transfer, or a new one."""
        idle, self.session.idle = self.session.idle, None
        if idle is not None:
            url, connection, number = idle
            if (url.host, url.port) == (self.url.host, self.url.port) and not connection.sock.eof:
                connection.again()
                self.connection, self.number = connection, number
                self.session.say(f"Re-using existing connection #{number} with host {url.host}")
                return
            self.session.say(f"Closing connection {number}")
            self.talk.drop(connection.sock)
        yield from self._connect()

    def _connect(self) -> Generator[Any, Any, None]:
        self.number = self.session.count
        self.session.count += 1
        hosts = yield from self._addresses()
        self.times["namelookup"] = self.talk.now - self.began
        started = self.talk.now
        patience = self.options.seconds("connect-timeout") or TIMEOUT_NS
        by = min(started + patience, self.limit or started + patience)
        race = Race(self.session, self.url.port, hosts, self._bind)
        won = yield from race.run(by)
        if won is None:
            raise self._refused(by, started, race.error)
        host, sock = won
        self.connects += 1
        self.times["connect"] = self.talk.now - self.began
        self.session.say(f"Connected to {self.url.host} ({host.text}) port {self.url.port} (#{self.number})")
        self.connection = Connection(self.talk, sock)

    def _addresses(self) -> Generator[Any, Any, list[Host]]:
        """The addresses of the host."""
        host, port = self.url.host, self.url.port
        if (host, port) in self.session.known:
            self.session.say(f"Hostname {host} was found in DNS cache")
        given = self.options.resolved.get((host, port))
        if given is not None:
            return [each for each in (literal(given.strip("[]")),) if each is not None]
        family = self.options.family
        yield from look_up(self.session.proc, self.url.place, family)
        found = find_all(self.session.proc, self.url.place, family)
        if found == WRONG_FAMILY:
            raise self._failed(Ended(7, "Couldn't connect to server"), silent=True)
        if isinstance(found, str):
            raise self._failed(Ended(6, f"Could not resolve host: {host}"))
        self.session.known.add((host, port))
        return found

    def _bind(self, sock: Any) -> None:
        """--interface: a device, or an address."""
        name = self.options.values.get("interface")
        if name is None:
            return
        proc = self.session.proc
        device = proc.lab.network.netns[proc.netns].devices.get(name.removeprefix("if!"))
        if device is not None:
            sock.bind_dev = device
            return
        own = literal(name.removeprefix("host!"))
        try:
            if own is None or own.family != sock.family.number:
                self.session.say(f"Could not resolve host: {name}")
                raise OSError
            sock.bind(own.address, 0)
        except OSError:
            self.session.say(f"Couldn't bind to '{name}'")
            raise self._failed(Ended(45, f"Failed to connect to {self._there} after 0 ms:"
                                         " Failed binding local connection end")) from None  # fmt: skip
        number = {4: 2, 6: 10}[own.family]
        self.session.say(f"Name '{name}' family {number} resolved to '{name}' family {number}")
        self.session.say("Local port: 0")

    @property
    def _there(self) -> str:
        return f"{self.url.host} port {self.url.port}"

    def _refused(self, by: int, started: int, number: int) -> Ended:
        """No connection came about; the kernel's own timeout, the errno of the last attempt, counts as one."""
        waited, late = (self.talk.now - started) // MILLISECOND, self.talk.now >= by
        if late and self.limit is not None and by >= self.limit:
            total = (self.talk.now - self.began) // MILLISECOND
            return self._failed(Ended(28, f"Connection timed out after {total} milliseconds"))
        why = "Timeout was reached" if late else "Couldn't connect to server"
        code = 28 if late or number == errno.ETIMEDOUT else 7
        return self._failed(Ended(code, f"Failed to connect to {self._there} after {waited} ms: {why}"))

    def _failed(self, ended: Ended, silent: bool = False) -> Ended:
        """A transfer ends before there is a connection."""
        if not silent:
            self.session.say(ended.text)
        if ended.code == 6:
            self.meter.headed = False  # the transfer proper had not begun: its line is not ended
        self.meter.end()
        self.session.say(f"Closing connection {self.number}")
        return ended

    def _close(self, quiet: bool = False) -> None:
        if self.connection is not None:
            self.meter.end()
            if not quiet:
                self.session.say(f"Closing connection {self.number}")
            self.talk.drop(self.connection.sock)
            self.connection = None

    def _settle(self, connection: Connection) -> None:
        """Keep the connection where the server does."""
        if connection.lasts and self.version != "1.0":
            self.session.say(f"Connection #{self.number} to host {self.url.host} left intact")
            self.session.idle = (self.url, connection, self.number)
        else:
            self.session.say(f"Closing connection {self.number}")
            self.talk.drop(connection.sock)

    # -- what follows -----------------------------------------------------------------------------------------------

    def _follow(self, location: str) -> None:
        assert self.head is not None
        most = self.options.number("max-redirs", 50)
        if self.redirects >= most:
            self.session.say(f"Maximum ({most}) redirects followed")
            raise Ended(47, f"Maximum ({most}) redirects followed")
        self.redirects += 1
        try:
            self.url = self.url.follow(location)
        except BadUrl as bad:
            raise Ended(1, f'Protocol "{bad.scheme}" not supported or disabled in libcurl') from None
        self.times["redirect"] = self.talk.now - self.began
        self.session.say(f"Issue another request to this URL: '{self.url}'")
        if self.head.status in (301, 302, 303) and self.method == "POST" and "request" not in self.options.values:
            self.session.say("Switch from POST to GET")
            self.method, self.body = "GET", b""
        self.meter.down = 0

    def _worded(self, failure: Failure) -> Ended:
        if failure.kind == EMPTY:
            return Ended(52, "Empty reply from server")
        if failure.kind == RESET:
            return Ended(56, f"Recv failure: {os.strerror(104)}")
        if failure.kind == GARBAGE:
            return Ended(1, "Received HTTP/0.9 when not allowed")
        if failure.kind == LATE:
            waited = (self.talk.now - self.began) // MILLISECOND
            total = f" out of {self.meter.total_down}" if self.meter.total_down > 0 else ""
            text = f"Operation timed out after {waited} milliseconds with {self.meter.down}{total} bytes received"
            return Ended(28, text)
        return Ended(18, f"transfer closed with {failure.missing} bytes remaining to read")
