"""A till says that it is offline within an exchange of its hub's end, whether the hub is gone or only silent."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from edge.till_status import OFFLINE_AFTER_MS, till_status
from tests import processes
from tests.edge.households import Household, opened, until, watched

SYNC_S = 5.0
"""How often the agent exchanges."""


@pytest.mark.long
@pytest.mark.parametrize(
    ("ending", "within_s"),
    [(signal.SIGKILL, SYNC_S + 15), (signal.SIGSTOP, OFFLINE_AFTER_MS / 1000 + 15)],
    ids=["gone", "silent"],
)
def test_a_till_is_offline_soon_after_its_hub_has_ended(
    tmp_path: Path, ending: signal.Signals, within_s: float
) -> None:
    household = Household(tmp_path)
    [directory] = household.tills("A1")
    with (
        processes.serving_hub(household.hub_directory, port=household.hub_port) as (hub, _),
        watched(directory),
        opened(directory) as node,
    ):
        began = time.monotonic()
        until(lambda: till_status(node).is_online and till_status(node).waiting == 0, "online")
        held_ms = node.state().last_exchange_ms
        until(lambda: node.state().last_exchange_ms > held_ms, "another exchange")
        assert time.monotonic() - began < 30
        hub.send_signal(ending)
        try:
            took_s = until(lambda: not till_status(node).is_online, "offline", 90)
            assert took_s < within_s
        finally:
            if ending == signal.SIGSTOP:
                hub.send_signal(signal.SIGCONT)
