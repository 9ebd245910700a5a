"""Texts and small programs about them: echo, cat, grep, seq, ls and their like, as busybox prints them."""

from __future__ import annotations

import errno
import posixpath
import re
from collections.abc import Callable, Generator
from typing import Any

from simvlan.docker.programs.process import Proc

Running = Generator[Any, Any, int]
ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "e": "\033"}
SEQ_LIMIT = 1_000_000


def unescape(text: str) -> tuple[str, bool]:
    """Text with its backslash escapes done, and whether `\\c` ended it."""
    made, at = [], 0
    while at < len(text):
        here, after = text[at], text[at + 1 : at + 2]
        if here != "\\" or not after:
            made.append(here)
            at += 1
        elif after == "c":
            return "".join(made), True
        elif after == "0" or after in "1234567":
            digits = re.match(r"0?([0-7]{0,3})", text[at + 1 :])
            assert digits is not None
            made.append(chr(int(digits[1] or "0", 8) & 255))
            at += 1 + digits.end()
        else:
            made.append(ESCAPES.get(after, "\\" + after))
            at += 2
    return "".join(made), False


def echo_text(words: list[str]) -> str:
    """What echo writes."""
    words, flags = list(words), ""
    while words and re.fullmatch(r"-[neE]+", words[0]):
        flags += words.pop(0)[1:]
    text, ended = unescape(" ".join(words)) if "e" in flags else (" ".join(words), False)
    return text + ("" if "n" in flags or ended else "\n")


def printf_text(form: str, args: list[str]) -> str:
    """What printf writes."""
    form, _ = unescape(form)
    made, left = "", list(args)
    while True:
        before = len(left)
        made += re.sub(r"%([-+ 0#]*\d*(?:\.\d+)?)([a-zA-Z%])", lambda m: _converted(m[1], m[2], left), form)
        if not left or len(left) == before or len(made) > SEQ_LIMIT:
            return made


def _converted(flags: str, kind: str, left: list[str]) -> str:
    if kind == "%":
        return "%"
    word = left.pop(0) if left else ""
    if len(flags) > 6:
        flags = ""
    if kind in "diouxXc":
        if kind == "c":
            return word[:1]
        try:
            return ("%" + flags + kind) % int(word or "0", 0)
        except ValueError:
            return ("%" + flags + kind) % 0
    if kind == "b":
        word = unescape(word)[0]
    return ("%" + flags + "s") % word


def test_words(words: list[str], files: dict[str, bytes], directories: set[str], path: Callable[[str], str]) -> bool:
    """What test(1) answers. Raises ValueError with its complaint."""
    if words and words[0] == "!":
        return not test_words(words[1:], files, directories, path)
    for op in ("-o", "-a"):
        if op in words[1:-1] and len(words) > 3:
            at = words.index(op, 1)
            left = test_words(words[:at], files, directories, path)
            right = test_words(words[at + 1 :], files, directories, path)
            return (left or right) if op == "-o" else (left and right)
    if len(words) < 2:
        return bool(words and words[0])
    if len(words) == 2:
        return _unary(words[0], words[1], files, directories, path)
    if len(words) == 3:
        return _binary(*words)
    raise ValueError(f"test: {words[1]}: unknown operand")


def _unary(op: str, word: str, files: dict[str, bytes], directories: set[str], path: Callable[[str], str]) -> bool:
    if op in ("-n", "-z"):
        return bool(word) == (op == "-n")
    full = path(word) if word else ""
    if op in ("-e", "-r", "-w", "-x"):
        return full in files or full in directories
    if op in ("-f", "-d", "-s", "-t", "-h", "-L"):
        known = {"-f": full in files, "-d": full in directories, "-s": bool(files.get(full))}
        return known.get(op, False)
    raise ValueError(f"test: {op}: unknown operand")


def _binary(left: str, op: str, right: str) -> bool:
    if op in ("=", "==", "!="):
        return (left == right) != (op == "!=")
    compare: dict[str, Callable[[int, int], bool]] = {
        "-eq": lambda a, b: a == b, "-ne": lambda a, b: a != b, "-lt": lambda a, b: a < b,
        "-le": lambda a, b: a <= b, "-gt": lambda a, b: a > b, "-ge": lambda a, b: a >= b,
    }  # fmt: skip
    if op not in compare:
        raise ValueError(f"test: {op}: unknown operand")
    try:
        return compare[op](int(left), int(right))
    except ValueError:
        raise ValueError(f"test: bad number '{left if not left.lstrip('-').isdigit() else right}'") from None


# -- programs --------------------------------------------------------------------------------------------------------


def echo(proc: Proc) -> int:
    """Write words, with -n and -e as busybox reads them."""
    proc.write(echo_text(proc.argv[1:]).encode(errors="surrogateescape"))
    return 0


def printf(proc: Proc) -> int:
    """Write words by a format."""
    if len(proc.argv) < 2:
        proc.write_err("BusyBox printf: missing FORMAT\n")
        return 1
    proc.write(printf_text(proc.argv[1], proc.argv[2:]).encode(errors="surrogateescape"))
    return 0


def test(proc: Proc) -> int:
    """`test` and `[`: 0 where the condition holds, 1 where not, 2 where it is none."""
    words = proc.argv[1:-1] if proc.name == "[" else proc.argv[1:]
    try:
        return int(not test_words(words, proc.container.files(), proc.container.directories, proc.path))
    except ValueError as error:
        proc.write_err(f"{error}\n")
        return 2


def _contents(proc: Proc, names: list[str], verb: str = "can't open") -> Generator[Any, Any, list[tuple[str, bytes]]]:
    """The files named, or standard input; what cannot be read is complained about and noted as status 1."""
    found: list[tuple[str, bytes]] = []
    for name in names or ["-"]:
        if name == "-":
            found.append((name, (yield from proc.streams.stdin.rest())))
            continue
        try:
            found.append((name, proc.container.read(proc.path(name))))
        except OSError as error:
            reason = "Is a directory" if error.errno == 21 else "No such file or directory"
            said = "read error: Is a directory" if error.errno == 21 else f"{verb} '{name}': {reason}"
            proc.write_err(f"{proc.name}: {said}\n")
            proc.missing = True
    return found


def cat(proc: Proc) -> Running:
    """cat: as soon as there is something to write."""
    names = [word for word in proc.argv[1:] if word == "-" or not word.startswith("-")]
    for name in names or ["-"]:
        if name == "-":
            while piece := (yield from proc.streams.stdin.read()):
                proc.write(piece)
        else:
            for _, data in (yield from _contents(proc, [name])):
                proc.write(data)
    return int(proc.missing)


def head(proc: Proc) -> Running:
    """head and tail."""
    words, count = list(proc.argv[1:]), 10
    names: list[str] = []
    while words:
        word = words.pop(0)
        if word == "-c" and words and words[0].isdigit():
            return (yield from _octets(proc, int(words[0]), words[1:]))
        if word == "-n" and words:
            word = "-" + words.pop(0)
        if re.fullmatch(r"-n?[-+]?\d+", word):
            count = int(word.lstrip("-n+") or 10)
        elif word == "-f":
            continue
        else:
            names.append(word)
    if proc.name == "head" and not names:
        for _ in range(count):
            line = yield from proc.streams.stdin.line()
            proc.write(line)
            if not line:
                break
        return 0
    for name, data in (yield from _contents(proc, names)):
        lines = data.splitlines(keepends=True)
        proc.write(f"==> {name} <==\n" if len(names) > 1 else "")
        proc.write(b"".join(lines[:count] if proc.name == "head" else lines[-count:] if count else []))
    return int(proc.missing)


def _octets(proc: Proc, count: int, names: list[str]) -> Running:
    """head -c and tail -c."""
    for _, data in (yield from _contents(proc, names)):
        proc.write(data[:count] if proc.name == "head" else data[-count:] if count else b"")
    return int(proc.missing)


def wc(proc: Proc) -> Running:
    """`wc [-lwc] [FILE]...`: lines, words and octets, with a total for several files."""
    flags = "".join(word[1:] for word in proc.argv[1:] if word.startswith("-"))
    names = [word for word in proc.argv[1:] if not word.startswith("-")]
    rows = []
    for name, data in (yield from _contents(proc, names)):
        counts = {"l": data.count(b"\n"), "w": len(data.split()), "c": len(data)}
        rows.append(([counts[key] for key in "lwc" if not flags or key in flags], name))
    if len(rows) > 1:
        rows.append(([sum(column) for column in zip(*(row for row, _ in rows), strict=True)], "total"))
    for row, name in rows:
        wide = len(row) > 1
        numbers = " ".join(f"{number:9}" if wide else str(number) for number in row)
        proc.write(f"{numbers}{'' if name == '-' else ' ' + name}\n")
    return int(proc.missing)


def grep(proc: Proc) -> Running:
    """`grep [-EFHhinqvwc] PATTERN [FILE]...`: lines that match; 1 when none does."""
    flags = ""
    rest: list[str] = []
    words = list(proc.argv[1:])
    while words:
        word = words.pop(0)
        if word == "-e" and words:
            rest.insert(0, words.pop(0))
        elif word.startswith("-") and len(word) > 1:
            flags += word[1:]
        else:
            rest.append(word)
    if not rest:
        proc.write_err("BusyBox grep: usage: grep [-EFHhinqvwc] PATTERN [FILE]...\n")
        return 2
    text = re.escape(rest[0]) if "F" in flags or proc.name == "fgrep" else rest[0]
    if "E" not in flags and proc.name == "grep" and "F" not in flags:
        text = re.sub(r"\\([|+?(){}])|([|+?(){}])", lambda m: m[1] or "\\" + m[2], text)
    try:
        wanted = re.compile(rf"\b(?:{text})\b" if "w" in flags else text, re.IGNORECASE if "i" in flags else 0)
    except re.error as error:
        proc.write_err(f"grep: bad regex '{rest[0]}': {error}\n")
        return 2
    return (yield from _matches(proc, wanted, flags, rest[1:]))


def _matches(proc: Proc, wanted: re.Pattern[str], flags: str, names: list[str]) -> Running:
    found = False
    for name, data in (yield from _contents(proc, names)):
        count = 0
        for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
            match = wanted.search(line)
            if (match is None) != ("v" in flags):
                continue
            found, count = True, count + 1
            if "q" in flags:
                return 0
            prefix = f"{name}:" if (len(names) > 1 or "H" in flags) and "h" not in flags else ""
            prefix += f"{number}:" if "n" in flags else ""
            if "c" not in flags:
                proc.write(prefix + (match[0] if "o" in flags and match else line) + "\n")
        if "c" in flags:
            proc.write(f"{name + ':' if len(names) > 1 else ''}{count}\n")
    return 2 if proc.missing else int(not found)


def sort(proc: Proc) -> Running:
    """sort and uniq."""
    flags = "".join(word[1:] for word in proc.argv[1:] if word.startswith("-"))
    names = [word for word in proc.argv[1:] if not word.startswith("-")]
    lines = [
        line for _, data in (yield from _contents(proc, names)) for line in data.decode(errors="replace").splitlines()
    ]
    if proc.name == "sort":

        def key(line: str) -> Any:
            digits = re.match(r"\s*(-?\d+)", line)
            return (int(digits[1]) if digits else 0, line) if "n" in flags else line

        lines.sort(key=key, reverse="r" in flags)
    if proc.name == "uniq" or "u" in flags:
        lines = [line for at, line in enumerate(lines) if not at or line != lines[at - 1]]
    proc.write("".join(line + "\n" for line in lines))
    return int(proc.missing)


def seq(proc: Proc) -> int:
    """`seq [-w] [-s SEP] [FIRST [INC]] LAST`: whole numbers, up to a limit."""
    words = proc.argv[1:]
    try:
        numbers = [int(word) for word in words]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 3 or len(numbers) != len(words):
        proc.write_err("BusyBox seq: usage: seq [-w] [-s SEP] [FIRST [INC]] LAST\n")
        return 1
    first, step, last = (
        (1, 1, *numbers) if len(numbers) == 1 else (numbers[0], 1, numbers[1]) if len(numbers) == 2 else numbers
    )
    if not step:
        return 1
    every = range(first, last + (1 if step > 0 else -1), step)
    for start in range(0, min(len(every), SEQ_LIMIT), 1024):
        proc.write("".join(f"{number}\n" for number in every[start : start + 1024]))
    return 0


def listing(proc: Proc) -> int:
    """ls: names, one a line; with -l as much as there is to say."""
    flags = "".join(word[1:] for word in proc.argv[1:] if word.startswith("-"))
    names = [word for word in proc.argv[1:] if not word.startswith("-")] or ["."]
    files, directories, status = proc.container.files(), proc.container.directories, 0
    for name in names:
        path = proc.path(name)
        if path in files:
            proc.write(name + "\n")
        elif path in directories:
            inside = sorted(
                posixpath.basename(each)
                for each in {*files, *directories}
                if posixpath.dirname(each) == path and each != "/"
            )
            proc.write(f"{name}:\n" if len(names) > 1 else "")
            proc.write(
                "".join(_entry(files, path, each, "l" in flags) for each in inside if each[0] != "." or "a" in flags)
            )
        else:
            proc.write_err(f"ls: {name}: No such file or directory\n")
            status = 1
    return status


def _entry(files: dict[str, bytes], folder: str, name: str, long: bool) -> str:
    data = files.get(posixpath.join(folder, name))
    if not long:
        return name + "\n"
    kind, size = ("drwxr-xr-x", 4096) if data is None else ("-rw-r--r--", len(data))
    return f"{kind}    1 root     root     {size:9} Jan  1 00:00 {name}\n"


def _mkdir(proc: Proc, path: str) -> None:
    disk = proc.container.disk
    if "-p" not in proc.argv:
        if path in disk.directories or path in disk.files():
            raise FileExistsError(errno.EEXIST, "File exists")
        if posixpath.dirname(path) not in disk.directories:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
    disk.make_directory(path)


def touch(proc: Proc) -> int:
    """touch, mkdir and rm: in the container's memory."""
    status = 0
    for name in [word for word in proc.argv[1:] if not word.startswith("-")]:
        path = proc.path(name)
        try:
            if proc.name == "rm":
                proc.container.remove(path)
            elif proc.name == "touch":
                proc.container.store(path, proc.container.files().get(path, b""))
            else:
                _mkdir(proc, path)
        except OSError as error:
            if proc.name == "rm" and "-f" in proc.argv:
                continue
            verb = {"rm": "can't remove ", "mkdir": "can't create directory "}.get(proc.name, "")
            named = f"'{name}'" if verb else name
            proc.write_err(f"{proc.name}: {verb}{named}: {error.strerror}\n")
            status = 1
    return status
