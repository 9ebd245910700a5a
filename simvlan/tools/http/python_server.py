"""`python3 -m http.server`: the standard library's own handler on what came over the simulated TCP.

The handler reads a whole request and writes to memory; each of its writes becomes one write to the socket. Time is the
lab's; files are the machine's, or the container's.
"""

from __future__ import annotations

import io
import posixpath
import re
from collections.abc import Generator
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler
from time import gmtime, strftime
from typing import Any
from urllib.parse import unquote, urlsplit

import simpy

from simvlan.clock import SECOND
from simvlan.tools.common import Refused
from simvlan.tools.hosts import Host, literal
from simvlan.tools.http.service import Service
from simvlan.tools.program import Process
from simvlan.tools.talk import Talk

HEAD_END = re.compile(rb"\r?\n\r?\n")
BACKLOG = 5
"""socketserver's request_queue_size."""
USAGE = "usage: server.py [-h] [--cgi] [-b ADDRESS] [-d DIRECTORY] [-p VERSION] [port]\n"


class _Writes(io.BytesIO):
    """Keeps each write apart."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []

    def write(self, data: Any) -> int:
        self.pieces.append(bytes(data))
        return len(data)


class Handler(SimpleHTTPRequestHandler):
    """One request, whole, answered at once."""

    def __init__(self, proc: Process, peer: str, request: bytes, folder: str) -> None:
        self.proc, self.folder = proc, folder
        self.rfile, self.wfile = io.BytesIO(request), _Writes()
        self.client_address, self.directory = (peer, 0), folder
        self.handle()

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Dates by the lab's clock."""
        return super().date_time_string(self.proc.lab.env.now / SECOND if timestamp is None else timestamp)

    def log_date_time_string(self) -> str:
        """Dates by the lab's clock."""
        return strftime("%d/%b/%Y %H:%M:%S", gmtime(self.proc.lab.env.now / SECOND))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """To the program's standard error."""
        self.proc.write_err(f"{self.client_address[0]} - - [{self.log_date_time_string()}] {format % args}\n")


class ContainerHandler(Handler):
    """The same on the files of a container, which are in memory."""

    def send_head(self) -> Any:
        """The head of a file, a listing or an error; the body to copy."""
        path = unquote(urlsplit(self.path).path)
        full = posixpath.normpath(posixpath.join(self.folder, path.lstrip("/")))
        files, folders = self.proc.container.files(), self.proc.container.directories  # type: ignore[attr-defined]
        if full in folders:
            if not path.endswith("/"):
                return self._moved(path)
            index = posixpath.join(full, "index.html")
            if index not in files:
                return self._listing(full, files, folders)
            full = index
        elif path.endswith("/") or full not in files:
            self.send_error(HTTPStatus.NOT_FOUND, "File not found")
            return None
        return self._page(self.guess_type(full), files[full])

    def _moved(self, path: str) -> None:
        self.send_response(HTTPStatus.MOVED_PERMANENTLY)
        self.send_header("Location", f"{path}/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _page(self, kind: str, data: bytes) -> io.BytesIO:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        return io.BytesIO(data)

    def _listing(self, full: str, files: dict[str, bytes], folders: set[str]) -> io.BytesIO:
        from html import escape
        from urllib.parse import quote

        here = {posixpath.basename(each) for each in files if posixpath.dirname(each) == full}
        here |= {posixpath.basename(each) + "/" for each in folders if posixpath.dirname(each) == full and each != "/"}
        title = f"Directory listing for {escape(unquote(self.path), quote=False)}"
        rows = [f'<li><a href="{quote(name)}">{escape(name, quote=False)}</a></li>' for name in sorted(here)]
        lines = ["<!DOCTYPE HTML>", '<html lang="en">', "<head>", '<meta charset="utf-8">', f"<title>{title}</title>",
                 "</head>", "<body>", f"<h1>{title}</h1>", "<hr>", "<ul>", *rows, "</ul>", "<hr>", "</body>",
                 "</html>", ""]  # fmt: skip
        return self._page("text/html; charset=utf-8", "\n".join(lines).encode())


class PythonVisit:
    """One connection: one request, then the end (HTTP/1.0)."""

    def __init__(self, proc: Process, folder: str, peer: str) -> None:
        self.proc, self.folder, self.peer = proc, folder, peer
        self.closing = False
        self._came = b""

    def hear(self, data: bytes) -> list[bytes]:
        """Take octets; answer once the request is whole, or no more will come."""
        self._came += data
        if data and not _whole(self._came):
            return []
        self.closing = True
        kind = ContainerHandler if hasattr(self.proc, "container") else Handler
        return list(kind(self.proc, self.peer, self._came, self.folder).wfile.pieces)  # type: ignore[attr-defined]


def _whole(came: bytes) -> bool:
    """Whether the handler would not wait for more: a first line that is no HTTP/1 request is answered at once."""
    line, newline, _ = came.partition(b"\n")
    if not newline:
        return False
    words = line.split()
    if len(words) != 3 or not words[2].startswith(b"HTTP/"):
        return bool(words)
    return HEAD_END.search(came) is not None  # the handler does not read bodies


class Options:
    """The command line of http.server."""

    def __init__(self, words: list[str]) -> None:
        self.port, self.address, self.folder = 8000, "", "."
        words = list(words)
        while words:
            word = words.pop(0)
            name, glued, value = word.partition("=")
            if name in ("-b", "--bind", "-d", "--directory"):
                self._set(name, value if glued else words.pop(0) if words else "")
            elif word.isdigit():
                self.port = int(word)
            elif word in ("-h", "--help"):
                raise Refused(USAGE, 0)
            elif word in ("--cgi", "-p", "--protocol"):
                raise Refused(f"simvlan: http.server {word} is not built (docs/hosts.md says what is)\n", 2)
            else:
                what = f"argument port: invalid int value: '{word}'" if word[:1] != "-" else ""
                raise Refused(f"{USAGE}server.py: error: {what or 'unrecognized arguments: ' + word}\n", 2)

    def _set(self, name: str, value: str) -> None:
        if not value:
            given = "-b/--bind" if name in ("-b", "--bind") else "-d/--directory"
            raise Refused(f"{USAGE}server.py: error: argument {given}: expected one argument\n", 2)
        if name in ("-b", "--bind"):
            self.address = value
        else:
            self.folder = value


def main(proc: Process) -> Generator[Any, Any, int]:
    """Serve until told to stop."""
    words = [word for word in proc.argv[1:] if word != "-u"]
    words = words[2:] if words[:1] == ["-m"] else words[1:] if words[:1] == ["-mhttp.server"] else words
    said = ""
    talk = Talk(proc)
    try:
        options = Options(words)
        listener = _listen(talk, options)
        shown = listener.text(listener.src)
        place = f"[{shown}]" if ":" in shown else shown
        said = f"Serving HTTP on {shown} port {options.port} (http://{place}:{options.port}/) ...\n"
        if proc.stdout_isatty or "-u" in proc.argv:
            proc.write(said)
            said = ""
        folder = proc.path(options.folder)
        yield from Service(talk, listener, lambda sock: PythonVisit(proc, folder, sock.text(sock.peer[0]))).run()
    except Refused as refused:
        (proc.write if refused.status == 0 else proc.write_err)(str(refused))
        return refused.status
    except simpy.Interrupt as signal:
        if signal.cause == "SIGINT":
            proc.write(f"{said}\nKeyboard interrupt received, exiting.\n")
            return 0
        return {"SIGTERM": 143, "SIGHUP": 129}.get(str(signal.cause), 137)
    finally:
        talk.close()
    return 0


def _listen(talk: Talk, options: Options) -> Any:
    """Bind and listen, or end as Python does when that fails."""
    host = literal(options.address) if options.address else Host(4, 0)
    if host is None or (host.zone and host.device(talk.stack) is None):
        raise Refused(_trace("socket.gaierror: [Errno -2] Name or service not known"))
    sock = talk.tcp(host.family)
    sock.reuse, sock.v6only, sock.bind_dev = True, False, host.device(talk.stack)
    try:
        sock.bind(host.address, options.port)
        sock.listen(BACKLOG)
    except OSError as error:
        raise Refused(_trace(f"OSError: [Errno {error.errno}] {error.strerror}")) from None
    return sock


def _trace(text: str) -> str:
    """The last line of a traceback is what people look at."""
    return f"Traceback (most recent call last):\n{text}\n"
