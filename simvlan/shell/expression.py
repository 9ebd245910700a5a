"""Scapy expressions such as `Ether()/IP(dst="10.0.0.2")/ICMP()`, read without being run.

A script may be somebody else's and the simulator is not confined, so an expression is no Python: layers with fields,
`/` between them, literals and sums. Names of hosts are refused, since reading one would ask a real name server.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

LARGEST = 100_000
"""Octets that a repetition may make: more than any frame has."""
MAC = re.compile(r"[0-9a-fA-F]{1,2}([:-][0-9a-fA-F]{1,2}){5}")
SUMS: dict[type, Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.BitOr: operator.or_,
}


def packet(expression: str) -> Any:
    """The scapy packet (or the octets) that an expression describes; ValueError says what is wrong with it."""
    try:
        found = _value(ast.parse(expression.strip(), mode="eval").body)
    except SyntaxError as error:
        raise ValueError(f"{expression[:60]!r}: {error.msg}") from None
    except (RecursionError, MemoryError):
        raise ValueError(f"{expression[:60]!r}: nested too deeply") from None
    except Exception as error:  # whatever scapy thinks of the values
        raise ValueError(f"{expression[:60]!r}: {error}") from None
    if not isinstance(found, bytes) and not _is_frame(found):
        raise ValueError(f"{expression[:60]!r} is no frame: it has to begin with a layer such as Ether()")
    return found


def layers(six: bool = True) -> dict[str, type]:
    """The layers that may be named: Ethernet and what scapy puts beside it, IPv4, IPv6 (*six*) and what they carry."""
    import scapy.layers.inet
    import scapy.layers.l2
    from scapy.packet import Packet, Padding, Raw

    found: dict[str, type] = {"Raw": Raw, "Padding": Padding}
    modules: list[Any] = [scapy.layers.l2, scapy.layers.inet]
    if six:
        import scapy.layers.inet6

        modules.append(scapy.layers.inet6)
    for module in modules:
        found.update((n, v) for n, v in vars(module).items() if isinstance(v, type) and issubclass(v, Packet))
    return found


def _is_frame(value: object) -> bool:
    from scapy.layers.l2 import Dot3, Ether
    from scapy.packet import Raw

    return isinstance(value, (Ether, Dot3, Raw))


def _is_packet(value: object) -> bool:
    from scapy.packet import Packet

    return isinstance(value, Packet)


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=int() | float() | str() | bytes() | None):
            return node.value
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            made = [_value(each) for each in elements]
            return made if isinstance(node, ast.List) else tuple(made)
        case ast.UnaryOp(op=ast.USub()):
            return -_number(_value(node.operand))
        case ast.BinOp():
            return _combined(node)
        case ast.Call():
            return _called(node)
    raise ValueError(f"`{ast.unparse(node)[:40]}` is not allowed: only layers, `/`, and literals are")


def _number(value: Any) -> int:
    if not isinstance(value, int):
        raise ValueError(f"{value!r} is no number")
    return value


def _combined(node: ast.BinOp) -> Any:
    left, right = _value(node.left), _value(node.right)
    if isinstance(node.op, ast.Div) and (_is_packet(left) or _is_packet(right)):
        return left / right
    if isinstance(node.op, ast.Mult) and isinstance(left, int) and isinstance(right, (bytes, str, list)):
        left, right = right, left
    if isinstance(node.op, ast.Mult) and isinstance(left, (bytes, str, list)):
        if len(left) * _number(right) > LARGEST:
            raise ValueError(f"{len(left)} * {right} is larger than any frame")
        return left * right
    if isinstance(node.op, ast.Add) and type(left) is type(right) and isinstance(left, (bytes, str, list)):
        return left + right
    if type(node.op) in SUMS:
        return SUMS[type(node.op)](_number(left), _number(right))
    raise ValueError(f"`{ast.unparse(node)[:40]}` is not allowed")


def _called(node: ast.Call) -> Any:
    name = ast.unparse(node.func)
    words = [_value(each) for each in node.args]
    if name == "bytes.fromhex" and len(words) == 1:
        return bytes.fromhex(str(words[0]))
    if name == "bytes" and len(words) == 1 and isinstance(words[0], (int, list)):
        return bytes(words[0]) if isinstance(words[0], list) else b"\0" * min(words[0], LARGEST)
    kind = layers(six=False).get(name) or layers().get(name)
    if kind is None:
        raise ValueError(f"`{name}` is no layer known here (such as Ether, Dot1Q, ARP, IP, ICMP, IPv6, UDP, Raw)")
    return _layer(kind, words, {word.arg or "**": _value(word.value) for word in node.keywords})


def _layer(kind: Any, words: list[Any], fields: dict[str, Any]) -> Any:
    known = {field.name: field for field in kind.fields_desc}
    for name, value in fields.items():
        if name not in known:
            raise ValueError(f"{kind.__name__} has no field {name!r} (it has {', '.join(known) or 'none'})")
        _check_address(f"{kind.__name__}({name}={value!r})", known[name], value)
    if any(not isinstance(word, (bytes, str)) for word in words):
        raise ValueError(f"{kind.__name__} takes octets or fields by name")
    return kind(*words, **fields)


def _check_address(said: str, field: Any, value: Any) -> None:
    """One address where one belongs: scapy would look a name up, and make many packets of a range or a list."""
    from scapy.fields import ConditionalField, Emph, IPField, MACField, MultipleTypeField

    field = field.fld if isinstance(field, (Emph, ConditionalField)) else field
    if value is not None and type(field).__name__.endswith("IP6Field"):
        if not isinstance(value, str) or ":" not in value or not _is_ip(value):
            raise ValueError(f"{said}: one address of IPv6 is expected, no name, range or list")
        return
    ip, mac = isinstance(field, (IPField, MultipleTypeField)), isinstance(field, (MACField, MultipleTypeField))
    if value is None or not (ip or mac):
        return
    if not isinstance(value, str) or not ((mac and MAC.fullmatch(value)) or (ip and _is_ip(value))):
        raise ValueError(f"{said}: one address is expected, no name, range or list")


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
