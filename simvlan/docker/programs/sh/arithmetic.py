"""Shell arithmetic, `$((...))`: C's integer expressions over shell variables. Mirrors POSIX XCU 2.6.4."""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping

TOKEN = re.compile(
    r"\s*(0[xX][0-9a-fA-F]+|\d+|[A-Za-z_]\w*|\*\*|<<=|>>=|\+\+|--|&&|\|\||[-+*/%<>=!&|^]=|<<|>>|[-+*/%<>=!~&|^?:()])"
)
WRAP = 1 << 64
DEEPEST = 100


class ArithmeticFault(Exception):  # noqa: N818 - what the shell calls an arithmetic syntax error
    """The expression is none; the message is the shell's."""


def _quotient(a: int, b: int) -> int:
    if not b:
        raise ArithmeticFault("divide by zero")
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


BINARY: list[dict[str, Callable[[int, int], int]]] = [
    {"|": lambda a, b: a | b},
    {"^": lambda a, b: a ^ b},
    {"&": lambda a, b: a & b},
    {"==": lambda a, b: int(a == b), "!=": lambda a, b: int(a != b)},
    {"<": lambda a, b: int(a < b), ">": lambda a, b: int(a > b), "<=": lambda a, b: int(a <= b),
     ">=": lambda a, b: int(a >= b)},
    {"<<": lambda a, b: a << (b & 63), ">>": lambda a, b: a >> (b & 63)},
    {"+": lambda a, b: a + b, "-": lambda a, b: a - b},
    {"*": lambda a, b: a * b, "/": _quotient, "%": lambda a, b: a - _quotient(a, b) * b},
]  # fmt: skip
"""Binary operators, the loosest first."""
ASSIGN = {
    f"{op}=": rule for level in BINARY for op, rule in level.items() if op not in ("==", "!=", "<", ">", "<=", ">=")
}


def evaluate(text: str, variables: MutableMapping[str, str]) -> int:
    """The value of an expression. Raises ArithmeticFault."""
    return _Reader(text, variables).whole()


class _Reader:
    def __init__(self, text: str, variables: MutableMapping[str, str], depth: int = 0) -> None:
        if depth > DEEPEST:
            raise ArithmeticFault("expression recursion level exceeded")
        self.variables, self.depth = variables, depth
        self.tokens: list[str] = []
        at, text = 0, text.rstrip()
        while at < len(text):
            found = TOKEN.match(text, at)
            if found is None:
                raise ArithmeticFault("arithmetic syntax error")
            self.tokens.append(found[1])
            at = found.end()
        self.at = 0

    def whole(self) -> int:
        if not self.tokens:
            return 0
        value = self.assignment()
        if self.at < len(self.tokens):
            raise ArithmeticFault("arithmetic syntax error")
        return value

    def next(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, *wanted: str) -> str:
        found = self.next()
        if found and found in wanted:
            self.at += 1
            return found
        return ""

    def assignment(self) -> int:
        name = self.next()
        op = self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else ""
        if _is_name(name) and (op == "=" or op in ASSIGN):
            self.at += 2
            value = self.assignment()
            return self.store(name, value if op == "=" else ASSIGN[op](self.load(name), value))
        return self.choice()

    def choice(self) -> int:
        condition = self.logical_or()
        if not self.take("?"):
            return condition
        yes = self.assignment()
        if not self.take(":"):
            raise ArithmeticFault("arithmetic syntax error")
        no = self.assignment()
        return yes if condition else no

    def logical_or(self) -> int:
        value = self.logical_and()
        while self.take("||"):
            other = self.logical_and()
            value = int(bool(value or other))
        return value

    def logical_and(self) -> int:
        value = self.level(0)
        while self.take("&&"):
            other = self.level(0)
            value = int(bool(value and other))
        return value

    def level(self, depth: int) -> int:
        if depth == len(BINARY):
            return self.unary()
        value = self.level(depth + 1)
        while op := self.take(*BINARY[depth]):
            value = _wrapped(BINARY[depth][op](value, self.level(depth + 1)))
        return value

    def unary(self) -> int:
        op = self.take("-", "+", "!", "~", "++", "--")
        if op in ("++", "--"):
            name = self.name()
            return self.store(name, self.load(name) + (1 if op == "++" else -1))
        if op:
            value = self.unary()
            return {"-": -value, "+": value, "!": int(not value), "~": ~value}[op]
        return self.primary()

    def name(self) -> str:
        name = self.next()
        if not _is_name(name):
            raise ArithmeticFault("arithmetic syntax error")
        self.at += 1
        return name

    def primary(self) -> int:
        if self.take("("):
            value = self.assignment()
            if not self.take(")"):
                raise ArithmeticFault("arithmetic syntax error")
            return value
        token = self.next()
        if _is_name(token):
            self.at += 1
            value = self.load(token)
            op = self.take("++", "--")
            if op:
                self.store(token, value + (1 if op == "++" else -1))
            return value
        if not token[:1].isdigit():
            raise ArithmeticFault("arithmetic syntax error")
        self.at += 1
        return _number(token)

    def load(self, name: str) -> int:
        text = self.variables.get(name, "").strip()
        return _Reader(text, self.variables, self.depth + 1).whole() if text else 0

    def store(self, name: str, value: int) -> int:
        self.variables[name] = str(_wrapped(value))
        return _wrapped(value)


def _is_name(token: str) -> bool:
    return token[:1].isalpha() or token[:1] == "_"


def _number(token: str) -> int:
    try:
        return _wrapped(int(token, 16 if token[:2] in ("0x", "0X") else 8 if token[0] == "0" else 10))
    except ValueError:
        raise ArithmeticFault("arithmetic syntax error") from None


def _wrapped(value: int) -> int:
    """As a signed 64-bit integer."""
    return (value + WRAP // 2) % WRAP - WRAP // 2
