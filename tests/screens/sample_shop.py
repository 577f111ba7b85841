"""Makes a till of the sample chain whose day is the same whenever it is run: fixed keys, a clock that stands."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from edge.clock_source import ScriptedClock
from edge.node import Node
from schema import sample
from schema.catalogue import PriceStep, Product, UnitFactor
from schema.identity import LocationId, ProductId
from schema.kinds.organisation import LocationDefined, SettingDefined
from schema.settings import write_setting
from sync.clock import ClockReading
from tests.edge.goods import promote, teach_products
from tests.edge.people import Person, employ
from tests.edge.shops import Shops

SHOP: Final = LocationId("A")
MORNING: Final = "2026-03-02T10:24:00+08:00"
PEOPLE: Final = tuple(
    Person(one.code, one.name, one.role.value, one.pin) for one in sample.operators() if one.location == SHOP
)


class StillClock(ScriptedClock):
    """A clock that shows one moment until it is moved."""

    def __init__(self, at: str = MORNING) -> None:
        super().__init__(0, boot_id="still")
        self._now_ms = int(datetime.fromisoformat(at).timestamp() * 1000)

    def pass_minutes(self, minutes: int) -> None:
        """Let time pass."""
        self._now_ms += minutes * 60_000

    def __call__(self) -> ClockReading:
        """Read the moment."""
        return ClockReading(self._now_ms, self._now_ms, "still")


def sample_till(folder: Path, clock: StillClock) -> tuple[Shops, Node]:
    """Make a till of the sample chain's first shop: its goods, promotions, people and settings."""
    shops = Shops(folder)
    shops.tell(*(LocationDefined(one.code, one.name, one.kind) for one in sample.locations()))
    node = shops.make_node(clock=lambda: clock)
    goods: list[Product] = []
    prices: dict[str, dict[str, tuple[PriceStep, ...]]] = {}
    for row in sample.catalogue():
        codes = tuple((code, row.unit.value) for code in row.barcodes)
        units = tuple(UnitFactor(unit.name, unit.factor_milli) for unit in row.units)
        goods.append(
            Product(
                code=ProductId(row.code), category=row.category, name=row.name, spec=row.spec, unit=row.unit.value,
                unit_name=row.unit_name, tax_class=row.tax_class.value, is_weighed=row.is_weighed,
                article=row.article, units=units, barcodes=codes,
            )
        )  # fmt: skip
        if row.price_minor is not None:
            prices[row.code] = {row.unit.value: (PriceStep(0, None, row.price_minor, row.price_per.milli),)}
    teach_products(node, goods, prices)
    promote(node, *sample.promotions())
    for location, one in sample.settings():
        name, value = write_setting(one)
        shops.tell(SettingDefined(name, location, value))
    employ(shops, *PEOPLE)
    return shops, node
