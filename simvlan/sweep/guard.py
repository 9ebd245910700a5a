"""Worker processes read the program's file again (Python's "spawn"); a sweep at its top level would begin in each.

What Python does then is to let every worker fail, or to let each compute everything; so it is seen before, and said.
"""

from __future__ import annotations

import ast
import sys
from types import FrameType


def refuse_unguarded() -> None:
    """Refuse to start workers from the top level of a file that they would read.

    Raises:
        RuntimeError: the line, and how to guard it.
    """
    frame = _top_level(sys._getframe())
    if frame is None:
        return
    try:
        with open(frame.f_code.co_filename, encoding="utf-8") as file:
            program = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return
    here = next((each for each in program.body if each.lineno <= frame.f_lineno <= (each.end_lineno or 0)), None)
    if here is not None and not _asks_for_its_name(here):
        raise RuntimeError(
            f"{frame.f_code.co_filename}, line {frame.f_lineno}: worker processes read this file again: put the line"
            ' under `if __name__ == "__main__":`, or use workers=1'
        )


def _top_level(frame: FrameType | None) -> FrameType | None:
    """Return the frame of the program's own top level, if workers would read its file."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and (spec.name == "__main__" or spec.name.endswith(".__main__")):
        return None
    while frame is not None and (frame.f_code.co_name, frame.f_globals.get("__name__")) != ("<module>", "__main__"):
        frame = frame.f_back
    return frame


def _asks_for_its_name(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and any(
        isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(statement.test)
    )
