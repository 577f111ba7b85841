"""The pages of promotions: listed with what they say, edited, and tried on a basket before any customer does."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from hub.accounts import Right
from hub.catalogue import CatalogueDesk
from hub.pages.forms import Form
from hub.pages.visits import Answer, Routes, Visit
from hub.promotions import (
    TriedBasket,
    all_promotions,
    end_promotion,
    find_promotion,
    save_promotion,
    sentence,
    try_basket,
)
from schema.amounts import Minor, format_money, format_quantity, parse_quantity
from schema.errors import RefusalError
from schema.identity import ORG, ProductId
from schema.rows import PromotionKind
from schema.rules.promotion_terms import MINUTES_OF_DAY, Part, Promotion, write_terms

routes = Routes()
_FIELD_OF = {
    "promotion_code": "code", "promotion_exists": "code", "promotion_window": "until", "product_unknown": "products",
    "promotion.percent": "percent", "promotion.amount": "amount", "promotion.products": "products",
    "promotion.count": "buy", "promotion.parts": "parts", "promotion.weekday": "weekdays", "promotion.minute": "hours",
}  # fmt: skip
_CATEGORY_MARK = "#"


@routes.get("/promotions", Right.READ)
def promotions(visit: Visit) -> Answer:
    """List promotions with what they say and whether they run now; try a basket on all of them."""
    return _list_page(visit, 200)


def _list_page(visit: Visit, status: int, tried: TriedBasket | None = None) -> Answer:
    with visit.read() as replica:
        found = all_promotions(replica.connection)
    rows = [(p, sentence(p, visit.t.language), _state(p, visit.now_ms)) for p in found]
    rows.sort(key=lambda row: ("now", "scheduled", "past").index(row[2]))
    return visit.render("promotions.html", status=status, rows=rows, tried=tried)


def _state(promotion: Promotion, now_ms: int) -> str:
    if promotion.valid_from_ms is not None and promotion.valid_from_ms > now_ms:
        return "scheduled"
    if promotion.valid_until_ms is not None and promotion.valid_until_ms <= now_ms:
        return "past"
    return "now"


@routes.post("/promotions/try", Right.READ)
def try_on_basket(visit: Visit) -> Answer:
    """Price a basket as a till would at a moment."""
    form = visit.form
    moment_ms = form.moment("moment", is_required=False) or visit.now_ms
    goods = _goods(form)
    tried = None
    if form.is_valid:
        try:
            with visit.read() as replica:
                tried = try_basket(
                    replica.connection, all_promotions(replica.connection), goods, moment_ms=moment_ms,
                    zone=visit.zone, language=visit.t.language, tiers=frozenset(form.text("tier").split()),
                    coupons=form.text("coupons").split(),
                )  # fmt: skip
        except RefusalError as error:
            form.refuse(error, "goods")
    return _list_page(visit, 200 if tried else 422, tried)


def _goods(form: Form) -> list[tuple[str, int]]:
    goods: list[tuple[str, int]] = []
    for line in form.shown("goods").splitlines():
        words = line.replace("*", " ").split()
        if not words:
            continue
        try:
            quantity = int(parse_quantity(words[0])) if len(words) > 1 else 1000
        except ValueError:
            quantity = 0
        if quantity <= 0 or len(words) > 2:
            form.wrong("goods", "promotion.goods_malformed", line=line.strip()[:60])
        else:
            goods.append((words[-1], quantity))
    if not goods:
        form.wrong("goods", "form.missing")
    return goods[:200]


@routes.get("/promotion-new", Right.CATALOGUE)
def new_promotion(visit: Visit) -> Answer:
    """Ask for a new promotion."""
    visit.form.fill({"kind": PromotionKind.PERCENT_OFF.value})
    return _form_page(visit, None, 200)


@routes.get("/promotions/{code:str}", Right.READ)
def promotion(visit: Visit) -> Answer:
    """Show a promotion's terms."""
    with visit.read() as replica:
        known = find_promotion(replica.connection, visit.params["code"])
    visit.form.fill(_filled(visit, known))
    return _form_page(visit, known, 200)


def _form_page(visit: Visit, known: Promotion | None, status: int) -> Answer:
    return visit.render(
        "promotion_form.html", status=status, known=known, version=_version(known),
        says=sentence(known, visit.t.language) if known else "",
        kinds=[(k.value, visit.t(f"promotion_kind.{k.value}"), visit.t(f"promotion_hint.{k.value}"))
               for k in PromotionKind],
        weekdays=[(str(day), visit.t(f"weekday.{day}")) for day in range(1, 8)],
    )  # fmt: skip


def _version(known: Promotion | None) -> str:
    return hashlib.sha256(write_terms(known).encode()).hexdigest()[:16] if known else ""


def _filled(visit: Visit, known: Promotion) -> Mapping[str, str]:
    start, until = known.valid_from_ms, known.valid_until_ms
    moment = visit.input_moment
    return {
        "code": known.code, "name": known.name, "kind": known.kind.value,
        "percent": format_quantity(known.percent_ppm // 10) if known.percent_ppm else "",
        "amount": format_money(known.amount_minor) if known.amount_minor else "",
        "threshold": format_money(known.threshold_minor) if known.threshold_minor else "",
        "buy": str(known.buy_count or ""), "free": str(known.free_count or ""),
        "products": "\n".join([*known.products, *(_CATEGORY_MARK + c for c in known.categories)]),
        "except": "\n".join([*known.except_products, *(_CATEGORY_MARK + c for c in known.except_categories)]),
        "parts": "\n".join(
            " ".join([str(p.count), *p.products, *(_CATEGORY_MARK + c for c in p.categories)]) for p in known.parts
        ),
        "from": moment(start), "until": moment(until), "weekdays": " ".join(map(str, known.weekdays)),
        "hours": _hours(known), "tiers": " ".join(known.tiers), "coupon": known.coupon,
        "single": "1" if known.is_single_use else "", "each": "1" if known.is_each else "",
        "limit": str(known.limit or ""), "unit": known.unit, "groups": " ".join(known.groups),
        "not_with": " ".join(known.not_with), "priority": str(known.priority or ""),
    }  # fmt: skip


def _hours(known: Promotion) -> str:
    if not known.from_minute and not known.until_minute:
        return ""
    start, end = divmod(known.from_minute, 60), divmod(known.until_minute or MINUTES_OF_DAY, 60)
    return f"{start[0]:02d}:{start[1]:02d}-{end[0]:02d}:{end[1]:02d}"


@routes.post("/promotion-new", Right.CATALOGUE)
def add_promotion(visit: Visit) -> Answer:
    """Define a promotion."""
    return _save(visit, visit.form.code("code"), None)


@routes.post("/promotions/{code:str}", Right.CATALOGUE)
def change_promotion(visit: Visit) -> Answer:
    """Save a promotion's terms."""
    with visit.read() as replica:
        known = find_promotion(replica.connection, visit.params["code"])
    return _save(visit, known.code, known)


def _save(visit: Visit, code: str, known: Promotion | None) -> Answer:
    form = visit.form
    terms = _read(form, code)
    if form.is_valid:
        try:
            with visit.change(ORG, "promotion.set", code) as change:
                if known is not None:
                    form.check_version(_version(find_promotion(change.replica.connection, code)))
                desk = CatalogueDesk(change.replica, change.own_log)
                save_promotion(desk, change.replica.connection, terms, is_new=known is None)
            return visit.redirect("/promotions", done="done.promotion_saved")
        except RefusalError as error:
            problem = str(error.facts.get("problem", error.code))
            if error.code == "promotion_invalid":
                form.wrong(_FIELD_OF.get(problem, ""), f"promotion_problem.{problem.removeprefix('promotion.')}")
            else:
                form.refuse(error, _FIELD_OF.get(error.code, ""))
    return _form_page(visit, known, 422)


def _read(form: Form, code: str) -> Promotion:
    products, groups = _named(form.shown("products"))
    but, but_groups = _named(form.shown("except"))
    start_minute, end_minute = _minutes(form)
    return Promotion(
        code=code, name=form.required("name", characters_max=60),
        kind=PromotionKind(form.one_of("kind", set(PromotionKind)) or PromotionKind.PERCENT_OFF),
        products=products, categories=groups,
        amount_minor=Minor(form.money("amount", is_required=False)),
        percent_ppm=form.quantity("percent", is_required=False, highest=100_000) * 10,
        threshold_minor=Minor(form.money("threshold", is_required=False)),
        buy_count=form.whole("buy", is_required=False, highest=999),
        free_count=form.whole("free", is_required=False, highest=999),
        valid_from_ms=form.moment("from", is_required=False), valid_until_ms=form.moment("until", is_required=False),
        parts=_parts(form), is_each=form.flag("each"), unit=form.required("unit", is_required=False, characters_max=20),
        limit=form.whole("limit", is_required=False, highest=999), except_products=but, except_categories=but_groups,
        tiers=tuple(form.text("tiers").split()),
        weekdays=tuple(int(day) for day in form.some_of("weekdays", set("1234567"), is_required=False)),
        from_minute=start_minute, until_minute=end_minute,
        coupon=form.required("coupon", is_required=False, characters_max=40), is_single_use=form.flag("single"),
        groups=tuple(form.text("groups").split()), not_with=tuple(form.text("not_with").split()),
        priority=form.whole("priority", is_required=False, lowest=-1000, highest=1000),
    )  # fmt: skip


def _named(text: str) -> tuple[tuple[ProductId, ...], tuple[str, ...]]:
    words = text.split()
    products = tuple(ProductId(word) for word in words if not word.startswith(_CATEGORY_MARK))
    return products, tuple(word[1:] for word in words if word.startswith(_CATEGORY_MARK) and len(word) > 1)


def _parts(form: Form) -> tuple[Part, ...]:
    parts = []
    for line in form.shown("parts").splitlines():
        count, _, rest = line.strip().partition(" ")
        if not count:
            continue
        products, groups = _named(rest)
        if not (count.isascii() and count.isdecimal() and len(count) <= 3) or not (products or groups):
            form.wrong("parts", "promotion.part_malformed", line=line.strip()[:60])
            continue
        parts.append(Part(count=int(count), products=products, categories=groups))
    return tuple(parts)


def _minutes(form: Form) -> tuple[int, int]:
    typed = form.required("hours", is_required=False, characters_max=20).replace(" ", "")
    if not typed:
        return 0, 0
    ends = []
    for end in typed.split("-"):
        hour, _, minute = end.partition(":")
        is_time = hour.isdecimal() and (minute or "00").isdecimal() and int(hour) <= 24 and int(minute or 0) < 60
        ends.append(int(hour) * 60 + int(minute or 0) if is_time else -1)
    if len(ends) != 2 or min(ends) < 0 or max(ends) > MINUTES_OF_DAY or ends[0] == MINUTES_OF_DAY:
        form.wrong("hours", "promotion.hours_malformed")
        return 0, 0
    return ends[0], ends[1]


@routes.post("/promotions/{code:str}/end", Right.CATALOGUE)
def end(visit: Visit) -> Answer:
    """Take a promotion away."""
    code = visit.params["code"]
    with visit.change(ORG, "promotion.end", code) as change:
        end_promotion(CatalogueDesk(change.replica, change.own_log), change.replica.connection, code)
    return visit.redirect("/promotions", done="done.promotion_ended")
