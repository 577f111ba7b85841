"""Frames are made in many threads at once: a hub answers several nodes at the same time."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

from sync.messages import frame, unframe


def test_frames_made_by_many_threads_at_once_are_whole() -> None:
    contents = [random.Random(seed).randbytes(20_000) * (seed % 8 + 2) for seed in range(100)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda content: unframe(frame(content)), contents)) == contents
