"""Imports files at the hub: what was read and checked becomes entries in one operation, or nothing does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hub.customers import known_customers, people_by_code, people_by_hash, record_customer
from hub.imports import Existing, Finding, ImportDefaults, Imported, ImportKind, check_import
from hub.operators import make_verifier, record_operator
from hub.setting_desk import view_setting
from schema import sample
from schema.catalogue import PriceStep, Product, UnitFactor
from schema.errors import RefusalError
from schema.files import read_given
from schema.identity import ORG, LocationId, ProductId, Scope, Stream, location_scope
from schema.kinds.balances import BalanceOpened
from schema.kinds.base import StockMove
from schema.kinds.organisation import LocationDefined, OperatorDefined, PolicySet, SettingDefined
from schema.kinds.stock import StockOpened
from schema.rows import (
    OF_PEOPLE,
    BaseUnit,
    CustomerRow,
    OpeningBalanceRow,
    OpeningStockRow,
    OperatorRow,
    PriceRow,
    ProductRow,
    PromotionRow,
    Row,
)
from schema.rules.rounding import PricePer, line_amount
from schema.settings import CategoryNames, write_setting
from schema.tabular import read_table
from sync.catalogue_edits import CatalogueEdit, edit_document, products_here
from sync.document_projection import read_document
from sync.replica import Moment, Replica

if TYPE_CHECKING:
    from hub.service import Hub

FILE_BYTES_MAX = 64 * 1024 * 1024
_MOVES_PER_ENTRY = 500
PROMOTIONS_DOCUMENT = "promotions/standard"
Progress = Callable[[int, int], None]
"""Called with rows done and rows in all."""


class ImportSummary(msgspec.Struct, frozen=True):
    """What an import did: rows read, taken and left out, entries appended, the columns used, and every finding."""

    kind: str
    rows: int
    taken: int
    skipped: int
    entries: int
    columns: Mapping[str, str]
    findings: tuple[Finding, ...]


def read_existing(replica: Replica) -> Existing:
    """Return what the organisation has, against which a file is checked."""
    connection, organisation = replica.connection, replica.organisation
    products: dict[str, BaseUnit] = {}
    units: dict[str, frozenset[str]] = {}
    barcodes: dict[str, str] = {}
    for product in products_here(connection):
        products[product.code] = BaseUnit(product.unit) if product.unit in set(BaseUnit) else BaseUnit.PIECE
        units[product.code] = frozenset({product.unit, product.unit_name, *(u.unit for u in product.units)})
        barcodes |= dict.fromkeys((code for code, _ in product.barcodes), product.code)
    customers = known_customers(replica)
    called = view_setting(organisation, connection, "categories").setting
    assert isinstance(called, CategoryNames)
    return Existing(
        products=products,
        barcodes=barcodes,
        units=units,
        customers=frozenset(customers),
        phones=frozenset(phone for phone in customers.values() if phone),
        operators=frozenset(o.number for o in organisation.newest_each(connection, OperatorDefined).values()),
        promotions=frozenset(read_document(connection, PROMOTIONS_DOCUMENT).records()),
        locations=frozenset(organisation.newest_each(connection, LocationDefined)),
        category_names={name: code for code, name in called.names.items()},
    )


def preview(hub: Hub, kind: ImportKind, path: Path, **settings: object) -> Imported:
    """Read and check a file against what the organisation has; raises RefusalError with every finding."""
    content = read_given(path)
    if len(content) > FILE_BYTES_MAX:
        raise RefusalError("file_too_large", f"{path} is larger than 64 MB: split it")
    overrides = settings.get("overrides") or {}
    assert isinstance(overrides, Mapping)
    with hub.store.snapshot() as replica:
        return preview_content(
            replica, kind, path.name, content, overrides=overrides, location=str(settings.get("location") or ""),
            skip_bad_rows=bool(settings.get("skip_bad_rows")),
        )  # fmt: skip


def preview_content(
    replica: Replica,
    kind: ImportKind,
    name: str,
    content: bytes,
    *,
    overrides: Mapping[str, str] | None = None,
    location: str = "",
    skip_bad_rows: bool = False,
) -> Imported:
    """Read and check a file's bytes against what the organisation has; raises RefusalError with every finding."""
    return check_import(
        kind, read_table(name, content), read_existing(replica), overrides=overrides or {},
        defaults=ImportDefaults(location=location), skip_bad_rows=skip_bad_rows,
    )  # fmt: skip


def append_import(hub: Hub, imported: Imported, *, operator: str = "", document: str = "") -> int:
    """Append the rows of a checked file as one operation in one transaction; returns the entries."""
    return append_rows(hub, imported.rows, operator=operator, document=document)


def append_rows(hub: Hub, rows: Sequence[Row], *, operator: str = "", document: str = "") -> int:
    """Append typed rows as one operation in one transaction; returns the entries."""
    if not rows:
        return 0
    verifiers = verifiers_of(rows)
    with hub.store.transaction(ORG) as replica:
        return append_checked(hub, replica, rows, operator=operator, document=document, verifiers=verifiers)


def verifiers_of(rows: Iterable[Row]) -> dict[str, str]:
    """Make the PIN verifiers of operators' rows: a tenth of a second each, so before any transaction begins."""
    return {row.code: make_verifier(row.pin) for row in rows if isinstance(row, OperatorRow)}


def append_checked(
    hub: Hub, replica: Replica, rows: Iterable[Row], *, operator: str, document: str, verifiers: Mapping[str, str]
) -> int:
    """Append typed rows in the caller's transaction of `org`; returns the entries."""
    return _Writer(hub, replica, operator, document, verifiers).append(rows)


class _Writer:
    def __init__(self, hub: Hub, replica: Replica, operator: str, document: str, verifiers: Mapping[str, str]) -> None:
        self._replica = replica
        self._own_log = hub.own_log
        self._verifiers = verifiers
        self._incarnation = hub.own_log.incarnation(replica.connection)
        self._node = hub.identity.node
        self._moment = Moment(hub.now_ms(), 0, 0)
        self._operator = operator
        self._document = document

    def _stream(self, scope: Scope = ORG) -> Stream:
        return Stream(scope, self._node, self._incarnation)

    def append(self, rows: Iterable[Row]) -> int:
        catalogue = CatalogueEdit(self._replica, self._stream(), self._moment, is_bulk=True)
        promotions: dict[tuple[str, str], str] = {}
        stock: dict[str, list[StockMove]] = {}
        entries = 0
        for row in rows:
            match row:
                case ProductRow():
                    self._put_product(catalogue, row)
                case PriceRow():
                    self._put_price(catalogue, row)
                case PromotionRow():
                    promotions[row.code, "terms"] = msgspec.json.encode(row).decode()
                case OpeningStockRow():
                    stock.setdefault(row.location, []).append(
                        StockMove(row.product, row.quantity_milli, row.lot, row.expiry)
                    )
                case OpeningBalanceRow():
                    subject = self._people.get(row.subject, row.subject) if row.kind in OF_PEOPLE else row.subject
                    payload = BalanceOpened(row.kind.value, subject, row.amount, self._operator, row.note)
                    self._replica.append(self._stream(), payload, self._moment)
                    entries += 1
                case OperatorRow():
                    record_operator(
                        self._replica, self._own_log, number=row.code, name=row.name, role=row.role.value,
                        locations=(row.location,), verifier=self._verifiers[row.code],
                    )  # fmt: skip
                    entries += 1
                case CustomerRow():
                    record_customer(self._replica, self._own_log, row, self._people_by_hash)
                    entries += 1
        entries += len(catalogue.append())
        if promotions:
            entries += len(edit_document(self._replica, self._stream(), self._moment, PROMOTIONS_DOCUMENT, promotions))
        for location in sorted(stock):
            entries += self._open_stock(location, stock[location])
        return entries

    def _open_stock(self, location: str, moves: list[StockMove]) -> int:
        parts = [moves[start : start + _MOVES_PER_ENTRY] for start in range(0, len(moves), _MOVES_PER_ENTRY)]
        for part in parts:
            payload = StockOpened(self._operator, tuple(part), self._document)
            self._replica.append(self._stream(location_scope(LocationId(location))), payload, self._moment)
        return len(parts)

    @staticmethod
    def _put_product(catalogue: CatalogueEdit, row: ProductRow) -> None:
        units = tuple(UnitFactor(u.name, u.factor_milli) for u in row.units)
        barcodes = [(code, row.unit.value) for code in row.barcodes]
        barcodes += [(code, u.name) for u in row.units for code in u.barcodes]
        # What the file says nothing of stays: a list of prices turns no kit into a bottle.
        known = catalogue.known(row.code)
        deposits, is_deposit = row.deposits, row.is_deposit
        if known is not None:
            deposits = known.deposits if deposits is None else deposits
            is_deposit = known.is_deposit if is_deposit is None else is_deposit
        catalogue.put_product(
            Product(
                code=row.code,
                category=row.category or "other",
                name=row.name,
                unit=row.unit.value,
                unit_name=row.unit_name,
                spec=row.spec,
                tax_class=row.tax_class.value,
                is_weighed=row.is_weighed,
                article=row.article,
                units=units,
                barcodes=tuple(barcodes),
                parts=known.parts if known is not None else (),
                deposits=deposits or (),
                is_deposit=bool(is_deposit),
            )
        )
        if row.price_minor is None:
            return
        catalogue.put_price(row.code, row.unit.value, PriceStep(0, None, row.price_minor, row.price_per.milli))
        for unit in row.units:
            price = unit.price_minor
            if price is None:
                price = line_amount(row.price_minor, unit.factor_milli, row.price_per)
            catalogue.put_price(row.code, unit.name, PriceStep(0, None, price))

    def _put_price(self, catalogue: CatalogueEdit, row: PriceRow) -> None:
        product = self._products.get(row.product)
        unit = row.unit or (product.unit if product else BaseUnit.PIECE.value)
        if product is not None and unit == product.unit_name:
            unit = product.unit
        start_ms = self._moment.wall_ms if row.valid_from_ms is None else row.valid_from_ms
        per = row.price_per if unit == BaseUnit.KILOGRAM.value else PricePer.PIECE
        step = PriceStep(start_ms, row.valid_until_ms, row.price_minor, per.milli, row.tier)
        catalogue.put_price(ProductId(row.product), unit, step)

    @cached_property
    def _people_by_hash(self) -> dict[bytes, str]:
        return people_by_hash(self._replica)

    @cached_property
    def _people(self) -> dict[str, str]:
        return people_by_code(self._replica)

    @cached_property
    def _products(self) -> dict[str, Product]:
        return {product.code: product for product in products_here(self._replica.connection)}


def found_sample(hub: Hub) -> int:
    """Give a newly founded organisation the sample chain's policies, goods, people and stock; returns the entries."""
    policies = [
        PolicySet(c.code, c.tolerance_milli, c.tolerance_ppm, c.disagreement, c.ambiguous, _step(c.code))
        for c in sample.categories()
    ]
    with hub.store.transaction(ORG) as replica:
        for policy in policies:
            hub.own_log.append(replica, ORG, policy)
        for location, setting in sample.settings():
            name, value = write_setting(setting)
            hub.own_log.append(replica, ORG, SettingDefined(name, location, value))
    rows: list[Row] = [
        *sample.catalogue(), *sample.promotions(), *sample.operators(), *sample.customers(),
        *sample.opening_balances(), *sample.opening_stock(),
    ]  # fmt: skip
    return len(policies) + len(sample.settings()) + append_rows(hub, rows, document="sample")


def _step(category: str) -> int:
    """Return the step to which an average is floored: a gram where goods of the category are weighed."""
    return 1 if any(row.is_weighed for row in sample.catalogue() if row.category == category) else 1000
