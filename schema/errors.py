"""Errors typed by what the caller must do about them."""

from __future__ import annotations


class EdgetillError(Exception):
    """Any failure that edgetill foresaw; `code` is stable and never translated.

    `message` is its English sentence; `facts` are what a sentence in another language names (a product, an amount).
    """

    def __init__(self, code: str, message: str, **facts: object) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.facts = facts


class RefusalError(EdgetillError):
    """The request cannot be done as asked: show the message to the operator."""


class TransientError(EdgetillError):
    """The other side or the file is busy: back off silently and try again."""


class CorruptionError(EdgetillError):
    """What is stored contradicts itself: stop the node and verify before going on."""
