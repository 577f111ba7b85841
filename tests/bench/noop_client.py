"""Sends requests that have nothing to say as fast as a hub answers them, and prints how many a second it answered.

A till that is told of statements that are new asks with their digest from then on; those answers are not counted.
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

import msgspec

from sync.elsewhere import ALL_FAMILIES, digest_of
from sync.messages import decode_request, decode_response, encode_request
from sync.signing import SigningKey
from sync.transport import SYNC_PATH, sign_request
from tests.bench.crowd import RawLine

AT_ONCE: Final = 8


async def run(address: str, jobs: list[tuple[str, str, str]], seconds: float) -> float:
    """Keep a few connections busy for some seconds; returns sessions per second."""
    count = 0
    end = time.perf_counter() + seconds

    async def keep_busy(number: int) -> None:
        nonlocal count
        line = RawLine(address)
        signers = [SigningKey(bytes.fromhex(seed)) for seed, _, _ in jobs[number::AT_ONCE]]
        hubs = [hub for _, hub, _ in jobs[number::AT_ONCE]]
        bodies = [bytes.fromhex(body) for _, _, body in jobs[number::AT_ONCE]]
        turn = 0
        while time.perf_counter() < end:
            till = turn % len(bodies)
            signer, hub, body = signers[till], hubs[till], bodies[till]
            turn += 1
            headers = sign_request(signer, hub, SYNC_PATH, body, secrets.token_hex(8))
            status, _, content = await line.post(headers.items(), body)
            assert status == 200, content
            response = decode_response(content)
            assert not response.vectors, response
            assert not response.refusals, response
            if response.families:
                topics = ((ALL_FAMILIES, digest_of(dict(response.families))),)
                bodies[till] = encode_request(msgspec.structs.replace(decode_request(body), topics=topics))
            else:
                count += 1
        line.close()

    await asyncio.gather(*(keep_busy(number) for number in range(AT_ONCE)))
    return count / seconds


if __name__ == "__main__":
    print(asyncio.run(run(sys.argv[1], json.loads(Path(sys.argv[2]).read_text("utf-8")), float(sys.argv[3]))))
