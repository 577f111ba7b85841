"""What happened, as facts in the past tense: widgets and worker threads tell, screens decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from edge.device_events import DeviceEvent


class RowPointedAt(Message):
    """The mouse pointed at a row of a list; `is_again` when it was the selected one already."""

    def __init__(self, index: int, *, is_again: bool) -> None:
        super().__init__()
        self.index = index
        self.is_again = is_again


class KeyBarPressed(Message):
    """The mouse pressed an act on the key bar."""

    def __init__(self, act: str) -> None:
        super().__init__()
        self.act = act


class QuickAmountPressed(Message):
    """The mouse pressed one of the quick amounts."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place = place


class DeviceTold(Message):
    """A device said something; its thread hands the event over and goes on."""

    def __init__(self, event: DeviceEvent) -> None:
        super().__init__()
        self.event = event
