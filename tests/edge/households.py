"""Nodes that really joined a hub, for tests of what they do without it: with certificates, and as processes."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from edge.clock_source import machine_clock
from edge.config import NodeConfig, read_config, write_config
from edge.joining import Joined, join
from edge.node import Node
from edge.sync_agent import HttpLine, SyncReport, sync_once
from hub.enrolment import Profile
from hub.own_log import parse_location
from hub.service import Hub, init_hub, open_hub, serving
from schema.catalogue import PriceStep, encode_timeline
from schema.identity import ORG
from sync.documents import DocumentState, edit
from tests import processes
from tests.edge.shops import PRICES, PRODUCTS

LOCATIONS = ("A:河边店:shop", "B:老城店:shop", "W:仓库:warehouse", "V:送货车:van", "V2:二号车:van")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Household:
    """An organisation with a hub that serves only while a block asks for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hub_directory = folder / "hub"
        locations = [parse_location(text) for text in LOCATIONS]
        init_hub(self.hub_directory, name="灯笼超市", locations=locations)
        self.hub_port = free_port()
        self.joined: dict[str, Joined] = {}
        with self.hub() as hub:
            teach(hub)

    @contextlib.contextmanager
    def hub(self) -> Iterator[Hub]:
        hub = open_hub(self.hub_directory)
        try:
            yield hub
        finally:
            hub.close()

    @contextlib.contextmanager
    def serving(self) -> Iterator[Hub]:
        with self.hub() as hub, serving(hub, port=self.hub_port, plain=False):
            yield hub

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.hub_port}"

    def enrol(self, hub: Hub, till: str, location: str = "A", **options: Any) -> Path:
        """Let a till join the hub that serves; it listens on the loopback alone and searches nobody."""
        directory = self.folder / till
        issued = hub.enrolment.invite(profile=Profile.TILL, location=location, name=f"till {till}", till=till)
        self.joined[till] = join(directory, self.address, issued.invitation, machine_clock, **options)
        configure(directory, lan_host="127.0.0.1", lan_port=free_port())
        return directory

    def tills(self, *names: str) -> list[Path]:
        """Let tills of shop A join, and tell each of the others."""
        with self.serving() as hub:
            directories = [self.enrol(hub, name) for name in names]
            for directory in directories:
                sync(directory)
        introduce(directories)
        return directories


def teach(hub: Hub) -> None:
    """Give the hub a small catalogue."""
    with hub.store.transaction(ORG) as replica:
        by_document: dict[str, dict[tuple[str, str], str | int | bool | None]] = {}
        for product in PRODUCTS:
            fields = by_document.setdefault(f"products/{product.category}", {})
            fields |= {(product.code, name): value for name, value in product.fields().items()}
            prices = by_document.setdefault(f"prices/standard/{product.category}", {})
            for unit, price in PRICES.get(product.code, {product.unit: 300}).items():
                prices[product.code, unit] = encode_timeline([PriceStep(0, None, price)])
        for document, assignments in by_document.items():
            for change in edit(DocumentState(document), assignments, writer=f"{hub.identity.node}.1", time_ms=0):
                hub.own_log.append(replica, ORG, change)


def configure(directory: Path, **values: Any) -> NodeConfig:
    """Change a node's settings."""
    config = msgspec.structs.replace(read_config(directory), **values)
    write_config(directory, config)
    return config


def sync(directory: Path) -> SyncReport:
    """Exchange with the hub that serves."""
    with opened(directory) as node:
        line = HttpLine(node)
        try:
            return sync_once(node, line)
        finally:
            line.close()


def introduce(directories: Sequence[Path]) -> None:
    """Tell each node where the others listen."""
    ports = {directory: read_config(directory).lan_port for directory in directories}
    for directory in directories:
        others = tuple(f"127.0.0.1:{port}" for other, port in ports.items() if other != directory)
        configure(directory, lan_peers=others)


@contextlib.contextmanager
def watched(directory: Path, *, errors: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run `edgetill sync --watch` of a node as a process of its own."""
    words = processes.command("sync", "--watch", "--node", str(directory))
    log = errors or directory.parent / f"{directory.name}.log"
    with log.open("ab") as output:
        running = subprocess.Popen(
            words, cwd=processes.ROOT, env=processes.environment(), stdout=output, stderr=output
        )  # fmt: skip
        try:
            yield running
        finally:
            if running.poll() is None:
                running.send_signal(signal.SIGTERM)
                try:
                    running.wait(20)
                except subprocess.TimeoutExpired:
                    running.kill()
                    running.wait(10)
                    raise


def until(claim: Callable[[], bool], what: str, within_s: float = 90.0) -> float:
    """Wait until a claim holds; returns how long that took."""
    began = time.monotonic()
    while not claim():
        assert time.monotonic() - began < within_s, f"not within {within_s} s: {what}"
        time.sleep(0.005)
    return time.monotonic() - began


def opened(directory: Path) -> Node:
    """Open a node as a verb does, on the machine's clock."""
    return Node(directory, clock=machine_clock)
