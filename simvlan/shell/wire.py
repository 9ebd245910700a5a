"""Messages between a shim and the server: one letter, four octets of length, a payload.

Client to server: R request, I input (empty: end), C how the child ended. Server to client: 1 and 2 output, E end,
X become another command, P run a child, K signal the child, W the child may have ended, N send input, H handle SIGINT
though it was ignored, B go on in the background, F write a file with the own process number.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

HEAD = 5


@dataclass
class Request:
    """What a shim asks to be run."""

    argv: list[str]
    netns: str
    cwd: str
    env: dict[str, str]
    stdout_isatty: bool


def message(kind: str, payload: bytes = b"") -> bytes:
    """One message as octets."""
    return kind.encode() + len(payload).to_bytes(4, "big") + payload


def messages(buffer: bytearray) -> Iterator[tuple[str, bytes]]:
    """Take every whole message out of a buffer."""
    while len(buffer) >= HEAD:
        end = HEAD + int.from_bytes(buffer[1:HEAD], "big")
        if len(buffer) < end:
            return
        kind, payload = chr(buffer[0]), bytes(buffer[HEAD:end])
        del buffer[:end]
        yield kind, payload


def read_request(payload: bytes) -> Request:
    """Decode a request; ValueError when it is not one."""
    netns, cwd, flags, argc, *rest = (os.fsdecode(field) for field in payload.split(b"\0"))
    count = int(argc)
    if not 0 < count <= len(rest):
        raise ValueError("a request without a command")
    env = dict(pair.partition("=")[::2] for pair in rest[count:])
    return Request(rest[:count], netns, cwd, env, "t" in flags)


def command(by: str, netns: str, argv: Sequence[str], env: Mapping[str, str]) -> bytes:
    """The payload of X and P: a command to run in a namespace, on behalf of *by*."""
    pairs = [f"{key}={value}" for key, value in env.items()]
    return b"\0".join(os.fsencode(field) for field in [by, netns, str(len(argv)), *argv, *pairs])
