"""Word expansion: parameters, command substitution, arithmetic, field splitting, patterns. Mirrors POSIX XCU 2.6."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Generator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from simvlan.docker.programs.sh.arithmetic import evaluate
from simvlan.docker.programs.sh.syntax import Parser
from simvlan.docker.programs.sh.tree import Part, Word
from simvlan.docker.programs.sh.words import NAME

if TYPE_CHECKING:
    from simvlan.docker.programs.sh.shell import Shell

    Expansion = Generator[Any, Any, str]

GLOB = re.compile(r"[*?\[]")
SIZE_LIMIT = 1 << 20
"""Octets a word may grow to."""


class Unset(Exception):  # noqa: N818 - what the shell reports, not a fault of ours
    """`${x?text}`, or an unset variable under `set -u`."""


Field = list[tuple[str, bool]]
"""Pieces of one field, each with whether it was quoted."""


def words(shell: Shell, found: list[Word]) -> Generator[Any, Any, list[str]]:
    """Expand words to fields."""
    fields: list[str] = []
    for word in found:
        for field in (yield from _fields(shell, word)):
            fields.extend(_globbed(shell, field))
    return fields


def single(shell: Shell, word: Word) -> Expansion:
    """Expand a word to one string, without splitting or patterns."""
    text = ""
    for position, part in enumerate(word):
        if part.kind == "text":
            text += _home(shell, part.text) if not position and not part.quoted else part.text
        else:
            text += yield from _value(shell, part)
    return text[:SIZE_LIMIT]


def pattern(shell: Shell, word: Word) -> Expansion:
    """Expand a word to a pattern in which what was quoted stands for itself."""
    text = ""
    for part in word:
        value = part.text if part.kind == "text" else (yield from _value(shell, part))
        text += re.sub(r"([*?\[])", r"[\1]", value) if part.quoted else value
    return text


def _fields(shell: Shell, word: Word) -> Generator[Any, Any, list[Field]]:
    fields: list[Field] = []
    current: Field | None = None
    for position, part in enumerate(word):
        if part.kind == "text":
            text = _home(shell, part.text) if not position and not part.quoted else part.text
            current = [*(current or []), (text, part.quoted)]
            continue
        if part.kind == "var" and part.text == "@":
            pieces = list(shell.args)
            glue = [(each, part.quoted) for each in pieces]
        else:
            value = yield from _value(shell, part)
            if part.quoted:
                current = [*(current or []), (value, True)]
                continue
            pieces, before, after = _split(value, shell.variables.get("IFS", " \t\n"))
            if before and current is not None:
                fields.append(current)
                current = None
            glue = [(each, False) for each in pieces]
            if after and pieces:
                current = _join(fields, current, glue)
                fields.append(current or [])
                current = None
                continue
        current = _join(fields, current, glue)
    if current is not None:
        fields.append(current)
    return fields


def _join(fields: list[Field], current: Field | None, pieces: Field) -> Field | None:
    """Add pieces of which the first continues the current field and the last becomes it."""
    for position, piece in enumerate(pieces):
        if position:
            fields.append(current or [])
            current = None
        current = [*(current or []), piece]
    return current


def _split(text: str, ifs: str) -> tuple[list[str], bool, bool]:
    """Split at IFS; also whether a separator came first and last."""
    if not ifs:
        return ([text] if text else []), False, False
    blank = "".join(c for c in ifs if c in " \t\n")
    other = "".join(c for c in ifs if c not in " \t\n")
    inner = text.strip(blank) if blank else text
    separator = f"[{re.escape(blank)}]*[{re.escape(other)}][{re.escape(blank)}]*" if other and blank else ""
    separator = separator or (f"[{re.escape(other)}]" if other else "")
    parts = [*filter(None, (separator, f"[{re.escape(blank)}]+" if blank else ""))]
    pieces = re.split("|".join(parts), inner) if inner else []
    if pieces and not pieces[-1]:
        pieces.pop()
    return pieces, bool(text) and text[0] in ifs, bool(text) and text[-1] in ifs


def _home(shell: Shell, text: str) -> str:
    """`~` at the beginning of a word."""
    if text == "~" or text.startswith("~/"):
        return shell.variables.get("HOME", "/root") + text[1:]
    return text


def _globbed(shell: Shell, field: Field) -> list[str]:
    """Match a field with patterns against the container's files; one that matches nothing stands for itself."""
    plain = "".join(text for text, _ in field)
    if not any(GLOB.search(text) for text, quoted in field if not quoted) or shell.options["f"]:
        return [plain]
    made = "".join(re.sub(r"([*?\[])", r"[\1]", text) if quoted else text for text, quoted in field)
    absolute = posixpath.normpath(posixpath.join(shell.proc.cwd, made))
    container = shell.proc.container
    depth = absolute.count("/")
    names = sorted({*container.files(), *container.directories})
    found = [name for name in names if name.count("/") == depth and fnmatchcase(name, absolute)]
    if not made.startswith("/"):
        base = shell.proc.cwd.rstrip("/") + "/"
        found = [name.removeprefix(base) for name in found]
    return [name for name in found if name and not posixpath.basename(name).startswith(".")] or [plain]


# -- parameters ------------------------------------------------------------------------------------------------------


def _value(shell: Shell, part: Part) -> Expansion:
    if part.kind == "run":
        return (yield from shell.substitute(part.script or []))
    if part.kind == "sum":
        text = yield from single(shell, Parser(part.text).quoted_text(""))
        return str(evaluate(text, shell.variables))
    return (yield from _parameter(shell, part.text))


def _parameter(shell: Shell, text: str) -> Expansion:
    """`$text`, or what stands in `${text}`."""
    if text.startswith("#") and len(text) > 1:
        return str(len(shell.parameter(text[1:]) or ""))
    size = 1 if text[:1] in "?$!#@*-" else next((i for i, c in enumerate(text) if c not in NAME), len(text))
    name, rest = text[:size], text[size:]
    value = shell.parameter(name)
    if not rest:
        if value is None and shell.options["u"]:
            raise Unset(f"{name}: parameter not set")
        return value or ""
    return (yield from _modified(shell, name, value, rest))


def _modified(shell: Shell, name: str, value: str | None, rest: str) -> Expansion:
    colon = rest[0] == ":"
    op = rest[colon : colon + 1]
    word = Parser(rest[colon + 1 :]).quoted_text("")
    if op and op in "-=?+":
        missing = value is None or (colon and not value)
        if op == "+":
            return "" if missing else (yield from single(shell, word))
        if not missing:
            return value or ""
        text = yield from single(shell, word)
        if op == "?":
            raise Unset(f"{name}: {text or 'parameter not set or null'}")
        if op == "=":
            shell.variables[name] = text
        return text
    if op and op in "%#" and not colon:
        twice = rest[1:2] == op
        made = yield from pattern(shell, Parser(rest[1 + twice :]).loose())
        return _trimmed(value or "", made, op, twice)
    if colon:
        return _slice(shell, value or "", (yield from single(shell, Parser(rest[1:]).quoted_text(""))))
    raise Unset(f"{name}{rest}: bad substitution")


def _trimmed(value: str, made: str, op: str, longest: bool) -> str:
    """`${x%p}` and its like."""
    cuts = range(len(value) + 1)
    order = cuts if (op == "#") != longest else reversed(cuts)
    for cut in order:
        if op == "#" and fnmatchcase(value[:cut], made):
            return value[cut:]
        if op == "%" and fnmatchcase(value[cut:], made):
            return value[:cut]
    return value


def _slice(shell: Shell, value: str, text: str) -> str:
    first, _, length = text.partition(":")
    start = evaluate(first, shell.variables)
    start = max(0, len(value) + start) if start < 0 else start
    if not length:
        return value[start:]
    size = evaluate(length, shell.variables)
    return value[start : start + size] if size >= 0 else value[start:size]
