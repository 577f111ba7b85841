"""Sends requests that have nothing to say as fast as a hub answers them, and prints how many a second it answered.

Bare sockets, so that the client's own processor time hardly counts: it shares the machine with the hub.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from sync.messages import decode_response
from sync.signing import SigningKey
from sync.transport import CONTENT_TYPE, SYNC_PATH, sign_request

AT_ONCE: Final = 8


async def run(address: str, jobs: list[tuple[str, str, str]], seconds: float) -> float:
    """Keep a few connections busy for some seconds; returns sessions per second."""
    url = urlsplit(address)
    count = 0
    end = time.perf_counter() + seconds

    async def line(number: int) -> None:
        nonlocal count
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        mine = [
            (SigningKey(bytes.fromhex(seed)), hub, bytes.fromhex(body)) for seed, hub, body in jobs[number::AT_ONCE]
        ]
        turn = 0
        while time.perf_counter() < end:
            signer, hub, body = mine[turn % len(mine)]
            turn += 1
            headers = sign_request(signer, hub, SYNC_PATH, body, secrets.token_hex(8))
            lines = [f"POST {SYNC_PATH} HTTP/1.1", f"host: {url.netloc}", f"content-type: {CONTENT_TYPE}"]
            lines += [f"content-length: {len(body)}", *(f"{name}: {value}" for name, value in headers.items())]
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(x[15:]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:"))
            content = await reader.readexactly(length)
            assert head.startswith(b"HTTP/1.1 200"), (head, content)
            response = decode_response(content)
            assert not response.vectors and not response.refusals, response
            count += 1
        writer.close()

    await asyncio.gather(*(line(number) for number in range(AT_ONCE)))
    return count / seconds


if __name__ == "__main__":
    print(asyncio.run(run(sys.argv[1], json.loads(Path(sys.argv[2]).read_text("utf-8")), float(sys.argv[3]))))
