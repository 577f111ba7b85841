"""A hub and its tills in one process: the hub's very ingest behind a line that is a function call."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from edge.node import Node
from hub.ingest import Credentials
from hub.service import Hub, open_hub
from schema.identity import ORG
from sync.transport import NODE_HEADER, NONCE_HEADER, SIGNATURE_HEADER, SYNC_PATH, sign_request
from tests.edge.households import Household, configure
from tests.faults.places import copy_node, fold_log_in, kept_folder, open_node
from tests.faults.workday import stock_of

TILLS: Final = ("A1", "A2")


class HubInProcess:
    """A session's carrier to a hub that is open in the same process."""

    def __init__(self, hub: Hub, node: Node) -> None:
        self._hub = hub
        self._node = node
        self.bytes_sent = 0
        self.bytes_received = 0

    def exchange(self, body: bytes) -> bytes:
        """Hand a signed frame to the hub's ingest and return its answer."""
        nonce = secrets.token_hex(8)
        signed = sign_request(self._node.signer, self._node.config.hub, SYNC_PATH, body, nonce)
        credentials = Credentials(signed[NODE_HEADER], signed[NONCE_HEADER], signed[SIGNATURE_HEADER])
        answer = self._hub.ingest.handle(credentials, body, self._hub.now_ms())
        self.bytes_sent += len(body)
        self.bytes_received += len(answer)
        return answer


class Home(msgspec.Struct, frozen=True):
    """The folder of an organisation: a hub and the tills of shop A."""

    folder: Path
    tills: tuple[Path, ...]
    passphrase: str
    """The recovery passphrase of the first till."""

    @contextmanager
    def opened(self) -> Iterator[Hub]:
        """Open the hub."""
        hub = open_hub(self.folder / "hub")
        try:
            yield hub
        finally:
            hub.close()

    @staticmethod
    def line(hub: Hub, node: Node) -> HubInProcess:
        """Return a node's line to the hub."""
        return HubInProcess(hub, node)

    def copied(self, folder: Path) -> Home:
        """Copy the whole organisation."""
        shutil.copytree(self.folder / "hub", folder / "hub")
        tills = tuple(copy_node(till, folder / till.name) for till in self.tills)
        return msgspec.structs.replace(self, folder=folder, tills=tills)

    @staticmethod
    def compare(hub: Hub, node: Node) -> None:
        """Raise AssertionError unless hub and node hold the same of the node's scopes and show the same figures."""
        scope = node.config.scope
        with hub.store.snapshot() as replica:
            for one in (ORG, scope):
                assert replica.log.heads(one) == node.replica.log.heads(one), f"{one} differs from the hub's"
            number = replica.log.scope_no(scope)
            theirs = {
                (scope, product): (value, lo, hi)
                for product, value, lo, hi in replica.connection.execute(
                    "SELECT product, value, lo, hi FROM stock WHERE scope_no = ? AND is_present = 1", (number,)
                ).fetchall()
            }
        assert theirs == stock_of(node, [scope]), "the hub shows other figures"


@cache
def enrolled() -> Home:
    """Found an organisation and let its tills join, once in a process; copy it."""
    folder = kept_folder() / "home"
    household = Household(folder)
    tills = household.tills(*TILLS)
    for till in tills:
        configure(till, lan=False)
        with open_node(till) as node:
            fold_log_in(node)
    return Home(folder, tuple(tills), household.joined[TILLS[0]].recovery_passphrase)
