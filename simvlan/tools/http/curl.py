"""curl 7.88.1 on plain HTTP: URLs one after the other, what it writes where, its exit codes, in virtual time."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from simvlan.clock import SECOND
from simvlan.tools.common import Refused
from simvlan.tools.http import curl_options
from simvlan.tools.http.curl_text import Meter, speed, write_out
from simvlan.tools.http.curl_transfer import Ended, Session, Transfer
from simvlan.tools.http.url import BadUrl, Url, parse
from simvlan.tools.program import Process
from simvlan.tools.running import run
from simvlan.tools.talk import Talk

Running = Generator[Any, Any, int]
TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_REAL_SCHEMES = """
https ftp ftps sftp scp file dict gopher imap ldap mqtt pop3 rtsp smb smtp telnet tftp ws
"""
REAL_SCHEMES = frozenset(_REAL_SCHEMES.split())


class Sink:
    """Where one body goes: standard output, or a file that is made with its first octet."""

    def __init__(self, proc: Process, name: str | None) -> None:
        self.proc, self.name = proc, name
        self.count = 0
        self._file: Any = None

    def write(self, data: bytes) -> None:
        """Write octets. Raises Ended."""
        self.count += len(data)
        if self.name in (None, "-", "/dev/stdout"):
            self.proc.write(data)
        elif self.name != "/dev/null":
            self._open().write(data)

    def _open(self) -> Any:
        if self._file is None:
            try:
                self._file = self.proc.open(str(self.name))
            except OSError as error:
                raise Ended(23, f"\0Failed to open the file {self.name}: {error.strerror}") from None
        return self._file

    def close(self) -> None:
        """End it; an empty body makes an empty file."""
        if self.name not in (None, "-", "/dev/stdout", "/dev/null"):
            self._open().close()


class Curl:
    """One run."""

    def __init__(self, proc: Process) -> None:
        self.proc, self.options = proc, curl_options.read(proc)
        self.session = Session(proc, self.options)

    @property
    def talk(self) -> Talk:
        """Its sockets."""
        return self.session.talk

    def run(self) -> Running:
        """Every URL in turn; the last one's status."""
        for (host, port), address in self.options.resolved.items():
            self.session.say(f"Added {host}:{port}:{address} to DNS cache")
        status = 0
        for at, text in enumerate(self.options.urls):
            status = yield from self._tried(at, text)
        return status

    def _tried(self, at: int, text: str) -> Running:
        """Try again while that is asked for and may help."""
        left, pause = self.options.number("retry", 0), 1
        while True:
            status, what = yield from self._one(at, text)
            if not left or not what:
                return status
            wait = self.options.number("retry-delay", 0) or pause
            if not self.options.has("silent") or self.options.has("show-error"):
                some = f"{wait} second{'s' * (wait != 1)}. {left} {'retries' if left != 1 else 'retry'} left."
                self.proc.write_err(f"Warning: Problem: {what}. Will retry in {some}\n")
            left, pause = left - 1, min(pause * 2, 600)
            yield self.proc.lab.env.timeout(wait * SECOND)

    def _one(self, at: int, text: str) -> Generator[Any, Any, tuple[int, str]]:
        """One URL: its status, and what may be cured by trying again."""
        url = self._url(text)
        if isinstance(url, Ended):
            return self._complain(url), ""
        try:
            sink = Sink(self.proc, self._output(at, url))
        except Ended as ended:
            return self._complain(ended), ""
        meter = Meter(self._meter_to(sink), lambda: self.session.talk.now)
        self.session.talk.meter = meter
        transfer = Transfer(self.session, url, meter, sink.write)
        failed: Ended | None = None
        meter.start()
        try:
            yield from transfer.run()
            sink.close()
        except Ended as ended:
            failed = ended
        meter.end()
        if failed is not None:
            self._complain(failed)
        elif self._bad(transfer):
            failed = Ended(22, f"The requested URL returned error: {transfer.head.status if transfer.head else 0}")
            self._complain(failed)
        self._tell(transfer, sink, failed)
        return (failed.code if failed else 0), self._curable(transfer, failed)

    def _bad(self, transfer: Transfer) -> bool:
        return self.options.has("fail-with-body") and transfer.head is not None and transfer.head.status >= 400

    def _url(self, text: str) -> Url | Ended:
        try:
            return parse(text)
        except BadUrl as bad:
            if not bad.scheme:
                return Ended(3, "URL using bad/illegal format or missing URL")
            if bad.scheme in REAL_SCHEMES:
                raise Refused(f"simvlan: curl: {bad.scheme}:// is not built; http:// is\n", 2) from None
            return Ended(1, f'Protocol "{bad.scheme}" not supported or disabled in libcurl')

    def _output(self, at: int, url: Url) -> str | None:
        """The file for the URL of that place; None: standard output."""
        if at >= len(self.options.outputs):
            return None
        name = self.options.outputs[at]
        if name is None and not url.file:
            raise Ended(23, "Remote file name has no length")
        return url.file if name is None else name

    def _meter_to(self, sink: Sink) -> Any:
        """The meter is for people who do not see the body pass by (-s: for nobody)."""
        hidden = {"silent", "no-progress-meter"} & self.options.flags
        seen = self.proc.stdout_isatty and sink.name in (None, "-")
        return None if hidden or seen else self.proc.write_err

    def _complain(self, ended: Ended) -> int:
        text = ended.text
        if text.startswith("\0"):
            if not self.options.has("silent"):
                self.proc.write_err(f"Warning: {text[1:]}\n")
            text = "Failure writing output to destination"
        if not self.options.has("silent") or self.options.has("show-error"):
            self.proc.write_err(f"curl: ({ended.code}) {text}\n")
        return ended.code

    def _curable(self, transfer: Transfer, failed: Ended | None) -> str:
        """What --retry tries again: timeouts, some answers, and refusals if that was asked for."""
        if failed is not None and failed.code == 28:
            return "timeout"
        if failed is not None and failed.code == 7 and self.options.has("retry-connrefused"):
            return "connection refused"
        answered = transfer.head.status if transfer.head is not None else 0
        return "HTTP error" if answered in TRANSIENT else ""

    def _tell(self, transfer: Transfer, sink: Sink, failed: Ended | None) -> None:
        """-w."""
        form = self.options.values.get("write-out")
        if form is None:
            return
        if form.startswith("@"):
            form = self.proc.read_file(form[1:]).decode(errors="replace")
        self.proc.write(write_out(form, self._variables(transfer, sink, failed), self.proc.write_err))

    def _variables(self, transfer: Transfer, sink: Sink, failed: Ended | None) -> dict[str, str]:
        head, connection = transfer.head, transfer.connection
        sock = connection.sock if connection is not None else None
        elapsed = self.session.talk.now - transfer.began
        code = f"{head.status if head else 0:03d}"
        location = head.get("location") if head and not self.options.has("location") else ""
        times = {f"time_{name}": f"{ns / SECOND:.6f}" for name, ns in transfer.times.items()}
        return times | {
            "http_code": code, "response_code": code, "size_download": str(transfer.meter.down),
            "size_upload": str(transfer.meter.up), "size_header": str(transfer.header_octets),
            "size_request": str(transfer.request_octets), "num_connects": str(transfer.connects),
            "num_redirects": str(transfer.redirects), "num_headers": str(len(head.headers) if head else 0),
            "url_effective": str(transfer.url), "url": str(transfer.url), "urlnum": "0",
            "content_type": head.get("content-type") if head else "", "scheme": "HTTP", "method": transfer.method,
            "http_version": ("1" if head.version == "1.0" else head.version) if head else "0",
            "remote_ip": sock.text(sock.flow[2]) if sock else "", "remote_port": str(sock.flow[3] if sock else 0),
            "local_ip": sock.text(sock.flow[0]) if sock else "", "local_port": str(sock.flow[1] if sock else 0),
            "exitcode": str(failed.code if failed else 0), "errormsg": failed.text if failed else "",
            "filename_effective": sink.name or "", "time_total": f"{elapsed / SECOND:.6f}",
            "time_appconnect": "0.000000", "ssl_verify_result": "0", "proxy_ssl_verify_result": "0",
            "speed_download": str(speed(transfer.meter.down, elapsed)), "redirect_url": _target(transfer, location),
            "speed_upload": str(speed(transfer.meter.up, elapsed)),
        }  # fmt: skip


def _target(transfer: Transfer, location: str) -> str:
    return str(transfer.url.follow(location)) if location else ""


def main(proc: Process) -> Generator[Any, Any, int]:
    """Run curl."""
    return (yield from run(proc, Curl))
