"""Owns the first start: a sample shop with a hub of its own, goods, members, promotions and simulated devices.

Every step is the command that a person would type; what exists already is only started again.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from edge.devices_config import DEVICES_FILE
from edge.simulated_counter import MARK
from schema import sample
from schema.errors import RefusalError
from schema.identity import LocationId

SHOP: Final = LocationId("A")
WAREHOUSE: Final = LocationId("W")
LOAD: Final = ("48*11001", "24*11002", "24*11004", "12*12001")
"""What the warehouse sends to a van of the demonstration."""
ROUND: Final = ("M0002=后门卸货", "M0003", "M0005=收空瓶")
"""The customers on its round; the first has a limit of credit of their own."""
LIMIT: Final = "800.00"
DEMO_FILE: Final = "demo.json"
COUNTER_TRIES: Final = 150
COUNTER_TRY_S: Final = 0.1
_PROGRAM: Final = (
    "import ctypes, os, signal; ctypes.CDLL(None).prctl(1, signal.SIGTERM);"
    " from schema.command_line import main; os.getppid() == 1 or main()"
)


class Demonstration(NamedTuple):
    """A running sample shop: the till's directory, and the people who work there with their PINs."""

    till: Path
    people: tuple[str, ...]


def people(location: str = SHOP) -> tuple[str, ...]:
    """Name who works at a place of the sample chain, each with number and PIN."""
    found = [one for one in sample.operators() if one.location == location]
    return tuple(f"{one.code}  {one.pin}  {one.name}" for one in found)


@contextmanager
def demonstration(directory: Path, tell: Callable[[str], None], location: str = SHOP) -> Iterator[Demonstration]:
    """Found or start the sample chain in a directory; its hub and devices run for the time of the block.

    `location` is where the till stands: a shop, or the van, for which the warehouse has a load waiting.
    """
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    hub, till = directory / "hub", directory / ("till" if location == SHOP else f"till-{location}")
    place = next((one for one in sample.locations() if one.code == location), None)
    if place is None:
        raise RefusalError("location_unknown", f"the sample chain has no location {location!r}")
    with ExitStack() as stack:
        if not (directory / DEMO_FILE).exists():
            tell("founding the sample shop: its hub, 328 products, members, promotions …")
            _found(directory, hub)
        ports = json.loads((directory / DEMO_FILE).read_text("utf-8"))
        address = stack.enter_context(_serving(hub, int(ports["hub"])))
        if not (till / "node.toml").exists():
            tell("the till joins …")
            name = "文三店一号收银" if location == SHOP else place.name
            _join(hub, address, location, name, till)
            if place.kind == "van":
                tell("the warehouse loads the van …")
                _prepare_van(hub, address, location, directory / "warehouse", till)
        stack.enter_context(_counter(directory / "devices", till, int(ports["printer"])))
        yield Demonstration(till, people(location))


def _join(hub: Path, address: str, location: str, name: str, till: Path) -> None:
    words = ["hub", "invite", "--hub", str(hub), "--location", location, "--name", name, "--till", f"{location}1"]
    issued = json.loads(_run([*words, "--json"]))
    _run(["join", address, issued["invitation"], "--node", str(till), "--json"])


def _prepare_van(hub: Path, address: str, van: str, warehouse: Path, till: Path) -> None:
    """Give the van its round and a customer's credit, and have the warehouse send it a load."""
    _run(["hub", "route", van, *ROUND, "--warehouse", WAREHOUSE, "--hub", str(hub)])
    first = ROUND[0].partition("=")[0]
    given = [f"{van}1={LIMIT}"]
    _run(["hub", "customer", "credit", first, "--limit", LIMIT, "--give", *given, "--hub", str(hub)])
    if not (warehouse / "node.toml").exists():
        _join(hub, address, WAREHOUSE, "仓库一号机", warehouse)
    _run(["transfer", "dispatch", van, *LOAD, "--node", str(warehouse)])
    _run(["sync", "--node", str(warehouse)])
    _run(["sync", "--node", str(till)])


def _found(directory: Path, hub: Path) -> None:
    port, printer_port = _free_ports()
    _run(["hub", "init", str(hub), "--name", "好邻居便利店", "--sample", "--json", "--address", f"127.0.0.1:{port}"])
    (directory / DEMO_FILE).write_text(json.dumps({"hub": port, "printer": printer_port}), "utf-8")


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1]), int(other.getsockname()[1])


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("TEXTUAL")}


def _run(words: Sequence[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *words], capture_output=True, text=True, check=False, env=_environment()
    )
    if done.returncode:
        reason = (done.stderr or done.stdout).strip()
        raise RefusalError("demo_failed", f"edgetill {' '.join(words[:2])}: {reason}", reason=reason)
    return done.stdout


@contextmanager
def _child(words: Sequence[str], log: Path, *, reads: bool = False) -> Iterator[subprocess.Popen[str]]:
    with log.open("a") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *words], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if reads else file, stderr=file, text=True, env=_environment(),
            start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def _serving(hub: Path, port: int) -> Iterator[str]:
    words = ["hub", "serve", "--hub", str(hub), "--plain", "--host", "127.0.0.1", "--port", str(port)]
    with _child(words, hub.parent / "hub.log", reads=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RefusalError("demo_failed", f"the hub did not start: see {hub.parent / 'hub.log'}", reason="hub")
        yield line.split()[-1]


@contextmanager
def _counter(folder: Path, till: Path, port: int) -> Iterator[None]:
    """Run the simulated printer, scanner, scale and display; what is printed lies in the folder as pictures."""
    folder.mkdir(exist_ok=True)
    words = ["devices", "simulate", "--directory", str(folder), "--node", str(till), "--port", str(port)]
    known = till / DEVICES_FILE
    if known.exists() and known.read_text("utf-8", "replace").startswith(MARK):
        known.unlink()  # What a counter left that was killed names ports that are gone.
    with _child(words, folder.parent / "devices.log") as process:
        for _ in range(COUNTER_TRIES):  # A till that starts sooner has no printer, and no drawer for the first sale.
            if known.exists() or process.poll() is not None:
                break
            time.sleep(COUNTER_TRY_S)
        yield
