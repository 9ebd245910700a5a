"""The web servers of images: nginx, httpd, traefik/whoami, and `python -m http.server`; their heads, pages and logs.

Port 80 only, no configuration: a folder of the container that holds the server's pages goes before the welcome page.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Generator
from functools import partial
from time import gmtime, strftime
from typing import Any
from urllib.parse import unquote, urlsplit

import h11
import simpy

from simvlan.clock import SECOND
from simvlan.docker.programs.process import Proc
from simvlan.tools.common import dotted
from simvlan.tools.http.service import Service
from simvlan.tools.talk import Talk

Running = Generator[Any, Any, int]
Headers = list[tuple[str, str]]
NGINX, APACHE = "nginx/1.27.5", "Apache/2.4.63 (Unix)"
WELCOME = b"""<!DOCTYPE html>
<html>
<head>
<title>Welcome to nginx!</title>
</head>
<body>
<h1>Welcome to nginx!</h1>
<p>A simulated container of the image nginx answers here.</p>
</body>
</html>
"""
WORKS = b"<html><body><h1>It works!</h1></body></html>\n"
TYPES = {".html": "text/html", ".txt": "text/plain", ".json": "application/json", ".css": "text/css",
         ".js": "application/javascript", ".png": "image/png", ".svg": "image/svg+xml"}  # fmt: skip
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Not Allowed"}


class Site:
    """What one server answers: (status, headers, body) of a request."""

    def __init__(self, proc: Proc, peer: tuple[str, int]) -> None:
        self.proc, self.peer = proc, peer

    def answer(self, request: h11.Request, body: bytes) -> tuple[int, Headers, bytes]:
        """Answer a request."""
        raise NotImplementedError

    def malformed(self) -> tuple[int, Headers, bytes]:
        """Answer what is no request."""
        return 400, [("Connection", "close")], b""

    @property
    def date(self) -> str:
        """The lab's time, as headers write it."""
        return strftime("%a, %d %b %Y %H:%M:%S GMT", gmtime(self.proc.world.env.now / SECOND))

    def page(self, root: str, request: h11.Request, welcome: bytes) -> tuple[bytes, str] | None:
        """The file a request names, and its type; None where there is none."""
        path = unquote(urlsplit(request.target.decode("latin-1")).path)
        full = posixpath.normpath(posixpath.join(root, path.lstrip("/")))
        files = self.proc.container.files()
        if full in self.proc.container.directories or full == root:
            full = posixpath.join(full, "index.html")
        if full not in files:
            return (welcome, "text/html") if full == posixpath.join(root, "index.html") else None
        kind = TYPES.get(posixpath.splitext(full)[1], "application/octet-stream")
        return files[full], kind

    def log(self, request: h11.Request, status: int, size: int, tail: str) -> None:
        """A line of the access log, in the combined format."""
        when = strftime("%d/%b/%Y:%H:%M:%S +0000", gmtime(self.proc.world.env.now / SECOND))
        line = f"{request.method.decode()} {request.target.decode('latin-1')} HTTP/{request.http_version.decode()}"
        self.proc.write(f'{self.peer[0]} - - [{when}] "{line}" {status} {size}{tail}\n')


class Nginx(Site):
    """The image nginx."""

    def answer(self, request: h11.Request, body: bytes) -> tuple[int, Headers, bytes]:
        """A page, or nginx's own for an error."""
        found, status = self.page("/usr/share/nginx/html", request, WELCOME), 200
        if request.method not in (b"GET", b"HEAD"):
            found, status = None, 405
        elif found is None:
            status = 404
        data, kind = found or (self._error(status), "text/html")
        agent = dict(request.headers).get(b"user-agent", b"-").decode("latin-1")
        self.log(request, status, len(data) if request.method != b"HEAD" else 0, f' "-" "{agent}" "-"')
        return status, self._headers(kind, data), data

    def _headers(self, kind: str, data: bytes) -> Headers:
        return [("Server", NGINX), ("Date", self.date), ("Content-Type", kind), ("Content-Length", str(len(data))),
                ("Connection", "keep-alive")]  # fmt: skip

    @staticmethod
    def _error(status: int) -> bytes:
        title = f"{status} {REASONS[status]}"
        lines = ["<html>", f"<head><title>{title}</title></head>", "<body>", f"<center><h1>{title}</h1></center>",
                 f"<hr><center>{NGINX}</center>", "</body>", "</html>", ""]  # fmt: skip
        return "\r\n".join(lines).encode()

    def malformed(self) -> tuple[int, Headers, bytes]:
        """400, and the end."""
        data = self._error(400)
        return 400, [*self._headers("text/html", data)[:-1], ("Connection", "close")], data


class Httpd(Site):
    """The image httpd."""

    def answer(self, request: h11.Request, body: bytes) -> tuple[int, Headers, bytes]:
        """A page, or 404."""
        found = self.page("/usr/local/apache2/htdocs", request, WORKS)
        status = 200 if found else 404
        data, kind = found or (b"<html><head>\n<title>404 Not Found</title>\n</head><body>\n<h1>Not Found</h1>\n"
                               b"<p>The requested URL was not found on this server.</p>\n</body></html>\n",
                               "text/html; charset=iso-8859-1")  # fmt: skip
        self.log(request, status, len(data), "")
        return status, [("Date", self.date), ("Server", APACHE), ("Content-Length", str(len(data))),
                        ("Content-Type", kind)], data  # fmt: skip


class Whoami(Site):
    """The image traefik/whoami: who answers, who asked and how."""

    def answer(self, request: h11.Request, body: bytes) -> tuple[int, Headers, bytes]:
        """Tell."""
        container = self.proc.container
        lines = [f"Hostname: {container.hostname}", *(f"IP: {each}" for each in self._addresses())]
        caller, port = self.peer
        lines.append(f"RemoteAddr: {f'[{caller}]' if ':' in caller else caller}:{port}")
        first = f"{request.method.decode()} {request.target.decode('latin-1')} HTTP/{request.http_version.decode()}"
        given = {key.decode("latin-1").title(): value.decode("latin-1") for key, value in request.headers}
        order: list[str] = [key for key in ("Host", "User-Agent") if key in given]
        order += sorted(set(given) - set(order))
        text = "\n".join(lines) + "\n" + "\r\n".join([first, *(f"{key}: {given[key]}" for key in order), "", ""])
        data = text.encode()
        return 200, [("Date", self.date), ("Content-Length", str(len(data))),
                     ("Content-Type", "text/plain; charset=utf-8")], data  # fmt: skip

    def _addresses(self) -> list[str]:
        ns = self.proc.world.network.netns[self.proc.netns]
        return [dotted(ifa.local) for dev in ns.devices.values() for ifa in ns.stack.addresses(dev)]


class HttpVisit:
    """One connection to a site: requests one after the other, kept open as HTTP/1.1 does."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.http = h11.Connection(h11.SERVER)
        self.closing = False
        self._request: h11.Request | None = None
        self._body = b""

    def hear(self, data: bytes) -> list[bytes]:
        """Take octets; every request that is whole is answered."""
        made: list[bytes] = []
        try:
            self.http.receive_data(data)
            while not self.closing and (event := self.http.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                made += self._event(event)
        except h11.RemoteProtocolError:
            self.closing = True
            made += self._said(*self.site.malformed()) if self.http.our_state in (h11.IDLE, h11.SEND_RESPONSE) else []
        return made

    def _event(self, event: Any) -> list[bytes]:
        if isinstance(event, h11.Request):
            self._request, self._body = event, b""
        elif isinstance(event, h11.Data):
            self._body += bytes(event.data)
        elif isinstance(event, h11.ConnectionClosed):
            self.closing = True
        elif isinstance(event, h11.EndOfMessage) and self._request is not None:
            return self._answered(self._request)
        return []

    def _answered(self, request: h11.Request) -> list[bytes]:
        made = self._said(*self.site.answer(request, self._body))
        if self.http.our_state is h11.DONE and self.http.their_state is h11.DONE:
            self.http.start_next_cycle()
        else:
            self.closing = True
        return made

    def _said(self, status: int, headers: Headers, data: bytes) -> list[bytes]:
        head = self.http.send(h11.Response(status_code=status, reason=REASONS[status], headers=headers)) or b""
        silent = self._request is not None and self._request.method == b"HEAD"
        self.http.send(h11.Data(data=b"" if silent else data))
        self.http.send(h11.EndOfMessage())
        return [head if silent else head + data]


def _caller(sock: Any) -> tuple[str, int]:
    """Who asks; IPv4's addresses are written as such."""
    address, port = sock.peer
    return sock.text(address).removeprefix("::ffff:"), port


def serve(make: Callable[[Proc, tuple[str, int]], Site], port: int, proc: Proc) -> Running:
    """Serve until told to stop."""
    talk = Talk(proc)
    listener = talk.tcp(6)
    listener.reuse, listener.v6only = True, False  # callers of both families
    try:
        listener.bind(0, port)
        listener.listen(511)
        yield from Service(talk, listener, lambda sock: HttpVisit(make(proc, _caller(sock)))).run()
    except OSError as error:
        proc.write_err(f"{proc.name}: bind() to 0.0.0.0:{port} failed ({error.errno}: {error.strerror})\n")
        return 1
    except simpy.Interrupt:
        return 0
    finally:
        talk.close()
    return 0


nginx = partial(serve, Nginx, 80)
httpd = partial(serve, Httpd, 80)


def whoami(proc: Proc) -> Running:
    """whoami [--port N]."""
    words = [each for word in proc.argv[1:] for each in word.split("=", 1)]
    at = next((i for i, word in enumerate(words) if word in ("--port", "-port")), None)
    port = int(words[at + 1]) if at is not None and words[at + 1 :] and words[at + 1].isdigit() else 80
    if at is None:
        port = int(proc.env.get("WHOAMI_PORT_NUMBER", "80"))
    return (yield from serve(Whoami, port, proc))


def python(proc: Proc) -> int | Running:
    """python: only `-m http.server`."""
    from simvlan.tools.http.python_server import main

    words = [word for word in proc.argv[1:] if word != "-u"]
    if words[:2] == ["-m", "http.server"] or words[:1] == ["-mhttp.server"]:
        return main(proc)
    proc.write_err(f"simvlan: {proc.name}: only `-m http.server` is simulated in a container\n")
    return 95


def curl_entrypoint(proc: Proc) -> Running:
    """curlimages/curl's: options are curl's."""
    from simvlan.docker.programs.system import instead

    words = proc.argv[1:] or ["curl"]
    known = not words[0].startswith("-") and proc.container.programs(words[0]) is not None
    return (yield from instead(proc, words if known else ["curl", *words]))
