"""A machine joins once, and a lost key comes back from the node's own file by its passphrase alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.clock_source import machine_clock
from edge.config import KEY_FILE
from edge.joining import join, recover_key
from edge.node import Node
from hub.enrolment import Profile
from hub.own_log import parse_location
from hub.service import init_hub, open_hub, serving
from schema.errors import RefusalError


def test_a_lost_key_comes_back_by_the_passphrase_that_joining_showed(tmp_path: Path) -> None:
    init_hub(tmp_path / "hub", name="Lantern Stores", locations=[parse_location("A:Riverside:shop")])
    hub = open_hub(tmp_path / "hub")
    node, key = tmp_path / "node", tmp_path / "node" / KEY_FILE
    with serving(hub) as url:
        issued = hub.enrolment.invite(profile=Profile.TILL, location="A", name="Till", till="A1")
        joined = join(node, url, issued.invitation, machine_clock)
    hub.close()
    before = key.read_bytes()
    with pytest.raises(RefusalError) as refused:
        recover_key(node, joined.recovery_passphrase)
    assert refused.value.code == "key_exists"

    key.unlink()
    with pytest.raises(RefusalError, match="recover-key"):
        Node(node, clock=machine_clock)
    with pytest.raises(RefusalError) as refused:
        recover_key(node, "a" * 24)
    assert refused.value.code == "passphrase_wrong"
    assert recover_key(node, joined.recovery_passphrase) == joined.node
    assert key.read_bytes() == before
    assert key.stat().st_mode & 0o777 == 0o600
