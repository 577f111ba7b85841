"""Links that misbehave in one way each, around any other link; what is random comes from a seed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from drivers.errors import DeviceFault, LinkDownError, NoAnswerError
from drivers.link import Link


class Passing:
    """Hands everything through; the faults override what they spoil."""

    def __init__(self, inner: Link) -> None:
        self.inner = inner

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def is_open(self) -> bool:
        return self.inner.is_open

    def open(self) -> None:
        self.inner.open()

    def write(self, data: bytes) -> None:
        self.inner.write(data)

    def read(self, limit: int = 4096, *, timeout_s: float = 0.3) -> bytes:
        return self.inner.read(limit, timeout_s=timeout_s)

    def close(self) -> None:
        self.inner.close()


class OneByteAtATime(Passing):
    """Every byte travels alone, both ways."""

    def write(self, data: bytes) -> None:
        for byte in data:
            self.inner.write(bytes([byte]))

    def read(self, limit: int = 4096, *, timeout_s: float = 0.3) -> bytes:
        return self.inner.read(1, timeout_s=timeout_s)


class RandomLoss(Passing):
    """Loses bytes on the way in."""

    def __init__(self, inner: Link, share: float, seed: int = 1) -> None:
        super().__init__(inner)
        self._share, self._random = share, random.Random(seed)

    def read(self, limit: int = 4096, *, timeout_s: float = 0.3) -> bytes:
        data = self.inner.read(limit, timeout_s=timeout_s)
        return bytes(byte for byte in data if self._random.random() >= self._share)


class WithDelays(Passing):
    """Comes in small portions, each a little late."""

    def __init__(self, inner: Link, delay_s: float = 0.004, seed: int = 1) -> None:
        super().__init__(inner)
        self._delay_s, self._random = delay_s, random.Random(seed)

    def read(self, limit: int = 4096, *, timeout_s: float = 0.3) -> bytes:
        if timeout_s > 0:
            time.sleep(self._random.uniform(0, self._delay_s))
        return self.inner.read(self._random.randint(1, 7), timeout_s=timeout_s)


class Hang(Passing):
    """After so many bytes the other side takes nothing more and says nothing more."""

    def __init__(self, inner: Link, after: int = 0) -> None:
        super().__init__(inner)
        self._left = after

    def write(self, data: bytes) -> None:
        part, self._left = data[: self._left], max(self._left - len(data), 0)
        if part:
            self.inner.write(part)
        if len(part) < len(data):
            raise NoAnswerError(DeviceFault.SILENT, self.name, "takes no bytes")

    def read(self, limit: int = 4096, *, timeout_s: float = 0.3) -> bytes:
        if self._left:
            return self.inner.read(limit, timeout_s=timeout_s)
        time.sleep(timeout_s)
        return b""


class Unplug(Passing):
    """The plug is pulled after so many written bytes, once; opening it again works when `comes_back`."""

    def __init__(self, inner: Link, after: int, *, comes_back: bool = True) -> None:
        super().__init__(inner)
        self._left: int | None = after
        self._comes_back = comes_back

    def open(self) -> None:
        if self._left is None and not self._comes_back:
            raise LinkDownError(DeviceFault.ABSENT, self.name)
        self.inner.open()

    def write(self, data: bytes) -> None:
        if self._left is None:
            self.inner.write(data)
            return
        part = data[: self._left]
        self.inner.write(part)
        self._left -= len(part)
        if len(part) < len(data):
            self._left = None
            self.inner.close()
            raise LinkDownError(DeviceFault.UNPLUGGED, self.name)


class Noise(Passing):
    """Bytes that nobody sent appear among those on the way in."""

    def __init__(self, inner: Link, share: float = 0.2, seed: int = 1, noise: bytes = bytes(range(256))) -> None:
        super().__init__(inner)
        self._share, self._random, self._noise = share, random.Random(seed), noise

    def read(self, limit: int = 4096, *, timeout_s: float = 0.3) -> bytes:
        spoilt = bytearray()
        for byte in self.inner.read(limit, timeout_s=timeout_s):
            if self._random.random() < self._share:
                spoilt.append(self._random.choice(self._noise))
            spoilt.append(byte)
        return bytes(spoilt)


def eventually(is_so: Callable[[], bool], within_s: float = 30.0) -> None:
    """Wait until something holds, or fail; on a busy machine threads take their time."""
    until = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.005)
