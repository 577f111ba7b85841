"""What the hub's signed, replaceable statements say, topic by topic: content that is no entry."""

from __future__ import annotations

from typing import Final

from schema.kinds.base import Code, Millis, Text
from sync.messages import Message

OPERATORS_TOPIC: Final = "operators"


class OperatorSecret(Message, frozen=True):
    """What a node keeps of one operator beside the log: the PIN's verifier (PHC string) and the person's key."""

    operator: Code
    verifier: Text
    key: bytes


class OperatorSecrets(Message, frozen=True):
    """Every active operator of one location; it replaces what the node had."""

    location: Code
    as_of_ms: Millis
    operators: tuple[OperatorSecret, ...]
