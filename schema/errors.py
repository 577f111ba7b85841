"""Errors typed by what the caller must do about them."""

from __future__ import annotations


class EdgetillError(Exception):
    """Any failure that edgetill foresaw; `code` is stable and never translated."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class RefusalError(EdgetillError):
    """The request cannot be done as asked: show the message to the operator."""


class TransientError(EdgetillError):
    """The other side or the file is busy: back off silently and try again."""


class CorruptionError(EdgetillError):
    """What is stored contradicts itself: stop the node and verify before going on."""
