"""Command lines as the docker command reads them (pflag): flags with and without values, before the first operand."""

from __future__ import annotations

from dataclasses import dataclass, field


class UsageFault(Exception):  # noqa: N818 - what the command says of its own line
    """A command line that is refused; the text is the command's."""

    def __init__(self, text: str, status: int = 125) -> None:
        self.text, self.status = text, status
        super().__init__(text)


@dataclass
class Line:
    """What a command line said."""

    flags: set[str] = field(default_factory=set)
    values: dict[str, list[str]] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)

    def one(self, name: str, default: str = "") -> str:
        """The last value of an option."""
        return self.values.get(name, [default])[-1]

    def many(self, name: str) -> list[str]:
        """Every value of an option."""
        return self.values.get(name, [])

    def pairs(self, name: str) -> dict[str, str]:
        """The values of an option as `key=value` pairs."""
        return {key: value for key, _, value in (word.partition("=") for word in self.many(name))}


def read(words: list[str], flags: str, valued: str, command: str, *, interspersed: bool = True) -> Line:
    """Read a line. *flags* and *valued*: names separated by blanks, `long|short|alias`. Raises UsageFault."""
    names = {alias: (each.split("|")[0], False) for each in flags.split() for alias in each.split("|")}
    names |= {alias: (each.split("|")[0], True) for each in valued.split() for alias in each.split("|")}
    line, left = Line(), list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            line.rest += left
            break
        if not word.startswith("-") or word == "-":
            line.rest.append(word)
            if not interspersed:
                line.rest += left
                break
        elif word.startswith("--"):
            _long(line, word[2:], left, names, command)
        else:
            _short(line, word[1:], left, names, command)
    return line


def _long(line: Line, word: str, left: list[str], names: dict[str, tuple[str, bool]], command: str) -> None:
    name, equals, value = word.partition("=")
    if name not in names or len(name) == 1:
        raise _unknown(f"unknown flag: --{name}", command)
    known, takes = names[name]
    if not takes:
        if not equals or value in ("true", "1"):
            line.flags.add(known)
        return
    if not equals:
        if not left:
            raise _unknown(f"flag needs an argument: --{name}", command)
        value = left.pop(0)
    line.values.setdefault(known, []).append(value)


def _short(line: Line, letters: str, left: list[str], names: dict[str, tuple[str, bool]], command: str) -> None:
    whole = letters
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter not in names:
            raise _unknown(f"unknown shorthand flag: '{letter}' in -{whole}", command)
        known, takes = names[letter]
        if not takes:
            line.flags.add(known)
            continue
        if not letters and not left:
            raise _unknown(f"flag needs an argument: '{letter}' in -{whole}", command)
        value = letters.removeprefix("=") or left.pop(0)
        line.values.setdefault(known, []).append(value)
        return


def too_few(command: str, least: str) -> str:
    """What a command says when operands are missing."""
    return (
        f"docker: '{command}' requires at least {least}\n\nUsage:  {USAGE[command]}\n\n"
        f"See '{command} --help' for more information\n"
    )


def _unknown(text: str, command: str) -> UsageFault:
    return UsageFault(
        f"{text}\n\nUsage:  {USAGE.get(command, command)}\n\nRun '{command} --help' for more information\n"
    )


USAGE = {
    "docker run": "docker run [OPTIONS] IMAGE [COMMAND] [ARG...]",
    "docker exec": "docker exec [OPTIONS] CONTAINER COMMAND [ARG...]",
    "docker network create": "docker network create [OPTIONS] NETWORK",
    "docker network inspect": "docker network inspect [OPTIONS] NETWORK [NETWORK...]",
    "docker network rm": "docker network rm NETWORK [NETWORK...]",
    "docker ps": "docker ps [OPTIONS]",
}
