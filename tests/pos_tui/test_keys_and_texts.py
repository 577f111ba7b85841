"""What holds on every screen: keys are acts, each has help, neither language has a hole, Escape loses nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

import pos_tui
import pos_tui.screens
from edge.deliveries import DAMAGES, ORDER, OVER_REASONS, PAPER, SHORT_REASONS, TRANSFER
from edge.device_events import DeviceRole
from edge.drafting import PURPOSES
from edge.limits import Act as Limited
from edge.node import Node
from edge.print_jobs import JobState
from edge.stock import REASONS as ADJUSTMENTS
from pos_tui.keys import KeyTable, act, canonical_key, shown_key
from pos_tui.screens.base import TillScreen
from pos_tui.screens.stock_lists import LISTS
from pos_tui.screens.stock_menu import WORKS
from pos_tui.screens.stock_view import REASONS
from pos_tui.screens.van import WAYS as VAN_WAYS
from schema.rules.promotion_terms import Language
from schema.rules.slips import ReportKind
from schema.settings import TillRules
from schema.texts import Texts, catalogue
from tests.edge.goods import COLA_BARCODE, settle
from tests.pos_tui.conftest import AtTill

ROOT = Path(pos_tui.__file__).parent
FAMILIES: dict[str, tuple[str, ...]] = {
    "survival.backup_": ("failing", "old", "never"),
    "status.device_": tuple(role.value for role in DeviceRole if role is not DeviceRole.DRAWER),
    "stock_menu.": tuple(one.name for one in WORKS),
    "van.": VAN_WAYS,
    "van_carry.waits_": ("hub", "shop"),
    "means.": (*TillRules().means, "gift_card", "exchange"),
    "limit.": tuple(one.value for one in Limited),
    "discount.": ("line_amount", "line_share", "basket_amount", "basket_share", "none"),
    "gift.": ("promotion", "apology", "sample", "staff"),
    "unsettled.": ("confirmed", "failed"),
    "refund.to_": ("shelf", "damaged", "supplier"),
    "refund.": ("confirmed", "unknown"),
    "return.": ("quality", "wrong", "unwanted", "other"),
    "receipts.kind_": ("sale", "refund", "payment"),
    "warning.": ("goods_expired", "goods_expiring", "label_differs"),
    "devices.prices_": ("never", "fresh", "ageing", "old"),
    "status.prices_": ("ageing", "old"),
    "devices.job_": tuple(one.value for one in JobState if one not in {JobState.PRINTED, JobState.DROPPED}),
    "paper.": ("printed", "not_printed", "retry", "drop"),
    "settings.": ("language", "theme", "training", "lock", "sign_out"),
    "shift.reason_": (
        "change", "float", "deposit", "purchase", "expense", "check", "mistake", "other",
    ),
    "shift.": ("open", "pay_in", "pay_out", "no_sale", "x", "close", "day", "slips"),
    "account.": ("top_up", "repay", "return_stored"),
    "report.": tuple(one.value for one in ReportKind),
    "why.reason_": tuple(REASONS),
    "why.side_": ("BEFORE", "AMBIGUOUS"),
    "count_review.": ("recount", "close_anyway", "later"),
    "device.": tuple(one.value for one in DeviceRole),
    "goods.empty_": ("receive", "dispatch", "adjust", "draft"),
    "deliveries.kind_": (ORDER, TRANSFER, PAPER),
    "receive.": ("more", "final", "why_short", "why_over"),
    "why_differs.": (*SHORT_REASONS, *OVER_REASONS),
    "damage.": DAMAGES,
    "adjust.": tuple(ADJUSTMENTS),
    "lists.": (*LISTS, "TRANSFER_SHORT", "TRANSFER_OVER", "TRANSIT_IMPLICIT_RECEIPT", "TRANSIT_AWAITING_SHIP"),
    "lists.none_": LISTS,
    "lists.purpose_": PURPOSES,
    "lists.state_": ("open", "answered", "declined"),
    "draft.": PURPOSES,
    "draft.from_": PURPOSES,
    "reserve.": ("fulfilled", "cancelled"),
}  # fmt: skip
"""The families of texts whose names are put together when they are asked for, with every member that can be asked."""
SUFFIXES = {"shift.": ("_what",), "account.": ("_text",), "reserve.": ("_text", "_said")}


def screens() -> list[type[TillScreen[object]]]:
    """Return every screen that has a name of its own."""
    for module in iter_modules(pos_tui.screens.__path__):
        import_module(f"pos_tui.screens.{module.name}")

    def below(kind: type[TillScreen[object]]) -> Iterator[type[TillScreen[object]]]:
        found: list[type[TillScreen[object]]] = kind.__subclasses__()
        for one in found:
            yield one
            yield from below(one)

    return sorted({one for one in below(TillScreen) if one.NAME}, key=lambda one: one.__name__)


def asked() -> tuple[set[str], set[str]]:
    """Return the names of texts that the source asks for, and the beginnings of those that it puts together."""
    names: set[str] = set()
    beginnings: set[str] = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and node.args):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called not in {"t", "texts"}:
                continue
            for argument in (node.args[0],):
                choices = [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]
                for one in choices:
                    match one:
                        case ast.Constant(value=str(name)):
                            names.add(name)
                        case ast.JoinedStr(values=[ast.Constant(value=str(start)), *_]):
                            beginnings.add(start)
                        case ast.Subscript():
                            names |= {"per.jin", "per.hectogram"}
    return names, beginnings


def wanted() -> set[str]:
    """Return every text that can be asked for."""
    names, beginnings = asked()
    unknown = beginnings - set(FAMILIES) - {"act.", "help."}
    assert not unknown, f"name the members of {unknown} in FAMILIES"
    for start in beginnings & set(FAMILIES):
        names |= {f"{start}{member}" for member in FAMILIES[start]}
        names |= {f"{start}{member}{end}" for end in SUFFIXES.get(start, ()) for member in FAMILIES[start]}
    own = set(catalogue("pos_tui", Language.ZH))
    for screen in screens():
        for one in (*screen.ACTS, *screen.COMMON):
            for kind in ("act", "help"):
                name = f"{kind}.{screen.NAME}.{one.name}"
                names.add(name if name in own else f"{kind}.{one.name}")
    return names


@pytest.mark.parametrize("language", list(Language))
def test_neither_language_lacks_a_text_and_none_is_there_for_nothing(language: Language) -> None:
    texts, own = Texts("pos_tui", language), set(catalogue("pos_tui", language))
    shared = set(catalogue("schema", language))
    lacking = {name for name in wanted() if not texts.has(name)}
    assert sorted(lacking) == []
    assert sorted(own - wanted() - shared) == []


def test_both_languages_fill_in_the_same_facts() -> None:
    chinese, english = catalogue("pos_tui", Language.ZH), catalogue("pos_tui", Language.EN)
    assert chinese.keys() == english.keys()
    facts = re.compile(r"\{(\w+)\}")
    differing = [name for name in chinese if set(facts.findall(chinese[name])) != set(facts.findall(english[name]))]
    assert not differing


def test_every_act_of_a_screen_can_be_done_and_no_key_means_two_things() -> None:
    for screen in screens():
        keys: dict[str, str] = {}
        for one in (*screen.ACTS, *screen.COMMON):
            assert callable(getattr(screen, f"act_{one.name}", None)), f"{screen.__name__}.act_{one.name}"
            for key in one.keys:
                assert keys.setdefault(canonical_key(key), one.name) == one.name, (screen.__name__, key)


def test_keys_have_one_name_however_a_keyboard_calls_them() -> None:
    assert {canonical_key(name) for name in ("plus", "add", "+")} == {"+"}
    assert canonical_key("fullwidth_plus_sign", "＋") == "+"
    assert canonical_key("ideographic_full_stop", "。") == "."
    assert canonical_key("multiply") == "*"
    assert canonical_key("F8") == "f8"
    assert [shown_key(key) for key in ("enter", "f8", "ctrl+p", "pagedown")] == ["⏎", "F8", "^p", "PgDn"]


def test_a_shop_renames_keys_on_one_screen_or_on_all() -> None:
    acts = (act("pay", "+"), act("help", "f1"))
    table = KeyTable("sale", acts, {"sale.pay": "f2, plus", "help": "f12"})
    assert [one.name for key in ("f2", "+", "f12") if (one := table.act_of(key))] == ["pay", "pay", "help"]
    assert table.act_of("f1") is None


async def test_the_shops_own_keys_work_and_stand_on_the_key_bar(at_till: AtTill, node: Node) -> None:
    settle(node, TillRules(keys={"sale.pay": "f2", "sale.member": "f8"}))
    async with at_till() as cashier:
        await cashier.until("F2 " + cashier.t("act.sale.pay"))
        await cashier.scan(COLA_BARCODE)
        await cashier.press("f2")
        await cashier.until_screen("tender")


async def test_help_lists_every_act_of_the_screen_below_it(at_till: AtTill, language: Language) -> None:
    async with at_till(language, size=(120, 40)) as cashier:
        sale = cashier.screen
        await cashier.press("f1")
        await cashier.until_screen("help")
        for one in sale.key_table.acts:
            assert cashier.shows(sale.label_of(one)), one.name
        await cashier.press("escape")
        await cashier.until_screen("sale")


async def test_the_language_changes_anywhere_and_the_basket_stays(at_till: AtTill, node: Node) -> None:
    async with at_till() as cashier:
        await cashier.scan(COLA_BARCODE)
        await cashier.until("应收")
        await cashier.press("f11")
        await cashier.until("Due")
        await cashier.press("+")
        await cashier.until("Left to pay")
        await cashier.press("f11")
        await cashier.until("还需收")
        await cashier.press("escape")
        await cashier.until("应收")
        assert cashier.app.till.priced.total_minor == 300
    async with at_till() as cashier:
        assert (node.directory / "till.json").exists()


ROUNDS = (
    ("+",), ("f1",), ("f2",), ("f3",), ("f5",), ("f6",), ("f10",), ("/",), ("/", "f1"), ("*",), ("ctrl+p",),
    ("ctrl+g",), ("ctrl+n",), ("ctrl+o",), ("ctrl+x",), ("ctrl+r",), ("ctrl+t",), ("ctrl+k",), ("ctrl+d",), ("ctrl+e",),
    ("+", "*", "*", "*", "enter"), ("+", "/"), ("f3", "f5"),
)  # fmt: skip


@pytest.mark.parametrize("keys", ROUNDS, ids=["-".join(keys) for keys in ROUNDS])
async def test_escape_always_leads_back_to_the_whole_basket(at_till: AtTill, keys: tuple[str, ...]) -> None:
    async with at_till() as cashier:
        await cashier.type("2*")
        await cashier.scan(COLA_BARCODE)
        basket = cashier.app.till.basket
        await cashier.press(*keys)
        for _ in range(6):
            if cashier.screen.NAME == "sale":
                break
            await cashier.press("escape")
        assert cashier.screen.NAME == "sale"
        assert cashier.app.till.basket == basket
        await cashier.until("可口可乐")


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (60, 20), (200, 60)])
async def test_the_till_stands_at_every_size_and_takes_a_new_one(at_till: AtTill, size: tuple[int, int]) -> None:
    async with at_till(size=(80, 24)) as cashier:
        await cashier.scan(COLA_BARCODE)
        await cashier.pilot.resize_terminal(*size)
        await cashier.until("可口可乐")
        await cashier.until(cashier.t("sale.due"))
        assert all(len(line) <= size[0] for line in cashier.lines)


async def test_the_mouse_does_what_the_keys_do(at_till: AtTill) -> None:
    async with at_till() as cashier:
        await cashier.scan(COLA_BARCODE)
        await cashier.pilot.click("#keys", offset=(2, 0))
        await cashier.until_screen("tender")
        await cashier.pilot.click("#quick", offset=(8, 0))
        await cashier.until_screen("sale")
        assert cashier.app.till.done is not None


async def test_a_till_follows_its_shops_rules_while_it_runs(at_till: AtTill, node: Node) -> None:
    """A till runs for days: keys, ways to pay and the guard against a second scan follow within a second."""
    async with at_till() as cashier:
        await cashier.scan(COLA_BARCODE)
        await cashier.press("plus")
        await cashier.until_screen("tender")
        settle(node, TillRules(keys={"sale.pay": "f2", "sale.member": "f8"}, means=("card",), same_scan_guard_ms=1500))
        cashier.app._each_second()
        # What is being paid is paid by what was offered for it.
        assert cashier.shows(cashier.t("means.wechat"))
        await cashier.press("asterisk", "asterisk")
        assert cashier.screen.means == "alipay"  # type: ignore[attr-defined]
        await cashier.press("escape")
        await cashier.until_screen("sale")
        await cashier.until("F2 " + cashier.t("act.sale.pay"))
        await cashier.scan(COLA_BARCODE)
        await cashier.scan(COLA_BARCODE)
        await cashier.until(cashier.t("again.title"))
        await cashier.press("escape", "f2")
        await cashier.until_screen("tender")
        assert not cashier.shows(cashier.t("means.wechat"))
        assert cashier.shows(cashier.t("means.card"))
