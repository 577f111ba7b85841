"""How many five-line sales a second the hub takes over HTTP into SQLite, and what one entry costs it.

Run with `python -m tests.bench.hub_ingest [--sales N] [--profile]`.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from hub.enrolment import Profile
from hub.ingest import Credentials
from hub.own_log import parse_location
from hub.service import init_hub, open_hub
from sync.messages import encode_request
from sync.signing import SigningKey, seal_message
from sync.transport import SYNC_PATH, sign_request
from tests.hub.fleet import FleetNode, join, now_ms, receipts_at, sale


def _process_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _requests(node: FleetNode, count: int, per_request: int) -> list[bytes]:
    node.connection.execute("BEGIN")
    for number in range(count):
        node.append(sale(f"A1-{number}", lines=5, product=secrets.token_hex(4)))
    node.connection.execute("COMMIT")
    row = node.replica.log.stream(node.stream())
    assert row is not None
    bodies = []
    for first in range(1, count + 1, per_request):
        last = min(first + per_request - 1, count)
        batch = node.batch(first - 1)
        digest = node.replica.log.digest_at(row, last)
        assert digest is not None
        seal = node.signer.sign(seal_message(node.stream(), last, digest))
        part = type(batch)(batch.scope, batch.node, batch.incarnation, first, batch.entries[: last - first + 1], seal)
        bodies.append(encode_request(node.request([part])))
    return bodies


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sales", type=int, default=20_000)
    parser.add_argument("--per-request", type=int, default=2_000)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "hub"
        init_hub(directory, name="Bench", locations=[parse_location("A:Shop:shop")])
        hub = open_hub(directory)
        invitation = hub.enrolment.invite(profile=Profile.TILL, location="A", name="T", till="T1").invitation
        process = subprocess.Popen(
            [sys.executable, "-c", "from schema.command_line import main; main()", "hub", "serve", "--hub",
             str(directory), "--port", "0", "--plain"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        signer = SigningKey(secrets.token_bytes(32))
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            node = FleetNode(signer, join(client, invitation, signer))
            bodies = _requests(node, options.sales, options.per_request)
            if options.profile:
                process.terminate()
                process.wait()
                profile = cProfile.Profile()
                profile.enable()
                for body in bodies:
                    headers = sign_request(signer, node.hub, SYNC_PATH, body, secrets.token_hex(8))
                    credentials = Credentials(*(headers[name] for name in headers))
                    hub.ingest.handle(credentials, body, now_ms())
                profile.disable()
                pstats.Stats(profile).sort_stats("tottime").print_stats(30)
                hub.close()
                return
            cpu, started = _process_seconds(process.pid), time.perf_counter()
            for body in bodies:
                node.post(client, body)
            elapsed, cpu = time.perf_counter() - started, _process_seconds(process.pid) - cpu
            assert receipts_at(hub, "A")
        process.terminate()
        process.wait()
        hub.close()
    count = options.sales
    print(
        json.dumps(
            {
                "sales": count,
                "bytes_per_request": len(bodies[0]),
                "sales_per_second": round(count / elapsed),
                "hub_cpu_us_per_sale": round(cpu / count * 1e6, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
