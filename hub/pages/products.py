"""The pages of the catalogue: products found and edited, prices set for now and for later, edits that met settled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hub.accounts import Right
from hub.catalogue import (
    CatalogueDesk,
    ProductView,
    UnitPrices,
    current_prices,
    price_lists,
    view_product,
)
from hub.pages.catalogue_conflicts import shown_conflicts
from hub.pages.forms import Form
from hub.pages.visits import Answer, Routes, Visit
from hub.product_index import categories, find_products
from schema.amounts import format_quantity, parse_quantity
from schema.catalogue import DEFAULT_LIST, Deposit, KitPart, PriceStep, Product, Scalar, UnitFactor
from schema.errors import RefusalError
from schema.identity import ORG, ProductId
from schema.rules.rounding import PricePer
from schema.rules.tax import TaxClass
from sync.document_projection import document_conflicts

routes = Routes()
_FIELD_OF = {
    "product_code": "code", "product_exists": "code", "category_invalid": "category", "product_name": "name",
    "tax_class_unknown": "tax", "units_invalid": "units", "factor_invalid": "units", "fiscal_code": "fiscal",
    "minimum_invalid": "minimum", "barcode_taken": "barcodes", "barcode_invalid": "barcodes",
    "barcode_twice": "barcodes", "kit_part": "parts", "deposit_article": "deposits",
    "unit_unknown": "barcodes", "price_invalid": "price",
    "price_past": "from", "price_window": "until", "price_per": "per", "price_list_invalid": "list",
}  # fmt: skip
"""Beside which field a refusal stands."""
_PERS = (("1000", "piece"), ("500", "jin"), ("100", "hectogram"))
_STAY_MS = 60_000


@routes.get("/products", Right.READ)
def products(visit: Visit) -> Answer:
    """List products; each word of the search must be found in name, code, pinyin or barcode."""
    text, category = visit.query.text("search"), visit.query.text("category")
    with_inactive = bool(visit.query.text("all"))
    page = visit.paging()
    with visit.read() as replica:
        connection = replica.connection
        rows = page.cut(
            find_products(
                connection, text, category=category, with_inactive=with_inactive, offset=page.offset,
                limit=page.size + 1,
            )
        )  # fmt: skip
        prices = current_prices(connection, [row.code for row in rows], visit.now_ms)
        found = categories(connection)
        conflicts = len(document_conflicts(connection))
    return visit.render(
        "products.html", rows=rows, prices=prices, page=page, search=text, category=category,
        categories=[(c.category, f"{visit.category_name(c.category)} ({c.products})") for c in found],
        all=with_inactive,
        total=sum(c.products for c in found), conflicts=conflicts,
    )  # fmt: skip


@routes.get("/products/{code:str}", Right.READ)
def product(visit: Visit) -> Answer:
    """Show a product with its prices, those to come included."""
    return _product_page(visit, visit.form, 200)


def _product_page(visit: Visit, form: Form, status: int) -> Answer:
    with visit.read() as replica:
        view = view_product(replica.connection, visit.params["code"])
        lists = price_lists(replica.connection)
        clashes = shown_conflicts(visit, replica, view.conflicts)
    form.fill({"unit": view.product.unit, "list": DEFAULT_LIST, "per": "1000"})
    units = [(view.product.unit, view.product.unit_name), *((u.unit, u.unit) for u in view.product.units)]
    return visit.render(
        "product.html", status=status, view=view, form=form, lists=[(name, name) for name in lists], units=units,
        pers=[(milli, visit.t(f"per.{name}")) for milli, name in _PERS], timeline=_timeline(view, visit.now_ms),
        clashes=clashes,
    )  # fmt: skip


def _timeline(view: ProductView, now_ms: int) -> list[tuple[UnitPrices, PriceStep, str]]:
    """Return every price with its state: now, scheduled, or past; what holds and what comes stands first."""
    rows: list[tuple[int, int, UnitPrices, PriceStep, str]] = []
    for prices in view.prices:
        current = prices.current(now_ms)
        for step in prices.steps:
            if step.from_ms > now_ms:
                rows.append((1, step.from_ms, prices, step, "scheduled"))
            elif step is current or (step.tier and (step.until_ms is None or step.until_ms > now_ms)):
                rows.append((0, 0, prices, step, "now"))
            else:
                rows.append((2, -step.from_ms, prices, step, "past"))
    rows.sort(key=lambda row: (row[0], row[1], row[2].price_list, row[2].unit))
    return [(prices, step, state) for _, _, prices, step, state in rows[:60]]


@routes.get("/product-new", Right.CATALOGUE)
def new_product(visit: Visit) -> Answer:
    """Ask for a new product; a draft that a till made fills the form."""
    visit.form.fill(
        {
            "unit": "pc", "unit_name": "件", "tax": "13", "barcodes": visit.query.text("barcode"),
            "name": visit.query.text("name"), "price": visit.query.text("price"),
        }
    )  # fmt: skip
    return _form_page(visit, None, 200)


@routes.get("/products/{code:str}/edit", Right.CATALOGUE)
def edit_product(visit: Visit) -> Answer:
    """Show a product's form."""
    with visit.read() as replica:
        view = view_product(replica.connection, visit.params["code"])
    visit.form.fill(_filled(view))
    return _form_page(visit, view, 200)


def _filled(view: ProductView) -> Mapping[str, str]:
    known = view.product
    extras = {name: str(value) for name, value in view.extras.items() if isinstance(value, str | int)}
    minimum = view.extras.get("minimum")
    if isinstance(minimum, int):
        extras["minimum"] = format_quantity(minimum)
    return {
        "code": known.code, "name": known.name, "category": known.category, "unit": known.unit,
        "unit_name": known.unit_name, "spec": known.spec, "tax": known.tax_class,
        "weighed": "1" if known.is_weighed else "", "article": known.article, "active": "1" if known.is_active else "",
        "units": "\n".join(f"{u.unit} {format_quantity(u.factor_milli)}" for u in known.units),
        "barcodes": "\n".join(code if unit == known.unit else f"{code} {unit}" for code, unit in known.barcodes),
        "parts": "\n".join(f"{p.product} {format_quantity(p.quantity_milli)}" for p in known.parts),
        "deposits": "\n".join(
            f"{d.product} {format_quantity(d.quantity_milli)} {d.unit}".rstrip() for d in known.deposits
        ),
        "deposit": "1" if known.is_deposit else "", **extras,
    }  # fmt: skip


def _form_page(visit: Visit, view: ProductView | None, status: int, *, fresh: ProductView | None = None) -> Answer:
    with visit.read() as replica:
        known = [c.category for c in categories(replica.connection)]
    shown = fresh or view
    return visit.render(
        "product_form.html", status=status, view=view, fresh=fresh, categories=known,
        version=shown.version if shown else "",
        taxes=[(c.value, visit.t(f"tax.{c.value}")) for c in TaxClass], differences=_differences(visit, fresh),
    )  # fmt: skip


def _differences(visit: Visit, fresh: ProductView | None) -> list[tuple[str, str, str]]:
    """Return (field, what stands now, what was typed) for each field that differs: what a stale form must decide."""
    if fresh is None:
        return []
    now = _filled(fresh)
    typed = {name: visit.form.shown(name) for name in now}
    return [(name, now[name], typed[name]) for name in now if name != "code" and now[name] != typed[name]]


@routes.post("/product-new", Right.CATALOGUE)
def add_product(visit: Visit) -> Answer:
    """Define a product, with its first price where one was typed."""
    form = visit.form
    code = form.code("code")
    known, extras = _read(form, code, form.category("category"))
    price_minor = form.money("price", is_required=False)
    if form.is_valid:
        try:
            with visit.change(ORG, "product.add", code) as change:
                desk = CatalogueDesk(change.replica, change.own_log)
                desk.add_product(known, extras)
                if form.text("price"):
                    desk.set_price(code, known.unit, PriceStep(visit.now_ms, None, price_minor))
            return visit.redirect(f"/products/{code}", done="done.product_added")
        except RefusalError as error:
            form.refuse(error, _FIELD_OF.get(error.code, ""))
    return _form_page(visit, None, 422)


@routes.post("/products/{code:str}/edit", Right.CATALOGUE)
def save_product(visit: Visit) -> Answer:
    """Save a product; where someone changed it meanwhile both versions are shown side by side."""
    form, code = visit.form, visit.params["code"]
    fresh: ProductView | None = None
    with visit.read() as replica:
        view = view_product(replica.connection, code)
    known, extras = _read(form, code, view.product.category)
    if form.is_valid:
        try:
            with visit.change(ORG, "product.change", code) as change:
                CatalogueDesk(change.replica, change.own_log).change_product(known, extras, form.text("version"))
            return visit.redirect(f"/products/{code}", done="done.product_saved")
        except RefusalError as error:
            form.refuse(error, _FIELD_OF.get(error.code, ""))
            if error.code == "record_changed":
                fresh = view
    return _form_page(visit, view, 409 if fresh else 422, fresh=fresh)


def _read(form: Form, code: str, category: str) -> tuple[Product, dict[str, Scalar]]:
    """Read the product that a form describes, and the fields that only the desk keeps."""
    unit = form.code("unit")
    parts = tuple(KitPart(part, many) for part, many in _quantity_rows(form, "parts", "product.parts_malformed"))
    units = tuple(UnitFactor(name, factor) for name, factor in _quantity_rows(form, "units", "product.units_malformed"))
    barcodes = tuple((words[0], words[1] if len(words) > 1 else unit) for words in _rows(form, "barcodes", 2))
    known = Product(
        code=ProductId(code), category=category, name=form.required("name"), unit=unit,
        unit_name=form.required("unit_name", characters_max=20), spec=form.required("spec", is_required=False),
        tax_class=form.one_of("tax", set(TaxClass)), is_weighed=form.flag("weighed"),
        article=form.required("article", is_required=False, characters_max=20), is_active=form.flag("active"),
        units=units, barcodes=barcodes, parts=parts, deposits=_deposits(form), is_deposit=form.flag("deposit"),
    )  # fmt: skip
    extras: dict[str, Scalar] = {}
    for name, length in (("fiscal", 19), ("supplier", 100), ("brand", 100), ("origin", 100)):
        extras[name] = form.required(name, is_required=False, characters_max=length) or None
    extras["minimum"] = form.quantity("minimum", is_required=False) or None
    extras["shelf_days"] = form.whole("shelf_days", is_required=False, highest=36_500) or None
    return known, extras


def _deposits(form: Form) -> tuple[Deposit, ...]:
    """Read lines of an article, how many of it, and the unit that it is charged with where that is not the base."""
    found = []
    for words in _rows(form, "deposits", 3):
        try:
            quantity = int(parse_quantity(words[1])) if len(words) > 1 else 1000
        except ValueError:
            quantity = 0
        if quantity > 0:
            found.append(Deposit(words[0], quantity, words[2] if len(words) > 2 else ""))
        else:
            form.wrong("deposits", "product.deposits_malformed", line=" ".join(words)[:60])
    return tuple(found)


def _quantity_rows(form: Form, name: str, wrong: str) -> list[tuple[str, int]]:
    """Read lines of a name and a quantity; those that cannot be read are noted with the text `wrong`."""
    found: list[tuple[str, int]] = []
    for words in _rows(form, name, 2):
        try:
            quantity = int(parse_quantity(words[1]))
        except (ValueError, IndexError):
            quantity = 0
        if quantity > 0:
            found.append((words[0], quantity))
        else:
            form.wrong(name, wrong, line=" ".join(words)[:60])
    return found


def _rows(form: Form, name: str, words_max: int) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [line.split() for line in form.shown(name).splitlines() if line.strip()]
    for words in rows:
        if len(words) > words_max:
            form.wrong(name, "product.line_malformed", line=" ".join(words)[:60])
    return rows


@routes.post("/products/{code:str}/price", Right.CATALOGUE)
def set_price(visit: Visit) -> Answer:
    """Set a price from now on, or from a moment to come; every till applies it at its minute, offline too."""
    form, code = visit.form, visit.params["code"]
    price_minor = form.money("price")
    from_ms = form.moment("from", is_required=False)
    until_ms = form.moment("until", is_required=False)
    per = form.one_of("per", {str(p.milli) for p in PricePer})
    tier, price_list = form.code("tier", is_required=False), form.code("list")
    if form.is_valid:
        # A browser's field has full minutes: the minute that just began is now.
        start_ms = visit.now_ms if from_ms is None or visit.now_ms - _STAY_MS <= from_ms < visit.now_ms else from_ms
        try:
            with visit.change(ORG, "price.set", code, f"{price_list} {form.text('unit')} {price_minor}") as change:
                CatalogueDesk(change.replica, change.own_log).set_price(
                    code, form.text("unit"), PriceStep(start_ms, until_ms, price_minor, int(per), tier), price_list
                )
            done = "done.price_scheduled" if start_ms > visit.now_ms else "done.price_set"
            return visit.redirect(f"/products/{code}", done=done)
        except RefusalError as error:
            form.refuse(error, _FIELD_OF.get(error.code, ""))
    return _product_page(visit, form, 422)


@routes.post("/products/{code:str}/price/withdraw", Right.CATALOGUE)
def withdraw_price(visit: Visit) -> Answer:
    """Take a scheduled price back before it begins."""
    form, code = visit.form, visit.params["code"]
    try:
        with visit.change(ORG, "price.withdraw", code, form.text("unit")) as change:
            CatalogueDesk(change.replica, change.own_log).withdraw_price(
                code, form.text("unit"), form.whole("from_ms", highest=10**15), form.text("tier"), form.text("list")
            )
        return visit.redirect(f"/products/{code}", done="done.price_withdrawn")
    except RefusalError as error:
        form.refuse(error)
        return _product_page(visit, form, 409)
