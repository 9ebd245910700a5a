"""The lines of a batch: comments, continuations, quoting. Mirrors getcmdline and makeargs of lib/utils.c."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from simvlan.tools.iproute.errors import WRONG, Quit

if TYPE_CHECKING:
    from simvlan.tools.iproute.context import Context


def lines_of(ctx: Context, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the words of each line that has some, with the number of its last line."""
    try:
        data = ctx.proc.read_file(name)
    except OSError as error:
        text = f'Cannot open file "{name}" for reading: {os.strerror(error.errno or 0)}\n'
        raise Quit(WRONG, text) from error
    text = ""
    for number, line in enumerate(data.decode(errors="surrogateescape").splitlines(), 1):
        text += line.partition("#")[0]
        if "#" not in line and text.endswith("\\"):
            text = text[:-1]
            continue
        words = split(text)
        text = ""
        if words:
            yield number, words


def split(line: str) -> list[str]:
    """Split at white space; quotes of either kind hold a word together."""
    words: list[str] = []
    at = 0
    while at < len(line):
        char = line[at]
        if char in " \t\r\n":
            at += 1
        elif char in "'\"":
            end = line.find(char, at + 1)
            if end < 0:
                raise Quit(WRONG, "Unterminated quoted string\n")
            words.append(line[at + 1 : end])
            at = end + 1
        else:
            end = min((i for i in (line.find(c, at) for c in " \t\r\n") if i >= 0), default=len(line))
            words.append(line[at:end])
            at = end
    return words
