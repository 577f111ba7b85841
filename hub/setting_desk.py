"""What the desk shows of settings: what holds at a place, and what a receipt made from a template looks like."""

from __future__ import annotations

from typing import Final

import msgspec

from schema.database import Connection
from schema.errors import RefusalError
from schema.kinds.organisation import SettingDefined
from schema.kinds.trading import LineDiscount, Sale, SaleLine, Tender
from schema.rules.paper import to_text
from schema.rules.promotion_terms import Language
from schema.rules.receipt import ReceiptNames, ReceiptTemplate, receipt_rows
from schema.settings import SETTINGS, Setting, read_setting
from sync.organisation import Organisation

COLUMNS_MAX: Final = 64


class SettingView(msgspec.Struct, frozen=True):
    """A setting as it holds at a place; `is_own` tells that the place has a value of its own."""

    name: str
    location: str
    setting: Setting
    is_own: bool


def view_setting(organisation: Organisation, connection: Connection, name: str, location: str = "") -> SettingView:
    """Return a setting at a location (the chain's where empty); raises RefusalError `setting_unknown`."""
    kind = SETTINGS.get(name)
    if kind is None:
        raise RefusalError("setting_unknown", f"{name!r} is no setting: {', '.join(SETTINGS)}")
    for place in dict.fromkeys((location, "")):
        found = organisation.newest(connection, SettingDefined, f"{name}/{place}")
        if found is not None and found.value:
            return SettingView(name, location, read_setting(kind, found.value), place == location)
    return SettingView(name, location, kind(), False)


def preview_receipt(template: ReceiptTemplate, shop_name: str, phone: str, address: str) -> str:
    """Lay a made-up sale out with a template: what the paper will look like."""
    lines = (
        SaleLine("11006", "", 1000, 2000, 350, 350, 1000, "list", 600, "13", 1300,
                 (LineDiscount("promotion", "P1", 100),)),
        SaleLine("21001", "", 1000, 1256, 1280, 1280, 1000, "label", 1608, "9", 900),
    )  # fmt: skip
    sale = Sale(
        "A1-1-000128", "2026-03-02", "A1-2026-03-02-01", "o1", lines, (), (Tender("cash", 2200, 3000),), 2200, 8, "",
        "p1",
    )  # fmt: skip
    zh = template.language is Language.ZH
    names = ReceiptNames(
        shop_name=shop_name, shop_phone=phone, shop_address=address, time="2026-03-02 18:05", till="A1",
        operator="1001", member="138****1234", points_earned=22, points=1280,
        products={"11006": "可口可乐 330ml" if zh else "Cola 330 ml", "21001": "红富士苹果" if zh else "Fuji apples"},
        units={"21001": "kg"}, promotions={"P1": "第二件减1元" if zh else "1 off the second"},
        refund_code="A1-1-000128",
    )  # fmt: skip
    return "\n".join(to_text(receipt_rows(sale, template, names), template.columns))
