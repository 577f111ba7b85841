"""A shop's day at a real terminal, by keys alone, with the hub down: the paper and the node's entries show it."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from drivers.simulated import PrinterServer, SimulatedPrinter
from edge.basket import EMPTY, add, price_basket
from edge.devices_config import DEVICES_FILE
from edge.doctor import examine
from edge.node import Node
from pos_tui.screens.money import money
from schema.identity import Stream
from schema.kinds.base import Payload
from schema.kinds.trading import Refund, Sale, ShiftClosed, ShiftOpened
from schema.rules.promotion_terms import Language
from schema.texts import Texts
from tests.bench.large_shop import line_of, make_shop, products
from tests.edge.people import CASHIER, SUPERVISOR
from tests.processes import command, environment

WAIT_S: Final = 30.0
SCREENS_KEPT: Final = 6
COLUMNS, ROWS = 80, 24
FLOAT_MINOR: Final = 20_000


class Tmux:
    """A till in a session of tmux with a server of its own; keys go in as a keyboard sends them."""

    def __init__(self, directory: Path, language: Language) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="edgetill-")  # a socket's path has 107 bytes at most
        self._socket = Path(self._folder.name) / "tmux"
        self._seen: deque[str] = deque(maxlen=SCREENS_KEPT)
        self.t = Texts("pos_tui", language)
        words = command("till", "--node", str(directory), "--language", language.value)
        variables = environment({"LANG": "C.UTF-8"})
        del variables["COLUMNS"]
        self._tmux(
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            str(COLUMNS),
            "-y",
            str(ROWS),
            shlex.join(words),
            env=variables,
        )

    def _tmux(self, *words: str, env: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            ["tmux", "-u", "-S", str(self._socket), *words], capture_output=True, text=True, check=True, timeout=20,
            env={**(env or os.environ), "TERM": "xterm-256color"},
        )  # fmt: skip
        return done.stdout

    @property
    def process(self) -> int:
        """The id of the till's process, and of its group."""
        return int(self._tmux("list-panes", "-F", "#{pane_pid}"))

    def screen(self) -> str:
        """Return what stands on the screen."""
        screen = self._tmux("capture-pane", "-p")
        if not self._seen or self._seen[-1] != screen:
            self._seen.append(screen)
        return screen

    def way_here(self) -> str:
        """Return the last screens that were looked at, for somebody who asks how the till came to where it is."""
        return "\n".join(self._seen)

    def sees(self, *texts: str) -> str:
        """Wait for texts; returns the screen."""
        deadline = time.monotonic() + WAIT_S
        while True:
            screen = self.screen()
            if all(text in screen for text in texts):
                return screen
            assert time.monotonic() < deadline, f"{texts} are not on the screen:\n{self.way_here()}"
            time.sleep(0.05)

    def reads(self, *names: str, **facts: object) -> str:
        """Wait for texts by their ids."""
        return self.sees(*(self.t(name, **facts) for name in names))

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names, each as slowly as fingers.

        Other keys begin with what Escape sends: a busy machine may read the next key together with it.
        """
        for key in keys:
            self._tmux("send-keys", key)
            time.sleep(0.6 if key == "Escape" else 0.1)

    def types(self, text: str) -> None:
        """Type a text and Enter."""
        self.press(*text, "Enter")

    def scan(self, code: str) -> None:
        """Scan a code: all keys at once, as a scanner types them."""
        self._tmux("send-keys", "-l", code)
        self._tmux("send-keys", "Enter")
        time.sleep(0.1)
        self.screen()

    def ends(self) -> None:
        """Wait until the till has closed."""
        deadline = time.monotonic() + WAIT_S
        while self._is_running():
            assert time.monotonic() < deadline, f"the till does not close:\n{self.screen()}"
            time.sleep(0.1)

    def _is_running(self) -> bool:
        with contextlib.suppress(subprocess.CalledProcessError):
            return bool(self._tmux("list-sessions"))
        return False

    def close(self) -> None:
        """End the session whatever it shows."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self._tmux("kill-server")
        self._folder.cleanup()


@contextlib.contextmanager
def printing(directory: Path) -> Iterator[SimulatedPrinter]:
    printer = SimulatedPrinter()
    server = PrinterServer(printer)
    (directory / DEVICES_FILE).write_text(f'[printer]\naddress = "{server.address}"\n', "utf-8")
    yield printer
    server.close()


def paper_with(printer: SimulatedPrinter, *texts: str) -> str:
    """Wait until texts are on the paper; returns all of it."""
    deadline = time.monotonic() + WAIT_S
    while True:
        text = printer.paper.text()
        if all(each in text for each in texts):
            return text
        assert time.monotonic() < deadline, f"{texts} are not on the paper:\n{text}"
        time.sleep(0.1)


def entries(directory: Path) -> list[Payload]:
    """Return what the till itself recorded, in order."""
    with Node(directory) as node:
        assert examine(node).is_healthy
        stream = Stream(node.config.scope, node.config.node_id, 1)
        row = node.replica.log.stream(stream)
        assert row is not None
        found = [node.replica.log.entry(stream, seq) for seq in range(1, row.head.seq + 1)]
    return [entry.payload for entry in found if entry is not None and entry.payload is not None]


@pytest.mark.long
@pytest.mark.parametrize("language", list(Language))
def test_a_shops_day_at_a_terminal_without_a_hub(tmp_path: Path, language: Language) -> None:
    directory = make_shop(tmp_path / "shop", 300)
    goods = list(products(300))[250:253]
    with Node(directory, is_read_only=True) as node:
        basket = EMPTY
        for one in goods:
            basket = add(basket, line_of(one))
        prices = [line.amount_minor for line in price_basket(node, basket).lines]
    with printing(directory) as printer:
        till = Tmux(directory, language)
        try:
            t = till.t
            till.reads("sign_in.title", "sign_in.number_hint")
            till.types(CASHIER.number)
            till.reads("sign_in.pin")
            till.types(CASHIER.pin)
            till.reads("sale.prompt", "sale.empty")

            till.press("F10")
            till.reads("shift.title", "shift.none")
            till.press("1")
            till.reads("shift.open")
            till.types("200")
            till.sees(t("shift.figures", float=money(FLOAT_MINOR), sales=0, amount=money(0), refunds=0))
            till.press("Escape")
            till.reads("sale.empty")

            for one in goods:
                till.scan(one.barcode)
                till.sees(one.called)
            till.press("+")
            till.reads("tender.left")
            till.types("100")
            till.sees(t("done.change"), t("done.title", number="A1-1-000001"))
            paper_with(printer, "A1-1-000001", money(sum(prices)), money(10_000 - sum(prices)))
            printer.take_paper()

            till.press("F7")
            till.reads("refund.empty")
            till.types("A1-1-000001")
            till.sees(*(one.called for one in goods))
            till.press("Enter")  # All of the first line comes back.
            till.press("+")
            if t("approve.title") in till.screen():
                till.types(SUPERVISOR.number)
                till.types(SUPERVISOR.pin)
            till.sees("A1-1-000002", t("refund.given"))
            paper_with(printer, "A1-1-000002", money(prices[0]))
            printer.take_paper()

            till.press("F10")
            till.reads("shift.title")
            till.press("6")
            till.reads("count.total")
            in_drawer = FLOAT_MINOR + sum(prices) - prices[0]
            till.types(str(in_drawer // 10_000))
            till.press("+")
            till.sees(t("count.confirm", total=money(in_drawer // 10_000 * 10_000)))
            till.press("Enter")
            till.reads("report.shift-report")
            paper_with(printer, money(in_drawer))
            till.press("Escape")
            till.reads("shift.title", "shift.none")
            till.press("Escape")
            till.reads("sale.prompt")

            till.press("F12")
            till.reads("lock.title")
            till.press("F10")
            till.ends()
        finally:
            till.close()

    recorded = entries(directory)
    kinds = [type(one) for one in recorded if isinstance(one, Sale | Refund | ShiftOpened | ShiftClosed)]
    assert kinds == [ShiftOpened, Sale, Refund, ShiftClosed]
    sale = next(one for one in recorded if isinstance(one, Sale))
    refund = next(one for one in recorded if isinstance(one, Refund))
    closed = next(one for one in recorded if isinstance(one, ShiftClosed))
    assert [line.product for line in sale.lines] == [one.product.code for one in goods]
    assert (sale.total_minor, sale.operator) == (sum(prices), CASHIER.operator)
    assert (refund.total_minor, [line.product for line in refund.lines]) == (prices[0], [goods[0].product.code])
    assert (closed.expected_minor, closed.counted_minor) == (in_drawer, in_drawer // 10_000 * 10_000)
