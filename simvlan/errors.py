"""The two kinds of refusal that are raised: configuration (`RtnlError`) and capability (`Unsupported`).

What happens to a frame is never raised: see `verdict.Drop`.
"""

from __future__ import annotations

import errno as _errno
import os


class RtnlError(Exception):
    """A configuration the kernel refuses.

    Attributes:
        errno: the positive errno the kernel answers.
        extack: the kernel's extended text (printed as `Error: TEXT`), or None (printed as `RTNETLINK answers: ...`).
        device: the device at fault, as `netns/device`, or None.
    """

    def __init__(self, errno: int, extack: str | None = None, device: str | None = None) -> None:
        self.errno = errno
        self.extack = extack
        self.device = device
        super().__init__(str(self))

    def __str__(self) -> str:
        text = f"Error: {self.extack}" if self.extack else f"RTNETLINK answers: {os.strerror(self.errno)}"
        return f"{text} ({self.device})" if self.device else text

    @property
    def code(self) -> str:
        """The errno's name, such as EBUSY."""
        if self.errno == _errno.EOPNOTSUPP:
            return "EOPNOTSUPP"  # the same number has two names; this is the kernel's
        return _errno.errorcode.get(self.errno, str(self.errno))


class Unsupported(Exception):  # noqa: N818 - the design's word for it
    """Something this engine, tool option or kernel cannot express; the text says what to use instead."""
