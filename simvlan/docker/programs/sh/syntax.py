"""The shell's grammar: text to commands. Mirrors POSIX XCU chapter 2, without aliases."""

from __future__ import annotations

from collections.abc import Callable

from simvlan.docker.programs.sh.tree import (
    Case,
    Command,
    For,
    Function,
    Group,
    If,
    Item,
    Part,
    Pipeline,
    Redirect,
    Script,
    Simple,
    While,
    Word,
)
from simvlan.docker.programs.sh.words import NAME, NAME_FIRST, SyntaxFault, Unfinished, Words

OPERATORS = ("&&", "||", ";;", ">>", "<<", ">&", "<&", "&", "|", ";", "<", ">", "(", ")", "\n")
RESERVED = frozenset(
    ["if", "then", "elif", "else", "fi", "while", "until", "for", "do", "done", "case", "esac", "in", "{", "}", "!"]
)


def parse(text: str) -> Script:
    """Read a whole script. Raises SyntaxFault, Unfinished."""
    parser = Parser(text)
    script = parser.script(())
    if not parser.at_end():
        parser.unexpected()
    return script


class Parser(Words):
    """Recursive descent over the text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._here: list[tuple[Redirect, str, bool, bool]] = []
        """Here-documents whose text begins with the next line."""

    # -- characters and tokens ---------------------------------------------------------------------------------------

    def at_end(self) -> bool:
        """Whether only blanks and comments are left on this line and nothing after it."""
        self._blanks()
        return self.at >= len(self.text)

    def operator(self) -> str:
        """The operator that comes next, not taken; "" when a word does."""
        self._blanks()
        return next((op for op in OPERATORS if self.text.startswith(op, self.at)), "")

    def take(self, op: str) -> bool:
        """Take an operator if it is next."""
        if self.operator() != op:
            return False
        self.at += len(op)
        if op == "\n" and self._here:
            self._read_here()
        return True

    def newlines(self) -> None:
        """Skip line ends."""
        while self.take("\n"):
            pass

    def peek_word(self) -> str:
        """The unquoted text of the next word, not taken."""
        self._blanks()
        end = self.at
        while end < len(self.text) and self.text[end] not in " \t\n;&|<>()\"'`$\\":
            end += 1
        whole = end >= len(self.text) or self.text[end] in " \t\n;&|<>()"
        return self.text[self.at : end] if whole else ""

    def reserved(self, *words: str) -> bool:
        """Take one of these reserved words if it is next."""
        found = self.peek_word()
        if found not in words:
            return False
        self.at += len(found)
        return True

    def expect(self, *words: str) -> None:
        """Take a reserved word. Raises SyntaxFault."""
        if not self.reserved(*words):
            self.unexpected(words[0])

    def unexpected(self, wanted: str = "") -> None:
        """Raise for what comes next."""
        op = self.operator()
        if self.at >= len(self.text):
            raise Unfinished("unexpected end of file" + (f' (expecting "{wanted}")' if wanted else ""))
        found = "newline" if op == "\n" else f'"{op}"' if op else f'"{self.peek_word() or self.text[self.at]}"'
        if not op and self.peek_word() not in RESERVED:
            found = "word"
        raise SyntaxFault(f"unexpected {found}" + (f' (expecting "{wanted}")' if wanted else ""))

    def whole(self, text: str) -> Script:
        """Another text as a script of its own."""
        return parse(text)

    # -- commands ----------------------------------------------------------------------------------------------------

    def script(self, ends: tuple[str, ...]) -> Script:
        """Read commands up to a reserved word or operator of *ends*, which is left."""
        items: Script = []
        while True:
            self.newlines()
            if self.at_end() or self.peek_word() in ends or self.operator() in ends or self.operator() == ")":
                return items
            item = self._item()
            items.append(item)
            if self.take("&"):
                item.background = True
            elif not self.take(";") and not self.take("\n"):
                return items

    def _body(self, *ends: str) -> Script:
        """Commands of which there must be one."""
        body = self.script(ends)
        if not body:
            self.unexpected()
        return body

    def _item(self) -> Item:
        parts = [("", self._pipeline())]
        while self.operator() in ("&&", "||"):
            op = self.operator()
            self.take(op)
            self.newlines()
            parts.append((op, self._pipeline()))
        return Item(parts)

    def _pipeline(self) -> Pipeline:
        negated = False
        while self.reserved("!"):
            negated = not negated
        commands = [self._command()]
        while self.take("|"):
            self.newlines()
            commands.append(self._command())
        return Pipeline(commands, negated)

    def _command(self) -> Command:
        made = self._compound()
        if made is None:
            return self._simple()
        while self._redirect_next():
            made.redirects.append(self._redirect())
        return made

    def _compound(self) -> Command | None:
        if self.take("("):
            body = self._body()
            if not self.take(")"):
                self.unexpected(")")
            return Group(body, True)
        word = self.peek_word()
        readers: dict[str, Callable[[str], Command]] = {
            "{": self._braces, "if": self._if, "while": self._while, "until": self._while, "for": self._for,
            "case": self._case,
        }  # fmt: skip
        if word in readers:
            self.at += len(word)
            return readers[word](word)
        if word in RESERVED:
            self.unexpected()
        return None

    def _braces(self, _word: str) -> Group:
        body = self._body("}")
        self.expect("}")
        return Group(body, False)

    def _if(self, _word: str) -> If:
        condition = self._body("then")
        self.expect("then")
        branches: list[tuple[Script | None, Script]] = [(condition, self._body("elif", "else", "fi"))]
        while self.reserved("elif"):
            condition = self._body("then")
            self.expect("then")
            branches.append((condition, self._body("elif", "else", "fi")))
        if self.reserved("else"):
            branches.append((None, self._body("fi")))
        self.expect("fi")
        return If(branches)

    def _while(self, word: str) -> While:
        condition = self._body("do")
        self.expect("do")
        body = self._body("done")
        self.expect("done")
        return While(condition, body, word == "until")

    def _for(self, _word: str) -> For:
        name = self.peek_word()
        if not name or not set(name) <= NAME or name[0] not in NAME_FIRST:
            raise SyntaxFault("bad for loop variable")
        self.at += len(name)
        self.newlines()
        words: list[Word] | None = None
        if self.reserved("in"):
            words = []
            while not self.at_end() and not self.operator():
                words.append(self.word())
        self.take(";")
        self.newlines()
        self.expect("do")
        body = self._body("done")
        self.expect("done")
        return For(name, words, body)

    def _case(self, _word: str) -> Case:
        subject = self.word()
        self.newlines()
        self.expect("in")
        branches: list[tuple[list[Word], Script]] = []
        self.newlines()
        while not self.reserved("esac"):
            self.take("(")
            patterns = [self.word()]
            while self.take("|"):
                patterns.append(self.word())
            if not self.take(")"):
                self.unexpected(")")
            branches.append((patterns, self.script((";;", "esac"))))
            self.take(";;")
            self.newlines()
        return Case(subject, branches)

    def _simple(self) -> Command:
        made = Simple()
        while not self.at_end():
            if self._redirect_next():
                made.redirects.append(self._redirect())
            elif self.operator() == "(" and len(made.words) == 1 and not made.assigns:
                return self._function(made)
            elif self.operator():
                break
            else:
                self._add(made, self.word())
        if not (made.words or made.assigns or made.redirects):
            self.unexpected()
        return made

    def _function(self, made: Simple) -> Function:
        name = "".join(part.text for part in made.words[0])
        self.take("(")
        if not self.take(")"):
            self.unexpected(")")
        self.newlines()
        return Function(name, self._command())

    @staticmethod
    def _add(made: Simple, word: Word) -> None:
        first = word[0] if word else None
        if not made.words and first is not None and first.kind == "text" and not first.quoted:
            name, equals, value = first.text.partition("=")
            if equals and name and set(name) <= NAME and name[0] in NAME_FIRST:
                made.assigns.append((name, [Part("text", value), *word[1:]]))
                return
        made.words.append(word)

    # -- redirections ------------------------------------------------------------------------------------------------

    def _redirect_next(self) -> bool:
        self._blanks()
        end = self.at
        while end < len(self.text) and self.text[end].isdigit():
            end += 1
        return end < len(self.text) and self.text[end] in "<>"

    def _redirect(self) -> Redirect:
        start = self.at
        while self.text[self.at].isdigit():
            self.at += 1
        digits = self.text[start : self.at]
        op = self.operator()
        self.at += len(op)
        strip = op == "<<" and self.text.startswith("-", self.at)
        self.at += strip
        fd = int(digits) if digits else int(op[0] == ">")
        self._blanks()
        if self.operator() or self.at >= len(self.text):
            self.unexpected()
        made = Redirect(fd, op, self.word())
        if op == "<<":
            end = "".join(part.text for part in made.target)
            self._here.append((made, end, strip, any(part.quoted for part in made.target)))
        return made

    def _read_here(self) -> None:
        """The lines of the here-documents announced on the line before."""
        pending, self._here = self._here, []
        for redirect, end, strip, literal in pending:
            lines: list[str] = []
            while True:
                if self.at >= len(self.text):
                    raise Unfinished("unexpected end of file")
                line, newline, _ = self.text[self.at :].partition("\n")
                self.at += len(line) + len(newline)
                line = line.lstrip("\t") if strip else line
                if line == end:
                    break
                lines.append(line + "\n")
            text = "".join(lines)
            redirect.target = [Part("text", text, True)] if literal else Parser(text).quoted_text("")
