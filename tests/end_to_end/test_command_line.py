"""A shop from its founding to the evening's sync, typed as a person would: over TLS, and by a stick when it is down."""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from tests.processes import run, serving_hub

WATER = "11001"


def typed(*words: str, status: int = 0) -> str:
    """Type a command; it must end as expected."""
    done = run(*words)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


def answered(*words: str) -> Any:
    """Type a command and read its JSON."""
    return json.loads(typed(*words, "--json"))


def invite(hub: Path, till: str) -> str:
    """Have the administrator invite a till of shop A."""
    words = ("--location", "A", "--name", f"till {till}", "--till", till)
    return str(answered("hub", "invite", "--hub", str(hub), *words)["invitation"])


def receipts(node: Path) -> set[str]:
    """Return the receipt numbers that a node holds."""
    return {row["receipt"] for row in json.loads(typed("export", "receipts", "--format", "json", "--node", str(node)))}


@pytest.mark.long
def test_a_shop_joins_over_tls_trades_without_the_hub_swaps_a_stick_and_syncs(tmp_path: Path) -> None:
    hub, one, other, stick = tmp_path / "hub", tmp_path / "A1", tmp_path / "A2", tmp_path / "stick.bundle"
    stranger = tmp_path / "stranger"
    typed("hub", "init", str(hub), "--name", "灯笼超市", "--sample")
    typed("hub", "init", str(stranger), "--name", "另一家", "--location", "A:A:shop")
    with serving_hub(hub) as (_, address):
        port = urllib.parse.urlsplit(address).port or 0
        assert address.startswith("https://")
        # An invitation names the key that it trusts: another organisation's fits no hub but its own.
        assert "[hub_untrusted]" in typed("join", address, invite(stranger, "A1"), "--node", str(one), status=1)
        for node, till in ((one, "A1"), (other, "A2")):
            assert "灯笼超市" in typed("join", address, invite(hub, till), "--node", str(node))
        used = invite(hub, "A3")
        typed("join", address, used, "--node", str(tmp_path / "A3"))
        assert "[code_used]" in typed("join", address, used, "--node", str(tmp_path / "A4"), status=1)

    # The hub is down: the till sells, and says that it cannot sync without any harm.
    sold = [answered("sell", f"{pieces}*{WATER}", "--node", str(one))["receipt"] for pieces in (1, 2)]
    assert sold == ["A1-1-000001", "A1-1-000002"]
    assert "[hub_unreachable]" in typed("sync", "--node", str(one), status=4)

    # Another hub that answers at the address is not trusted, and gets nothing.
    with serving_hub(stranger, port=port):
        assert "[hub_unreachable]" in typed("sync", "--node", str(one), status=4)
    assert answered("hub", "nodes", "--hub", str(stranger)) == []
    assert answered("status", "--node", str(one))["own_entries"] == 2

    # A stick carries the sales to the neighbour; carried twice it changes nothing.
    assert "2 entries" in typed("bundle", "export", str(stick), "--node", str(one))
    assert typed("bundle", "import", str(stick), "--node", str(other)).startswith("2 new entries")
    before = typed("stock", "--node", str(other))
    assert typed("bundle", "import", str(stick), "--node", str(other)).startswith("0 new entries")
    assert typed("stock", "--node", str(other)) == before
    assert receipts(other) == set(sold)

    # In the evening everybody holds the same.
    sold.append(answered("sell", WATER, "--node", str(other))["receipt"])
    with serving_hub(hub, port=port):
        for node in (one, other, one):
            report = answered("sync", "--node", str(node))
            assert (report["is_complete"], report["refusals"], report["mismatched_folds"]) == (True, [], [])
    assert receipts(one) == receipts(other) == set(sold)
    figures = [
        next(scope for scope in state["scopes"] if scope["scope"] == "loc/A")["fold"]
        for state in (answered("status", "--node", str(node)) for node in (one, other))
    ]
    assert figures[0] == figures[1] == answered("hub", "status", "--hub", str(hub))["scopes"]["loc/A"]["fold"]
    for node in (one, other):
        typed("doctor", "--node", str(node))
