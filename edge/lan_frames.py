"""Frames on a stream between neighbours: read whole within a time, or not at all."""

from __future__ import annotations

import asyncio
from typing import Final

from schema.errors import TransientError
from sync.messages import FRAME_BYTES_MAX, FRAME_HEADER_BYTES, frame_length

IDLE_S: Final = 60.0
"""A neighbour that says nothing for so long is let go; it calls again."""
FRAME_S: Final = 10.0
"""A frame that was begun is there within this time, and a frame that is sent is taken within it."""


async def read_frame(reader: asyncio.StreamReader, *, idle_s: float, frame_s: float = FRAME_S) -> bytes | None:
    """Return the next frame; None when the other side ended the stream between frames.

    Raises RefusalError for bytes that are no frame and TransientError `peer_silent` for one that does not come in
    time; what a header declares is checked before a byte of it is read.
    """
    try:
        async with asyncio.timeout(idle_s):
            first = await reader.readexactly(1)
    except asyncio.IncompleteReadError:
        return None
    except TimeoutError:
        raise TransientError("peer_silent", "the neighbour said nothing for a while") from None
    try:
        async with asyncio.timeout(frame_s):
            head = first + await reader.readexactly(FRAME_HEADER_BYTES - 1)
            length = frame_length(head)
            return head + await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        raise TransientError("peer_broke_off", "the neighbour stopped in the middle of a message") from None
    except TimeoutError:
        raise TransientError("peer_silent", "the neighbour stopped in the middle of a message") from None


async def write_frame(writer: asyncio.StreamWriter, content: bytes, *, frame_s: float = FRAME_S) -> None:
    """Send one frame; raises TransientError `peer_silent` when the other side does not take it."""
    assert len(content) <= FRAME_BYTES_MAX + FRAME_HEADER_BYTES
    writer.write(content)
    try:
        async with asyncio.timeout(frame_s):
            await writer.drain()
    except TimeoutError:
        raise TransientError("peer_silent", "the neighbour does not take what it asked for") from None
