"""What the shell's grammar makes of a text: commands and the words in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass
class Part:
    """A piece of a word: kind is text, var, run (command substitution) or sum (arithmetic)."""

    kind: str
    text: str
    quoted: bool = False
    script: Script | None = None


Word: TypeAlias = "list[Part]"


@dataclass
class Redirect:
    """`fd op target`; a here-document carries its text as the target."""

    fd: int
    op: str
    target: Word


@dataclass
class Simple:
    """Assignments, words, redirections."""

    assigns: list[tuple[str, Word]] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)


@dataclass
class Group:
    """`{ ...; }`, or `( ... )` in a shell of its own."""

    body: Script
    subshell: bool
    redirects: list[Redirect] = field(default_factory=list)


@dataclass
class If:
    """Conditions with what follows each; the last may be the else part, without condition."""

    branches: list[tuple[Script | None, Script]]
    redirects: list[Redirect] = field(default_factory=list)


@dataclass
class While:
    """A while or until loop."""

    condition: Script
    body: Script
    until: bool
    redirects: list[Redirect] = field(default_factory=list)


@dataclass
class For:
    """A loop over words; None: over the positional parameters."""

    name: str
    words: list[Word] | None
    body: Script
    redirects: list[Redirect] = field(default_factory=list)


@dataclass
class Case:
    """A choice by pattern."""

    word: Word
    branches: list[tuple[list[Word], Script]]
    redirects: list[Redirect] = field(default_factory=list)


@dataclass
class Function:
    """A function's definition."""

    name: str
    body: Command
    redirects: list[Redirect] = field(default_factory=list)


Command: TypeAlias = "Simple | Group | If | While | For | Case | Function"


@dataclass
class Pipeline:
    """Commands joined by pipes."""

    commands: list[Command]
    negated: bool = False


@dataclass
class Item:
    """Pipelines joined by && and ||; the first one's operator is empty."""

    parts: list[tuple[str, Pipeline]]
    background: bool = False


Script: TypeAlias = "list[Item]"
