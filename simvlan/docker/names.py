"""Names of containers: which are allowed, and those made up for containers without one. Mirrors daemon/names.go."""

from __future__ import annotations

import re
from collections.abc import Container as Within
from random import Random

from simvlan.docker.errors import invalid

ALLOWED = "[a-zA-Z0-9][a-zA-Z0-9_.-]"
_NAME = re.compile(f"/?{ALLOWED}+")

_LEFT = """
able amber apt brave bright brisk calm candid clever cosy crisp curious daring eager earnest fair fancy fond frank
gentle glad golden grand happy hardy honest jolly keen kind lively loyal lucid mellow merry mild neat nimble noble
patient plain polite proud quick quiet rapid ready sharp silent silver simple smart snug solid steady sunny sure swift
tidy vivid warm wise witty zesty
"""
_RIGHT = """
babbage baran bell boole cerf clarke curie dijkstra engelbart erlang euler fano faraday floyd gauss hamming hertz hopper
huffman jacobson kahn karn kleinrock knuth kolmogorov lamport liskov lovelace marconi maxwell metcalfe morse nagle
neumann noether nyquist ohm perlman planck postel ritchie roberts shannon shor tesla thompson turing volta wiener wilkes
"""


def check_name(name: str) -> None:
    """Refuse a name Docker would not take; two characters are the least."""
    if not _NAME.fullmatch(name):
        raise invalid(f"Invalid container name ({name}), only {ALLOWED} are allowed")


def made_up(rng: Random, taken: Within[str]) -> str:
    """An adjective and a surname that no container has yet."""
    while True:
        name = f"{rng.choice(_LEFT.split())}_{rng.choice(_RIGHT.split())}"
        if name in taken:
            name += str(rng.randrange(10))
        if name not in taken:
            return name
