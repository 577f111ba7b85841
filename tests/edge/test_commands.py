"""Every verb of a node, as a person or a script types it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from edge.command_options import parse_goods
from edge.commands import commands
from edge.node import Node
from schema.errors import EdgetillError, RefusalError
from schema.kinds.stock import StockAdjusted
from tests import processes
from tests.edge.goods import teach_goods
from tests.edge.people import CASHIER, MANAGER, SUPERVISOR, employ
from tests.edge.shops import CASE_BARCODE, CIGARETTES, WATER, Shops, carry, entry_count, figures, sell_pieces

Run = Callable[..., str]
CLOCK = "2026-03-02T09:00:00+08:00"


@pytest.fixture
def run(node: Node) -> Run:
    """Type a command at the till of shop A; a refusal comes out as the command's own error."""
    app = typer.Typer(pretty_exceptions_enable=False)
    commands(app)

    def type_in(*arguments: str, at: Node = node) -> str:
        env = {"EDGETILL_NODE": str(at.directory), "EDGETILL_CLOCK": CLOCK, "COLUMNS": "200"}
        result = CliRunner().invoke(app, list(arguments), env=env)
        if isinstance(result.exception, EdgetillError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    return type_in


def test_sell_prints_a_receipt_number_when_the_sale_is_recorded(run: Run, node: Node) -> None:
    shown = run("sell", "6901234567892", f"2*{WATER}", "1.5*P0042@12.80")
    assert shown.startswith("Sold A1-1-000001: 25.20")
    assert {product: row[0] for product, row in figures(node).items()} == {WATER: -3000, "P0042": -1500}


@pytest.mark.parametrize(
    ("text", "product", "quantity", "unit", "price"),
    [
        ("P0001", "P0001", 1000, "", None),
        ("2*P0001", "P0001", 2000, "", None),
        ("P0001*2", "P0001", 2000, "", None),
        ("1.5*P0042@12.80", "P0042", 1500, "", 1280),
        ("P0001/case*3", "P0001", 3000, "case", None),
        ("6901234567892*2", "6901234567892", 2000, "", None),
        ("2*6901234567892", "6901234567892", 2000, "", None),
        ("3*12345678", "12345678", 3000, "", None),
    ],
)
def test_goods_are_written_either_way_round(
    node: Node, text: str, product: str, quantity: int, unit: str, price: int | None
) -> None:
    assert parse_goods(node, text) == (product, quantity, unit, price)


@pytest.mark.parametrize("text", ["", "*", "2*", "x*y", "P0001@", "P0001@abc"])
def test_malformed_goods_are_refused_in_a_sentence(node: Node, text: str) -> None:
    with pytest.raises(RefusalError) as refused:
        parse_goods(node, text)
    assert refused.value.code == "goods_malformed"


def test_refund_takes_lines_wholes_and_goods_without_a_receipt(run: Run, node: Node) -> None:
    receipt = json.loads(run("sell", f"3*{WATER}", CIGARETTES, "--json"))["receipt"]
    assert json.loads(run("refund", receipt, "--line", "1*2", "--json"))["total_minor"] == 400
    assert json.loads(run("refund", receipt, "--goods-to", "damaged", "--json"))["total_minor"] == 2700
    assert figures(node)[CIGARETTES][0] == -1000
    with pytest.raises(RefusalError) as refused:
        run("refund", receipt)
    assert refused.value.code == "refund_empty"
    assert json.loads(run("refund", "--without-receipt", f"2*{WATER}", "--json"))["total_minor"] == 400
    for wrong in ("x", "9", "1*z", "0"):
        with pytest.raises(RefusalError):
            run("refund", receipt, "--line", wrong)


def test_stock_work_goes_through_its_verbs(run: Run, node: Node) -> None:
    assert "+48" in run("receive", f"2*{CASE_BARCODE}", "--supplier", "S1", "--document", "D1", "--cost", "P0001=1.20")
    run("adjust", "wastage", f"3*{WATER}", "--note", "broken")
    run("repack", f"5*{WATER}", "--into", "1*P1001")
    shown = json.loads(run("stock", "--json"))
    assert {row["product"]: row["value"] for row in shown} == {WATER: 40_000, "P1001": 1000}
    assert run("stock", WATER).startswith(f"{WATER}\t40 pc\tWater")
    assert "+48 receipt on Till A1" in run("stock", "--why", WATER)
    assert json.loads(run("stock", "--why", WATER, "--json"))["value"] == 40_000
    with pytest.raises(RefusalError, match="no place"):
        run("receive", "P0001@3")


def test_an_adjustment_beyond_a_persons_limit_needs_the_second_person_at_the_verb_too(
    run: Run, node: Node, shops: Shops
) -> None:
    employ(shops)
    with pytest.raises(RefusalError) as refused:
        run("adjust", "wastage", f"3*{WATER}", "--operator", CASHIER.operator)
    assert (refused.value.code, refused.value.facts["amount_minor"]) == ("approval_needed", 600)
    with pytest.raises(RefusalError) as unhelped:
        run("adjust", "wastage", f"3*{WATER}", "--operator", CASHIER.operator, "--approver", CASHIER.operator)
    assert unhelped.value.code == "approval_needed"
    assert figures(node) == {}
    run("adjust", "wastage", f"3*{WATER}", "--operator", CASHIER.operator, "--approver", MANAGER.operator)
    run("adjust", "wastage", f"1*{WATER}", "--operator", SUPERVISOR.operator, "--at", "2026-03-02T08:30:00")
    assert figures(node)[WATER][0] == -4000
    [row] = [one for one in node.replica.log.streams(node.config.scope) if one.stream.node == node.config.node_id]
    told = [entry.payload for entry in node.replica.log.entries(row)]
    assert [(one.operator, one.approver) for one in told if isinstance(one, StockAdjusted)] == [
        (CASHIER.operator, MANAGER.operator), (SUPERVISOR.operator, ""),
    ]  # fmt: skip
    with pytest.raises(RefusalError):
        run("receive", WATER, "--cost", "nonsense")
    with pytest.raises(RefusalError) as refused:
        run("receive", WATER, "--at", "2027-01-01T00:00")
    assert refused.value.code == "time_invalid"
    run("receive", WATER, "--at", "2026-03-02T08:30")


def test_transfers_go_through_their_verbs(run: Run, node: Node, shops: Shops) -> None:
    warehouse = shops.make_node("W1", "W")
    sent = json.loads(run("transfer", "dispatch", "A", f"24*{WATER}", "--json", at=warehouse))
    carry(warehouse, node, "loc/A")
    assert "24 of 24 on the road" in run("transfer", "list")
    run("transfer", "receive", sent["transfer"], f"10*{WATER}", "--partial")
    assert "14 of 24 on the road" in run("transfer", "list")
    run("transfer", "receive", sent["transfer"])
    assert run("transfer", "list") == ""
    assert json.loads(run("transfer", "list", "--all", "--json"))[0]["received_milli"] == 24_000
    run("transfer", "receive", "PAPER-7", WATER, "--from", "B")
    assert "no note yet" in run("transfer", "list")


def test_counts_go_through_their_verbs(run: Run, node: Node, tmp_path: Path) -> None:
    run("receive", f"10*{WATER}")
    assert "counted minus book -1" in run("count", "line", f"9*{WATER}")
    assert run("count", "variances", WATER).startswith(f"{WATER}\t-1\tcounted 9")
    session = json.loads(run("count", "open", "--zone", "front", "--product", "P1001", "--json"))["session"]
    assert "so far in front" in run("count", "line", f"1*{CASE_BARCODE}", "--session", session, "--zone", "front")
    assert f"{session}\topen" in run("count", "list")
    run("count", "post", session)
    with pytest.raises(RefusalError) as refused:
        run("count", "close", session)
    assert refused.value.code == "zeros_unconfirmed"
    assert f"Closed {session}" in run("count", "close", session, "--confirm-zeros")
    assert "closed" in run("count", "list", "--all")
    sheet = tmp_path / "counts.csv"
    sheet.write_text("product,quantity\nP0001,30\n", "utf-8")
    assert "Counted P0001: 30" in run("count", "import", str(sheet))
    assert figures(node)[WATER][0] == 30_000
    with pytest.raises(RefusalError):
        run("count", "import", str(tmp_path / "missing.csv"))
    with pytest.raises(RefusalError):
        run("count", "line", WATER, "--session", session, "--absorbs", "D1")


def test_a_case_is_counted_by_its_unit(run: Run, node: Node) -> None:
    run("count", "line", "2*P0001/case")
    assert figures(node)[WATER][0] == 48_000


def test_conflicts_go_through_their_verbs(run: Run, node: Node, shops: Shops) -> None:
    sold = json.loads(run("sell", WATER, "--json"))
    assert "The book says -1 of Water" in run("resolve", "list")
    assert json.loads(run("resolve", "list", "--json"))[0]["code"] == "NEGATIVE_STOCK"
    run("resolve", "void", sold["receipt"])
    assert run("resolve", "list") == ""
    other = shops.make_node("A2")
    sale = sell_pieces(other)
    count = json.loads(run("count", "line", f"9*{WATER}", "--json"))[0]
    carry(other, node)
    run("resolve", "classify", sale.entry, count["entry"], "before")
    run("resolve", "accept", WATER, count["entry"])
    assert figures(node)[WATER] == (9000,) * 3


def test_the_drawer_goes_through_its_verbs(run: Run, node: Node) -> None:
    assert "open" in run("shift", "open", "200.00")
    sell_pieces(node, WATER, 3)
    run("shift", "paid-in", "50", "change")
    run("shift", "paid-out", "20", "milk", "--note", "for the cat")
    run("shift", "no-sale", "change")
    blind = json.loads(run("shift", "x", "--json"))
    assert (blind["sales_minor"], blind["expected_minor"], len(blind["cash_events"])) == (600, None, 2)
    assert "当班报表" in run("shift", "x")
    slip = run("shift", "close", "--pieces", "100*2", "--pieces", "0.5*71", "--language", "en")
    assert "SHIFT CLOSED" in slip
    assert "-0.50" in slip
    closed = json.loads(run("shift", "list", "--json"))
    assert [(one["is_open"], one["variance_minor"]) for one in closed] == [(False, -50)]
    day = json.loads(run("shift", "z", "--close", "--json"))
    assert (day["kind"], day["sales_minor"], day["counted_minor"]) == ("z-report", 600, 23_550)
    assert "日结单" in run("shift", "z", "2026-03-02")
    for words in (("shift", "close", "1"), ("shift", "z", "--close"), ("shift", "x", "A1-2026-03-02-09"),
                  ("shift", "open", "x"), ("shift", "close", "--pieces", "7*1"), ("shift", "close")):  # fmt: skip
        with pytest.raises(RefusalError):
            run(*words)


def test_status_says_how_the_node_is_doing(run: Run, node: Node) -> None:
    run("sell", WATER)
    shown = json.loads(run("status", "--json"))
    assert (shown["cache"], shown["open_conflicts"], shown["own_entries"], shown["parked"]) == ("never", 1, 1, 0)
    assert shown["inert"] == {}
    assert shown["entries"] == entry_count(node) == sum(stream["entries"] for stream in shown["streams"])
    now_ms = shown["now_ms"]
    for days, named in ((1, "fresh"), (10, "ageing"), (40, "old")):
        node.store.connection.execute("UPDATE node_state SET last_exchange_ms = ?", (now_ms - days * 86_400_000,))
        assert json.loads(run("status", "--json"))["cache"] == named
    assert "clock error at most" in run("status")


def test_doctor_reports_mends_and_says_when_it_cannot(run: Run, node: Node) -> None:
    run("sell", WATER)
    assert "entries folded anew" in run("doctor")
    assert json.loads(run("doctor", "--json"))["is_healthy"]
    node.store.connection.execute("UPDATE stock SET value = 7")
    with pytest.raises(EdgetillError) as unwell:
        run("doctor")
    assert unwell.value.code == "node_unwell"
    assert "mended from the log" in run("doctor", "--mend")
    assert json.loads(run("doctor", "--json"))["is_healthy"]


def test_export_writes_to_a_file_or_the_screen(run: Run, tmp_path: Path) -> None:
    run("sell", WATER)
    assert "A1-1-000001" in run("export", "sales")
    assert json.loads(run("export", "sale-lines", "--format", "json"))[0]["product"] == WATER
    target = tmp_path / "sales.xlsx"
    assert "1 rows written" in run("export", "sales", "--to", str(target))
    assert target.stat().st_size > 0


def test_replay_acknowledges_each_basket_and_reports_the_dirt(run: Run, node: Node, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("basket,at,code,quantity\n1,2024-06-11 08:05,P0001,3\n2,2024-06-11 08:06,,1\n", "utf-8")
    arguments = ("replay", str(log), "--format", "csv", "--clock", "recorded", "--date", "2026-03-03")
    acknowledged = run(*arguments, "--ack").split()
    assert acknowledged[0] == "A1-1-000001"
    assert acknowledged[1].endswith(":1")
    shown = run(*arguments)
    assert "0 sales" in shown
    assert "1 were here already" in shown
    assert "1 doubtful lines" in shown
    assert json.loads(run(*arguments, "--json"))["skipped"] == 1
    packed = tmp_path / "log.csv.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    assert json.loads(run("replay", str(packed), "--format", "csv", "--json"))["skipped"] == 1
    for wrong in (("--date", "2026-03-03"), ("--clock", "sundial")):
        with pytest.raises(RefusalError):
            run("replay", str(log), "--format", "csv", *wrong)


def test_every_verb_and_option_explains_itself() -> None:
    app = typer.Typer()
    commands(app)
    group = typer.main.get_command(app)

    def check(command: Any, path: str) -> None:
        assert command.help or not path, path
        for parameter in command.params:
            if parameter.name != "help" and path:
                assert getattr(parameter, "help", None), f"{path} {parameter.name}"
        for name, child in getattr(command, "commands", {}).items():
            check(child, f"{path} {name}".strip())

    check(group, "")


def test_a_foreseen_failure_is_one_sentence_and_an_exit_code(tmp_path: Path) -> None:
    done = processes.run("sell", "P1", EDGETILL_NODE=str(tmp_path))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "[node_missing]" in done.stderr


def test_a_kit_goes_and_comes_back_with_its_parts(run: Run, node: Node) -> None:
    teach_goods(node)
    receipt = run("sell", "2*C0004").split()[1].rstrip(":")
    assert {product: row[0] for product, row in figures(node).items()} == {"C0003": -4000, "C0001": -2000}
    run("refund", receipt, "--line", "1*1")
    run("refund", receipt)
    assert {product: row[0] for product, row in figures(node).items()} == {"C0003": 0, "C0001": 0}
    with pytest.raises(RefusalError):
        run("refund", receipt)


def test_awaited_goods_drafts_and_lists_go_through_their_verbs(run: Run, node: Node, shops: Shops) -> None:
    other = shops.make_node("W1", "W")
    number = json.loads(run("transfer", "dispatch", "A", f"10*{WATER}", "--json", at=other))["transfer"]
    carry(other, node, "loc/A")
    assert "10 of 10 件\tWater" in run("delivery", "list")
    with pytest.raises(RefusalError):
        run("delivery", "receive", number, "--damaged", f"sad:1*{WATER}")
    run("delivery", "receive", number, f"8*{WATER}", "--damaged", f"broken:1*{WATER}", "--reason", "lost")
    assert figures(node)[WATER][0] == 8_000
    assert run("delivery", "list") == ""
    draft = run("draft", "order", f"2*{WATER}/case", "--note", "soon").strip()
    assert f"{draft}\torder from whoever the hub chooses\topen" in run("draft", "list")
    assert run("draft", "transfer", WATER, "--from", "W").startswith("R-")
    assert run("draft", "asked") == ""
    sell_pieces(node, WATER, 9)
    assert run("stock-list", "negative").startswith(f"{WATER}\t-1")
    assert json.loads(run("stock-list", "below", "--json")) == []
    with pytest.raises(RefusalError) as refused:
        run("stock-list", "nothing")
    assert refused.value.code == "list_unknown"
