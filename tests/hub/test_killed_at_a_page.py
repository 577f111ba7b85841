"""A hub that is killed while a page changes something has made all of that change, or none of it."""

from __future__ import annotations

import random
import signal
import threading
import time
from pathlib import Path

import httpx
import pytest

from hub.inbox import InboxFilter, list_inbox
from hub.own_log import parse_location
from hub.service import Hub, init_hub, open_hub, serving
from schema.identity import Scope
from schema.kinds.desk import ActRecorded, RecountAsked
from sync.entry import Entry
from tests import processes
from tests.hub.conflicting import Chain
from tests.hub.desk import BROWSER, DeskClient, at_the_desk, make_account

B = Scope("loc/B")
BULK = 25
KILLS = 4


def decisions(hub: Hub) -> tuple[list[Entry], dict[str, int]]:
    """Return the acts at B, and how many recounts each of them asked for."""
    acts: list[Entry] = []
    asked: dict[str, int] = {}
    with hub.store.snapshot() as replica:
        for row in replica.log.streams(B):
            if row.stream.node == hub.identity.node:
                replica.log.verify_chain(row)
                for entry in replica.log.entries(row):
                    if isinstance(entry.payload, ActRecorded):
                        acts.append(entry)
                    elif isinstance(entry.payload, RecountAsked):
                        operation = entry.body.operation
                        asked[operation] = asked.get(operation, 0) + 1
    return acts, asked


def press(desk: DeskClient, chosen: list[str]) -> httpx.Response:
    """Ask for recounts of all that is chosen."""
    return desk.http.post("/inbox", data={"csrf": desk.csrf, "act": "recount", "conflict": chosen}, headers=BROWSER)


@pytest.mark.long
def test_a_bulk_decision_is_whole_or_not_at_all_when_the_hub_is_killed(tmp_path: Path) -> None:
    directory = tmp_path / "hub"
    init_hub(directory, name="Lantern Stores", locations=[parse_location(f"{c}:{c}:shop") for c in "ABW"])
    hub = open_hub(directory)
    make_account(hub)
    with serving(hub) as url, httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        chain = Chain(hub, client)
        for number in range(BULK):
            chain.sell(chain.b1, f"P{number:03d}", 30)
        chain.push(chain.b1)
    with hub.store.snapshot() as replica:
        chosen = [f"B/{row.id}" for row in list_inbox(replica, InboxFilter(), 0, 100)]
    assert len(chosen) == BULK
    hub.close()
    luck = random.Random(7)
    confirmed = 0
    for _ in range(KILLS):
        with processes.serving_hub(directory, "--plain") as (running, url), at_the_desk(url) as desk:
            desk.get("/inbox")
            if not confirmed:  # on a busy machine none might be made in time
                confirmed += press(desk, chosen).status_code == 303
            killer = threading.Timer(luck.uniform(0.05, 0.6), running.send_signal, [signal.SIGKILL])
            killer.start()
            try:
                while True:
                    confirmed += press(desk, chosen).status_code == 303
            except (httpx.HTTPError, OSError):
                pass  # the line broke at whatever point: ReadError, RemoteProtocolError, a reset
            killer.join()
            assert running.wait(30) == -signal.SIGKILL
        time.sleep(0.05)
        hub = open_hub(directory)
        try:
            acts, asked = decisions(hub)
            assert set(asked.values()) <= {BULK}
            assert {str(act.id) for act in acts} == set(asked)
            # What the page confirmed is there; one more may be, whose answer was lost.
            assert len(acts) >= confirmed
        finally:
            hub.close()
    assert confirmed
