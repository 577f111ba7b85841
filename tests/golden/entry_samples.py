"""One sample payload of every entry kind, with most of its fields filled: what the golden bytes were made from."""

from __future__ import annotations

from collections.abc import Mapping

from schema.kinds.balances import BalanceMove, BalanceMoved, BalanceOpened, BalancePaid
from schema.kinds.base import Payload, StockMove
from schema.kinds.buying import (
    DeliveryChecked,
    DeliveryLine,
    DraftAnswered,
    OrderClosed,
    OrderDrafted,
    OrderLine,
    OrderPlaced,
    TransferAsked,
)
from schema.kinds.catalogue import ChangeStamp, DocumentChange, RecordSets
from schema.kinds.counting import (
    ClockFixed,
    CountAccepted,
    CountClosed,
    CountOpened,
    CountRecorded,
    EntryVoided,
    Look,
    MovementClassified,
)
from schema.kinds.desk import ActRecorded, FindingSettled, RecountAsked
from schema.kinds.organisation import (
    AuthorityGranted,
    AuthorityRevoked,
    CustomerDefined,
    EntryRecovered,
    FrontierDeclared,
    LocationDefined,
    OpeningBalance,
    OperatorDefined,
    OrganisationFounded,
    PersonForgotten,
    PolicySet,
    ScopeGrant,
    SettingDefined,
)
from schema.kinds.rights import PromiseEnded, PromiseMade, RightGranted, RightMoved
from schema.kinds.stock import (
    GoodsReceived,
    StockAdjusted,
    StockOpened,
    StockRepacked,
    TransferDispatched,
    TransferNoticed,
    TransferReceived,
)
from schema.kinds.tills import (
    BasketParked,
    BasketTaken,
    DrawerOpened,
    LineVoided,
    ProductDrafted,
    SignInRecorded,
    TenderSettled,
)
from schema.kinds.trading import (
    CashMoved,
    DayClosed,
    LineDiscount,
    Refund,
    RefundLine,
    Sale,
    SaleLine,
    ShiftClosed,
    ShiftOpened,
    Tender,
)
from schema.kinds.vans import CreditLimited, SettledLine, SettledMeans, VanSettled

_KEY = bytes(range(32))
_VECTOR = (("abcdefghijkl.1", 12), ("mnopqrstuvwx.2", 7))
_MOVES = (StockMove("11001", -2000), StockMove("18012", -375, "L7", "2026-12-31", "SN1", "shelf"))
_LINES = (
    SaleLine("11001", "", 1000, 2000, 200, 200, 1000, "list", 380, "13", 1300, (LineDiscount("line", "", 20),)),
    SaleLine("18012", "", 1000, 375, 998, 998, 500, "override", 749, "9", 900, (), None, "1012", "散称苹果"),
)

SAMPLES: Mapping[str, Payload] = {
    "sale.completed": Sale(
        "A1-1-000123", "2026-11-22", "A1-2026-11-22", "o1012", _LINES, _MOVES,
        (Tender("cash", 100, 200), Tender("wechat", 1029, 1029, "420000", "unknown")), 1129, 0, "o1013", "p1",
        ("lease_lapsed",), "online-retail:536365",
    ),
    "refund.completed": Refund(
        "A1-1-000124", "2026-11-22", "A1-2026-11-22", "o1012", "loc/A:abcdefghijkl.1:1",
        (RefundLine(0, "11001", "", 1000, 1000, 190, "13", 1300, "shelf", "too many"),), (StockMove("11001", 1000),),
        (Tender("cash", 190),), 190,
    ),
    "shift.opened": ShiftOpened("A1-2026-11-22", "2026-11-22", "o1012", 50000),
    "cash.moved": CashMoved("A1-2026-11-22", "o1012", -2000, "paid_out", "水费", "o1013"),
    "shift.closed": ShiftClosed("A1-2026-11-22", "o1012", 61290, 61300, ((10000, 6), (100, 12), (10, 9))),
    "day.closed": DayClosed("2026-11-22", "o1012", "A1-1-000001", "A1-1-000124", 1129, 190),
    "stock.received": GoodsReceived(
        "D-1", "杭州饮料", "o1012", (StockMove("11001", 24000),), (("11001", 150),), (1, 2)
    ),
    "stock.adjusted": StockAdjusted("wastage", "o1012", (StockMove("19001", -1200),), "", "", None, "烂叶"),
    "stock.repacked": StockRepacked("o1012", (StockMove("11001", -1000), StockMove("11002", 24000))),
    "stock.opened": StockOpened("o1012", (StockMove("11001", 60000),), "opening.csv"),
    "transfer.dispatched": TransferDispatched("T1", "B", "o1012", (StockMove("11001", -24000),), "P7"),
    "transfer.received": TransferReceived("T1", "W", "o1012", (StockMove("11001", 23000),), True, "P7"),
    "transfer.noticed": TransferNoticed(
        "dispatched", "T1", "A", "B", (StockMove("11001", -24000),), False, "loc/A:abcdefghijkl.1:11", _VECTOR
    ),
    "count.recorded": CountRecorded(
        "11001", "clerk", "o1012", (Look(9000, 1, 2, _VECTOR[:1], _VECTOR, "货架"),), "Z1", ("T1",), ("P7",)
    ),
    "count.opened": CountOpened("Z1", ("货架", "后仓"), ("11001",), "o1012"),
    "count.closed": CountClosed("Z1", "o1012"),
    "count.accepted": CountAccepted("11001", "abcdefghijkl.1:14", "supervisor", "o1013", _VECTOR, "我看过"),
    "entry.voided": EntryVoided("abcdefghijkl.1:14", "supervisor", "o1013", _VECTOR),
    "movement.classified": MovementClassified("a.1:1#1", "a.1:14", "BEFORE", "admin", "o1", _VECTOR),
    "clock.fixed": ClockFixed("abcdefghijkl.1", 3, -7_200_000, 260),
    "organisation.founded": OrganisationFounded("好邻居便利店", _KEY),
    "location.defined": LocationDefined("A", "文三店", "shop", (("sale", 600_000),), ("货架",), 7),
    "authority.granted": AuthorityGranted(
        "abcdefghijkl", _KEY, "一号收银", "A", "A1", (ScopeGrant("loc/A", ("trade", "stock"), "supervisor"),)
    ),
    "authority.revoked": AuthorityRevoked("abcdefghijkl", (("loc/A", "abcdefghijkl.1", 124),), "stolen"),
    "policy.set": PolicySet("drinks", 1000, 5000, "latest", "midpoint"),
    "operator.defined": OperatorDefined("o1012", "1012", "supervisor", ("A",), b"\x01\x02"),
    "customer.defined": CustomerDefined("p1", _KEY, "138****1234", b"\x03", "gold"),
    "person.forgotten": PersonForgotten("p1"),
    "frontier.declared": FrontierDeclared((("abcdefghijkl.1", 100, _KEY),)),
    "opening.balance": OpeningBalance((("abcdefghijkl.1", 100, _KEY),), 0, 1, (b"\x91\x01",)),
    "entry.recovered": EntryRecovered("loc/A:abcdefghijkl.1:9", b"\x9b\x01", _KEY, _VECTOR),
    "document.changed": DocumentChange(
        "products/drinks", b"\x85\x6f\x4a\x83", _KEY, ("name",), (RecordSets("11001", (0,), ((0,),)),), (_KEY,),
        ChangeStamp(1, 2, 3, "abcdefghijkl.1", 4),
    ),
    "balance.opened": BalanceOpened("member-points", "M0001", 1200, "o1", "旧系统"),
    "setting.defined": SettingDefined("cash", "A", b'{"step_minor":10}'),
    "balance.moved": BalanceMoved((BalanceMove("member-points", "p1", 12),), "earned", "A1-1-000007", "o1012"),
    "balance.paid": BalancePaid(
        "A1-1-000008", "2026-03-02", "A1-2026-03-02-01", "o1012", "top_up",
        (BalanceMove("member-balance", "p1", 10_000), BalanceMove("member-bonus", "p1", 1_000)),
        (Tender("cash", 10_000, 10_000),), 10_000, "o1", "p1", "储值",
    ),
    "sign_in.recorded": SignInRecorded("o1012", "wrong"),
    "basket.parked": BasketParked("b1", "o1012", "穿红衣的客人", 1990, b"\x91\x01"),
    "basket.taken": BasketTaken("b1", "o1012", "recalled"),
    "drawer.opened": DrawerOpened("A1-2026-03-02-01", "o1012", "change", "o1"),
    "product.drafted": ProductDrafted("6900000000009", "新品", 990, "o1012", "A1-1-000007"),
    "tender.settled": TenderSettled("loc/A:abcdefghijkl.1:9", 0, "confirmed", "o1012", "4200001234"),
    "line.voided": LineVoided("void", "o1012", "11001", 1000, 200, "o1"),
    "act.recorded": ActRecorded("o1", "policy.set", "drinks", "盘点误差太小"),
    "recount.asked": RecountAsked("11001", "o1", "admin", "front", "请再数一遍"),
    "finding.settled": FindingSettled("coupon:C1", 500, "o1", "顾客已退回"),
    "right.granted": RightGranted("11001", 6000, "mnopqrstuvwx.2", "o1", "网店"),
    "promise.made": PromiseMade("p7f3", "11001", 2000, 1772467200000, "o1012", "c1", "W-1001", "六点来取"),
    "promise.ended": PromiseEnded("p7f3", "11001", "fulfilled", "o1012", "A1-1-000007", ""),
    "order.placed": OrderPlaced(
        "PO-A-0001", "S01", "o1", (OrderLine("11001", 24000, 150), OrderLine("19001", 5500)), "2026-11-25", "R-A1-1-9",
        "早上送",
    ),
    "order.closed": OrderClosed("PO-A-0001", "o1", "cancelled", "供应商缺货"),
    "order.drafted": OrderDrafted("R-A1-1-9", "order", "S01", "o1012", (OrderLine("11001", 24000),), "快没了"),
    "draft.answered": DraftAnswered("R-A1-1-9", "o1", "ordered", "PO-A-0001"),
    "transfer.asked": TransferAsked("TR-W-0001", "A", "o1", (OrderLine("11001", 12000),), "R-A1-1-10", "周五前"),
    "delivery.checked": DeliveryChecked(
        "PO-A-0001", "loc/A:abcdefghijkl.1:11", "o1012",
        (DeliveryLine("11001", 24000, 22000, 1000, "missing", "broken"),),
        False, "少一瓶",
    ),
    "van.settled": VanSettled(
        "S-V1-1-88", "loc/V:abcdefghijkl.1:40", "2026-03-02", "o1012", _VECTOR,
        (SettledLine("11001", 24000, 48000, 1000, 0, 0, 30000, 6000, 1000, 1000, 34000, 200),
         SettledLine("11002", 0, 12000, 0, 0, -1000, 0, 0, 0, 0, None)),
        (SettledMeans("cash", 60000, 15000, 200), SettledMeans("account", 32000, 0, 0)), 12, 1, 74800, 74700, 1500,
        900, "o1", "少一瓶",
    ),
    "credit.limited": CreditLimited("p1", 100_000, "o1"),
    "right.moved": RightMoved("11001", 6000, "mnopqrstuvwx.2", "", "", "o1", 1200),
}  # fmt: skip
