"""Requests word by word, as every object of iproute2 reads them: a keyword has a rule, any other word is the rest's.

What most keywords do is here; what only one object does stands beside its table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from simvlan.tools.iproute.args import Args, Word, look_up, meant, need, u32
from simvlan.tools.iproute.errors import USAGE, Quit, duplicate, invalid, refuse
from simvlan.tools.iproute.names import value_of
from simvlan.tools.iproute.usage import usage

if TYPE_CHECKING:
    from simvlan.tools.iproute.context import Context

W = TypeVar("W")
Rule = Callable[["Context", W, Args], None]
"""What a keyword does to a request; its own arguments are still to be taken."""
Rest = Callable[["Context", W, Args, str], None]
"""The same for a word that is no keyword."""


def read(ctx: Context, args: Args, rules: Sequence[tuple[Word, Rule[W]]], into: W, rest: Rest[W]) -> W:
    """Read all words of a request."""
    while args:
        word = args.take()
        rule = look_up(rules, word)
        args.keyword = meant(rules, word)
        if rule is not None:
            rule(ctx, into, args)
        else:
            rest(ctx, into, args, word)
    return into


def verb(args: Args, verbs: Sequence[tuple[Word, str]], command: str) -> str:
    """Take what is to be done with an object; `help` and unknown words end the command."""
    word = args.take()
    found = look_up(verbs, word)
    if found is None:
        raise Quit(USAGE, f'Command "{word}" is unknown, try "{command} help".\n')
    if found == "help":
        raise usage(command.split()[-1])
    return found


def text(key: str, once: str = "") -> Rule[Any]:
    """Keep the next word; a second time is refused if the keyword has a name to say so."""

    def rule(ctx: Context, into: Any, args: Args) -> None:
        word = args.value()
        if once and getattr(into, key) is not None:
            raise duplicate(once, word)
        setattr(into, key, word)

    return rule


def switch(key: str) -> Rule[Any]:
    """Note that the keyword was there."""

    def rule(ctx: Context, into: Any, args: Args) -> None:
        setattr(into, key, True)

    return rule


def number(key: str, problem: str) -> Rule[Any]:
    """Keep the next word as a 32-bit number."""

    def rule(ctx: Context, into: Any, args: Args) -> None:
        word = args.value()
        setattr(into, key, need(u32, word, invalid(problem, word)))

    return rule


def named(key: str, names: Mapping[int, str], problem: str) -> Rule[Any]:
    """Keep the next word as the number it names."""

    def rule(ctx: Context, into: Any, args: Args) -> None:
        word = args.value()
        value = value_of(names, word)
        if value is None:
            raise invalid(problem, word)
        setattr(into, key, value)

    return rule


def refused(command: str) -> Rule[Any]:
    """Refuse the keyword by name."""

    def rule(ctx: Context, into: Any, args: Args) -> None:
        raise refuse(f"the option {args.keyword} of {command}")

    return rule
