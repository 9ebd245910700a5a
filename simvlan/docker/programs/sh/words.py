"""The shell's words: quoting, `$` and backquotes, as parts that are expanded later. Mirrors POSIX XCU 2.2 and 2.6."""

from __future__ import annotations

from simvlan.docker.programs.sh.tree import Part, Script, Word

NAME_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
NAME = NAME_FIRST | frozenset("0123456789")
SPECIAL = frozenset("?$!#@*-0123456789")


class SyntaxFault(Exception):  # noqa: N818 - what the shell calls a syntax error
    """The text is no shell command; the message is what the shell says after `syntax error: `."""


class Unfinished(SyntaxFault):
    """The text is the beginning of a command."""


class Words:
    """A text that is read from the left; commands inside words are read by the grammar that extends this."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def script(self, ends: tuple[str, ...]) -> Script:
        """Read commands up to one of *ends*."""
        raise NotImplementedError

    def take(self, op: str) -> bool:
        """Take an operator if it is next."""
        raise NotImplementedError

    def unexpected(self, wanted: str = "") -> None:
        """Raise for what comes next."""
        raise NotImplementedError

    def whole(self, text: str) -> Script:
        """Another text as a script of its own."""
        raise NotImplementedError

    def _blanks(self) -> None:
        text = self.text
        while self.at < len(text):
            if text[self.at] in " \t":
                self.at += 1
            elif text.startswith("\\\n", self.at):
                self.at += 2
            elif text[self.at] == "#":
                end = text.find("\n", self.at)
                self.at = len(text) if end < 0 else end
            else:
                return

    def word(self) -> Word:
        """One word, in parts."""
        self._blanks()
        return self._parts()

    def _parts(self) -> Word:
        parts: Word = []
        while self.at < len(self.text):
            here = self.text[self.at]
            if here in " \t\n;&|<>()":
                break
            if here == "'":
                parts.append(self._single())
            elif here == '"':
                self.at += 1
                parts.extend(self.quoted_text('"') or [Part("text", "", True)])
            elif here == "\\":
                parts.append(Part("text", self.text[self.at + 1 : self.at + 2], True))
                self.at += 2
            elif here in "$`":
                parts.append(self._dollar(False))
            else:
                parts.append(self._plain())
        return parts

    def loose(self) -> Word:
        """The rest of the text as one word, whatever blanks and operators are in it (the pattern of `${x%pattern}`)."""
        parts: Word = []
        while self.at < len(self.text):
            before = self.at
            parts += self._parts()
            if self.at == before or self.at < len(self.text):
                parts.append(Part("text", self.text[self.at]))
                self.at += 1
        return parts

    def _plain(self) -> Part:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in " \t\n;&|<>()'\"\\$`":
            self.at += 1
        return Part("text", self.text[start : self.at])

    def _single(self) -> Part:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise Unfinished("unterminated quoted string")
        found = Part("text", self.text[self.at + 1 : end], True)
        self.at = end + 1
        return found

    def quoted_text(self, end: str) -> Word:
        """What stands in double quotes, or in a here-document (*end* empty), up to its end."""
        parts: Word = []
        text = ""
        while self.at < len(self.text) and self.text[self.at] != end:
            here, after = self.text[self.at], self.text[self.at + 1 : self.at + 2]
            if here == "\\" and after and after in '$`"\\\n':
                text += after if after != "\n" else ""
                self.at += 2
            elif here in "$`":
                parts += [Part("text", text, True)] if text else []
                text = ""
                parts.append(self._dollar(True))
            else:
                text += here
                self.at += 1
        if end and self.at >= len(self.text):
            raise Unfinished("unterminated quoted string")
        self.at += len(end)
        return parts + ([Part("text", text, True)] if text else [])

    def _dollar(self, quoted: bool) -> Part:
        """What follows a dollar sign or a backquote."""
        if self.text[self.at] == "`":
            return self._backquoted(quoted)
        self.at += 1
        rest = self.text[self.at : self.at + 2]
        if rest == "((":
            return self._arithmetic(quoted)
        if rest[:1] == "(":
            return self._substitution(quoted)
        if rest[:1] == "{":
            return self._braced(quoted)
        if rest[:1] and rest[:1] in SPECIAL:
            self.at += 1
            return Part("var", rest[:1], quoted)
        start = self.at
        while self.at < len(self.text) and self.text[self.at] in (NAME if self.at > start else NAME_FIRST):
            self.at += 1
        name = self.text[start : self.at]
        return Part("var", name, quoted) if name else Part("text", "$", True)

    def _backquoted(self, quoted: bool) -> Part:
        end = self.text.find("`", self.at + 1)
        if end < 0:
            raise Unfinished("EOF in backquote substitution")
        inner = self.text[self.at + 1 : end]
        self.at = end + 1
        return Part("run", inner, quoted, self.whole(inner))

    def _substitution(self, quoted: bool) -> Part:
        start = self.at = self.at + 1
        script = self.script(())
        if not self.take(")"):
            self.unexpected(")")
        return Part("run", self.text[start : self.at - 1], quoted, script)

    def _arithmetic(self, quoted: bool) -> Part:
        start, depth = self.at + 2, 2
        self.at = start
        while depth:
            if self.at >= len(self.text):
                raise Unfinished("missing '))'")
            depth += {"(": 1, ")": -1}.get(self.text[self.at], 0)
            self.at += 1
        return Part("sum", self.text[start : self.at - 2], quoted)

    def _braced(self, quoted: bool) -> Part:
        start, depth = self.at + 1, 1
        self.at = start
        while depth:
            if self.at >= len(self.text):
                raise Unfinished("missing '}'")
            depth += {"{": 1, "}": -1}.get(self.text[self.at], 0)
            self.at += 1
        return Part("var", self.text[start : self.at - 1], quoted)
