"""The format of a stream without a terminal: moby's stdcopy."""

from __future__ import annotations


def framed(number: int, data: bytes) -> bytes:
    """A piece of output with its eight octets of header: stream number and length."""
    return bytes((number, 0, 0, 0)) + len(data).to_bytes(4, "big") + data
