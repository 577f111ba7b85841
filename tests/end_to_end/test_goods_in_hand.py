"""A delivery is being checked at a real terminal when the power goes: the till offers to go on with it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from edge.doctor import examine
from edge.node import Node
from schema.kinds.stock import GoodsReceived
from schema.rules.promotion_terms import Language
from tests.bench.large_shop import make_shop, products
from tests.edge.people import CASHIER
from tests.end_to_end.test_till_in_a_terminal import Tmux, entries


def at_the_goods(till: Tmux) -> None:
    """Sign in and choose to receive goods."""
    till.reads("sign_in.title", "sign_in.number_hint")
    till.types(CASHIER.number)
    till.reads("sign_in.pin")
    till.types(CASHIER.pin)
    till.reads("sale.prompt", "sale.empty")
    till.press("C-w")
    till.reads("stock_menu.title")
    till.press("1")


@pytest.mark.long
def test_a_delivery_in_hand_is_there_after_the_till_was_killed_and_recorded_once(tmp_path: Path) -> None:
    directory = make_shop(tmp_path / "shop", 300)
    goods = list(products(300))[250:253]
    till = Tmux(directory, Language.EN)
    try:
        at_the_goods(till)
        till.reads("deliveries.title")
        till.press("F5")
        if till.t("receive.supplier") in till.screen():
            till.press("End", "Enter")
        till.reads("receive.document_title")
        till.types("DN-7")
        for number, one in enumerate(goods, 4):
            till.scan(one.barcode)
            till.sees(one.called)
            till.types(str(number))
        till.sees("6")
        kill(till)
    finally:
        till.close()
    assert not any(isinstance(one, GoodsReceived) for one in entries(directory))
    till = Tmux(directory, Language.EN)
    try:
        at_the_goods(till)
        till.sees(till.t("in_hand.title"), till.t("in_hand.go_on", about="DN-7", lines=3))
        till.press("1")
        till.sees(till.t("in_hand.back", lines=3), *(one.called for one in goods))
        till.press("+")
        till.reads("receive.confirm_title")
        till.press("Enter")
        till.sees(till.t("receive.done", lines=3))
        kill(till)
    finally:
        till.close()
    [received] = [one for one in entries(directory) if isinstance(one, GoodsReceived)]
    assert (received.document, [move.quantity_milli for move in received.moves]) == ("DN-7", [4000, 5000, 6000])
    with Node(directory) as node:
        assert node.connection.execute("SELECT count(*) FROM goods_in_hand").fetchone()[0] == 0
        assert examine(node).is_healthy


def kill(till: Tmux) -> None:
    """End the till as a power cut ends it: at once, without a word."""
    os.killpg(till.process, signal.SIGKILL)
    till.ends()
