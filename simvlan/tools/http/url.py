"""An address of the web as people type it: http://HOST[:PORT][/PATH][?QUERY] (RFC 3986)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import urljoin


class BadUrl(Exception):  # noqa: N818 - what it is
    """No address, or not one of the web; `scheme` says which kind it is instead."""

    def __init__(self, text: str, scheme: str = "") -> None:
        self.scheme = scheme
        super().__init__(text)


@dataclass(frozen=True)
class Url:
    """The parts of an address."""

    host: str
    port: int
    target: str
    """Path and query, as a request names them."""

    zone: str = ""
    """The device of a link-local address (RFC 6874)."""

    @property
    def authority(self) -> str:
        """Host, and the port where it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 80 else f"{host}:{self.port}"

    @property
    def place(self) -> str:
        """The host with the device of its address, as resolvers take it."""
        return f"{self.host}%{self.zone}" if self.zone else self.host

    def __str__(self) -> str:
        return f"http://{self.authority}{self.target}"

    @property
    def file(self) -> str:
        """The last part of the path."""
        return self.target.partition("?")[0].rpartition("/")[2]

    def follow(self, location: str) -> Url:
        """Where a redirection leads."""
        return parse(urljoin(str(self), location))


def parse(text: str) -> Url:
    """Read an address; without a scheme it is one of the web.

    Raises:
        BadUrl: it is none.
    """
    scheme, given, rest = text.partition("://")
    if not given:
        scheme, rest = "http", text
    if scheme.lower() != "http":
        raise BadUrl(text, scheme.lower())
    rest = rest.partition("#")[0]
    at = min((rest.index(each) for each in "/?" if each in rest), default=len(rest))
    authority, target = rest[:at].rpartition("@")[2], rest[at:]
    host, zone = "", ""
    if authority.startswith("["):
        host, closed, after = authority[1:].partition("]")
        host, _, zone = host.partition("%")
        colon, port = after[:1], after[1:]
        if not closed or colon not in ("", ":") or not _is_v6(host):
            raise BadUrl(text)
    else:
        host, colon, port = authority.partition(":")
    if not host or " " in text or (colon and port and not (port.isdigit() and int(port) < 65_536)):
        raise BadUrl(text)
    return Url(host, int(port or 80), target if target.startswith("/") else f"/{target}", zone.removeprefix("25"))


def _is_v6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True
