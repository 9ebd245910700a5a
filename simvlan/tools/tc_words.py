"""The command line of tc, word by word, and how it refuses."""

from __future__ import annotations

from typing import Any

from simvlan.tools.tc_units import BadValue


class Refused(Exception):  # noqa: N818
    """tc gives up: text for standard error, and the status."""

    def __init__(self, text: str, status: int) -> None:
        self.text, self.status = text, status
        super().__init__(text)


def kernel(text: str) -> Refused:
    """A refusal by the kernel."""
    return Refused(f"Error: {text}\n", 2)


def unmodelled(what: str) -> Refused:
    """A refusal by simvlan."""
    return Refused(f"simvlan: {what} is not modelled (netem and tbf are)\n", 2)


class Words:
    """The rest of the command line."""

    def __init__(self, words: list[str]) -> None:
        self.words = words

    def __bool__(self) -> bool:
        return bool(self.words)

    def peek(self) -> str:
        """Look at the next word."""
        return self.words[0] if self.words else ""

    def take(self) -> str:
        """Take the next word."""
        if not self.words:
            raise Refused('Command line is not complete. Try option "help"\n', 255)
        return self.words.pop(0)

    def quantity(self, read: Any, complaint: str) -> Any:
        """Take a quantity."""
        try:
            return read(self.take())
        except BadValue as bad:
            raise Refused(f"{complaint.format(bad)}\n", 1) from None

    def optional(self, read: Any) -> Any:
        """Take a quantity if the next word is one (it begins with a digit)."""
        if not self.peek()[:1].isdigit():
            return None
        return self.quantity(read, "Illegal value")
