"""The refusal of an engine: an HTTP status and Docker's exact text (errdefs and the API's error middleware)."""

from __future__ import annotations


class DockerError(Exception):
    """What the engine answers instead of doing it.

    Attributes:
        status: the HTTP status code.
        message: the text of `{"message": ...}`.
    """

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(message)


def invalid(message: str) -> DockerError:
    """400: the request makes no sense (errdefs.InvalidParameter)."""
    return DockerError(400, message)


def forbidden(message: str) -> DockerError:
    """403: understood, and not allowed (errdefs.Forbidden)."""
    return DockerError(403, message)


def not_found(message: str) -> DockerError:
    """404: there is no such thing (errdefs.NotFound)."""
    return DockerError(404, message)


def conflict(message: str) -> DockerError:
    """409: the state of things forbids it (errdefs.Conflict)."""
    return DockerError(409, message)


def internal(message: str) -> DockerError:
    """500: any error of a driver or the kernel that has no class of its own (errdefs.System)."""
    return DockerError(500, message)


def not_implemented(message: str) -> DockerError:
    """501: Docker can do this, this engine cannot (errdefs.NotImplemented)."""
    return DockerError(501, message)
