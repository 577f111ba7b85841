"""Owns the settings that the hub gives to tills: typed, with defaults, read from the JSON of `setting.defined`.

Each setting is one value per chain, or per location where one is defined there. A value that cannot be read counts as
absent, so that no edit at the hub can stop a till; the hub refuses to define one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, TypeVar

import msgspec

from schema.errors import RefusalError
from schema.identity import is_category, is_code
from schema.rows import StaffRole
from schema.rules.barcode_layouts import DEFAULT_LAYOUTS, BarcodeLayout, BarcodeLayouts
from schema.rules.receipt import ReceiptTemplate
from schema.rules.rounding import Rounding

UNLIMITED: Final = 1_000_000_000_000
STOPS_MAX: Final = 200
NAME_CHARS_MAX: Final = 40


class Setting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every setting: all fields have defaults, amounts are minor units, shares parts per million."""


class Limits(Setting, frozen=True, kw_only=True):
    """What one role may do without a second person; zero means never."""

    discount_ppm: int = 0
    """The share of a line or basket that may be given away by hand."""
    rounding_minor: int = 0
    """抹零: the most that may be dropped of a basket."""
    override_ppm: int = 0
    """How far below the list price a keyed price may be."""
    gift_minor: int = 0
    refund_minor: int = 0
    """The most that may be refunded against a receipt."""
    unreceipted_refund_minor: int = 0
    void_minor: int = UNLIMITED
    """The greatest line that may be taken out of a basket."""
    opens_drawer: bool = False
    pays_out_minor: int = 0
    sees_cost: bool = False
    adjusts_minor: int = 0
    """The value of stock that may be adjusted."""
    approves: bool = False
    """May allow others, with a PIN of their own, what their limits do not."""


_CLERK: Final = Limits(discount_ppm=0, rounding_minor=99, override_ppm=0, refund_minor=20_000)
_SENIOR: Final = Limits(
    discount_ppm=300_000, rounding_minor=999, override_ppm=300_000, gift_minor=10_000, refund_minor=200_000,
    unreceipted_refund_minor=50_000, opens_drawer=True, pays_out_minor=50_000, sees_cost=True, adjusts_minor=100_000,
    approves=True,
)  # fmt: skip
_ALL: Final = Limits(
    discount_ppm=1_000_000, rounding_minor=UNLIMITED, override_ppm=1_000_000, gift_minor=UNLIMITED,
    refund_minor=UNLIMITED, unreceipted_refund_minor=UNLIMITED, opens_drawer=True, pays_out_minor=UNLIMITED,
    sees_cost=True, adjusts_minor=UNLIMITED, approves=True,
)  # fmt: skip


_ROLES: Final[Mapping[StaffRole, Limits]] = {
    StaffRole.CASHIER: _CLERK,
    StaffRole.DRIVER: _CLERK,
    StaffRole.STOCK_KEEPER: _CLERK,
    StaffRole.AUDITOR: Limits(),
    StaffRole.SUPERVISOR: _SENIOR,
    StaffRole.SHOP_MANAGER: _ALL,
    StaffRole.ADMINISTRATOR: _ALL,
    StaffRole.OWNER: _ALL,
}


class RoleLimits(Setting, frozen=True, kw_only=True):
    """The limits of every role."""

    roles: Mapping[StaffRole, Limits] = msgspec.field(default_factory=lambda: _ROLES)

    def of(self, role: str) -> Limits:
        """Return the limits of a role; a role that is not listed may do nothing special."""
        return self.roles.get(StaffRole(role), Limits()) if role in set(StaffRole) else Limits()


class CashRules(Setting, frozen=True, kw_only=True):
    """How cash is taken: the step that a cash total is rounded to (1: none), and which way; the steps of 抹零."""

    step_minor: int = 1
    rounding: Rounding = Rounding.HALF_UP
    drop_steps_minor: tuple[int, ...] = (10, 100)


MEANS: Final = ("cash", "wechat", "alipay", "card", "account", "stored", "points", "gift_card")
"""The ways to pay that a till knows, in the order in which it offers them."""


class TillRules(Setting, frozen=True, kw_only=True):
    """How a till behaves: scans, keys, and what it offers. `keys` renames actions' keys (action to key)."""

    same_scan_guard_ms: int = 0
    """A second scan of one code within this time is asked about; zero: never."""
    expiry_warning_days: int = 3
    means: tuple[str, ...] = tuple(one for one in MEANS if one != "gift_card")
    wrong_pins_max: int = 5
    lockout_minutes: int = 15
    lock_after_minutes: int = 10
    prints_receipts: bool = True
    opens_drawer_for_cash: bool = True
    counts_blind: bool = True
    """Whoever counts the drawer does not see first what it should hold."""
    keys: Mapping[str, str] = {}
    layouts: tuple[BarcodeLayout, ...] = DEFAULT_LAYOUTS

    def __post_init__(self) -> None:
        BarcodeLayouts(self.layouts)


class LoyaltyRules(Setting, frozen=True, kw_only=True):
    """Points and stored value: what earns, what a point is worth, and how much may be spent while offline.

    `earn_minor` is the amount that earns one point (zero: none); `point_minor` what one point pays. `bonuses` are
    (top-up from, bonus) in minor units: the highest that is reached counts.
    """

    earn_minor: int = 100
    point_minor: int = 1
    bonuses: tuple[tuple[int, int], ...] = ()
    offline_stored_minor_max: int = 20_000
    """Spending of stored value with a balance older than `balance_fresh_minutes`."""
    offline_points_max: int = 2_000
    credit_limit_minor: int = 0
    """What a customer may owe where the customer has no limit of their own."""
    balance_fresh_minutes: int = 60


class StockRules(Setting, frozen=True, kw_only=True):
    """What the lists of stock that needs a person show."""

    expiring_days: int = 14
    """Goods that expire within so many days."""
    uncounted_days: int = 90
    """Goods that nobody counted for more days than these."""


class PriceRules(Setting, frozen=True, kw_only=True):
    """Which price list a location sells at, empty for the standard one; the locations that name one are its group.

    What that list has no price for now is sold at the standard list's.
    """

    price_list: str = ""

    def __post_init__(self) -> None:
        if self.price_list and not is_code(self.price_list):
            raise ValueError("a price list's code has letters, digits and hyphens alone")


class ElsewhereRules(Setting, frozen=True, kw_only=True):
    """How often tills are told what changed elsewhere, where anything did; of the whole chain.

    With every eight locations the times grow by as much again, so that a till's line carries as much as before.
    """

    balance_seconds: int = 15
    stock_minutes: int = 5


class ShopCard(Setting, frozen=True, kw_only=True):
    """What stands on paper beside the location's name; `invoice_url` is the address of 开票, empty where unused."""

    name: str = ""
    phone: str = ""
    address: str = ""
    invoice_url: str = ""


class CountRules(Setting, frozen=True, kw_only=True):
    """How stock is counted: blind or not, and which variances a second person counts again (all quantities milli)."""

    is_blind: bool = True
    """Whoever counts does not see what the book holds before it is recorded."""
    tolerance_milli: int = 1_000
    tolerance_ppm: int = 10_000
    """A variance up to either is let be: a piece, or a hundredth."""
    weighed_tolerance_milli: int = 50
    weighed_tolerance_ppm: int = 10_000
    """The same of weighed goods, in grams."""
    recount_value_minor: int = 5_000
    """Variances worth no more than this are not counted again."""
    cycle_products: int = 30
    """How many goods a day's cycle count has."""
    record_after_seconds: int = 120
    """A line that nobody has touched for so long is recorded, so that the other tills see it."""


class ReceiptForm(Setting, frozen=True, kw_only=True):
    """The shop's receipt."""

    template: ReceiptTemplate = ReceiptTemplate()


class RouteStop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A customer on a van's route, by the person's random id; `note` tells the driver what to know there."""

    person: str
    note: str = ""


class RouteRules(Setting, frozen=True, kw_only=True):
    """A van's day: its customers in the order of its stops, and the warehouse that it loads from."""

    stops: tuple[RouteStop, ...] = ()
    warehouse: str = ""

    def __post_init__(self) -> None:
        people = [stop.person for stop in self.stops]
        if len(people) > STOPS_MAX or len(set(people)) != len(people):
            raise ValueError(f"a route has at most {STOPS_MAX} stops, and each customer once")


class CarryRules(Setting, frozen=True, kw_only=True):
    """Whether tills hand what they recorded, sealed to the hub, to vans on their network; `vans` names which may.

    Every van of the organisation may where none is named.
    """

    hands_out: bool = True
    vans: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.vans) > STOPS_MAX or not all(is_code(van) for van in self.vans):
            raise ValueError("vans are named by their locations' codes")


class CategoryNames(Setting, frozen=True, kw_only=True):
    """What people call categories; one that nobody named is called by its code."""

    names: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        if any(not (is_category(code) and 0 < len(name) <= NAME_CHARS_MAX) for code, name in self.names.items()):
            raise ValueError("a category's name has at most 40 characters")

    def of(self, category: str) -> str:
        """Return what a category is called."""
        return self.names.get(category, category)


SETTINGS: Final[Mapping[str, type[Setting]]] = {
    "limits": RoleLimits,
    "cash": CashRules,
    "till": TillRules,
    "loyalty": LoyaltyRules,
    "prices": PriceRules,
    "elsewhere": ElsewhereRules,
    "stock": StockRules,
    "shop": ShopCard,
    "receipt": ReceiptForm,
    "count": CountRules,
    "route": RouteRules,
    "carry": CarryRules,
    "categories": CategoryNames,
}
NAME_OF: Final[Mapping[type[Setting], str]] = {setting: name for name, setting in SETTINGS.items()}
SettingT = TypeVar("SettingT", bound=Setting)


class Written(NamedTuple):
    """A setting as an entry holds it."""

    name: str
    value: bytes


def write_setting(setting: Setting) -> Written:
    """Write a setting as its entry's name and value."""
    return Written(NAME_OF[type(setting)], msgspec.json.encode(setting))


def read_setting(kind: type[SettingT], value: bytes | None) -> SettingT:
    """Read a setting's value; its defaults where there is none that can be read."""
    if value is None:
        return kind()
    try:
        return msgspec.json.decode(value, type=kind)
    except (msgspec.MsgspecError, ValueError):
        return kind()


def check_setting(name: str, value: bytes) -> Setting:
    """Read what an administrator defines; raises RefusalError `setting_unknown` or `setting_invalid`."""
    kind = SETTINGS.get(name)
    if kind is None:
        raise RefusalError("setting_unknown", f"{name!r} is no setting: {', '.join(SETTINGS)}")
    try:
        return msgspec.json.decode(value, type=kind)
    except (msgspec.MsgspecError, ValueError) as error:
        raise RefusalError("setting_invalid", f"setting {name}: {error}", reason=str(error)) from None
