"""The pages of settings: limits per role, cash, points, the shop's card and its receipt, for the chain or one shop."""

from __future__ import annotations

import re
from typing import Any, Final, get_type_hints

import msgspec

from hub.accounts import Right
from hub.pages.forms import Form
from hub.pages.visits import Answer, Routes, Visit
from hub.product_index import categories
from hub.setting_desk import SettingView, preview_receipt, view_setting
from hub.settings import inherit_setting, record_setting
from schema.amounts import format_money, format_quantity
from schema.errors import RefusalError
from schema.identity import ORG, is_category
from schema.rows import StaffRole
from schema.rules.barcode_layouts import BarcodeLayout, BarcodeLayouts
from schema.rules.promotion_terms import Language
from schema.rules.receipt import Detail, ReceiptTemplate, Section
from schema.rules.rounding import Rounding
from schema.settings import (
    MEANS,
    NAME_CHARS_MAX,
    UNLIMITED,
    CategoryNames,
    Limits,
    ReceiptForm,
    RoleLimits,
    Setting,
    ShopCard,
    write_setting,
)

routes = Routes()
SETTING_PAGES: Final = (
    "shop", "receipt", "prices", "limits", "cash", "loyalty", "till", "stock", "count", "carry", "categories",
)  # fmt: skip
_ROLES: Final = (StaffRole.CASHIER, StaffRole.DRIVER, StaffRole.STOCK_KEEPER, StaffRole.SUPERVISOR,
                 StaffRole.SHOP_MANAGER)  # fmt: skip


@routes.get("/settings", Right.READ_ALL)
def settings(visit: Visit) -> Answer:
    """List the settings; each holds for the chain, or for a location that differs."""
    return visit.render("settings.html", names=SETTING_PAGES)


@routes.get("/settings/{name:str}", Right.READ_ALL)
def setting(visit: Visit) -> Answer:
    """Show one setting at a place."""
    view = _view(visit, visit.query.text("at"))
    filled = _filled(view.setting)
    if isinstance(view.setting, CategoryNames):
        with visit.read() as replica:
            unnamed = [one.category for one in categories(replica.connection) if one.category not in view.setting.names]
        filled["names"] = "\n".join([*filter(None, [filled["names"]]), *(f"{one} =" for one in unnamed)])
    visit.form.fill(filled)
    return _page(visit, view, 200)


def _view(visit: Visit, location: str) -> SettingView:
    if location and location not in visit.locations:
        raise RefusalError("location_unknown", f"there is no location {location!r}")
    with visit.read() as replica:
        return view_setting(replica.organisation, replica.connection, visit.params["name"], location)


def _page(visit: Visit, view: SettingView, status: int, preview: str = "") -> Answer:
    template = "setting_receipt.html" if view.name == "receipt" else "setting.html"
    if isinstance(view.setting, ReceiptForm) and not preview:
        preview = _preview(visit, view, view.setting.template)
    return visit.render(
        template, status=status, view=view, places=[(code, found.name) for code, found in visit.locations.items()],
        fields=_fields(type(view.setting)), roles=[role.value for role in _ROLES], limits=_fields(Limits),
        roundings=[(mode.value, visit.t(f"rounding.{mode.value}")) for mode in _ROUNDINGS],
        sections=[(one.value, visit.t(f"section.{one.value}")) for one in Section],
        details=[(one.value, visit.t(f"detail.{one.value}")) for one in Detail], preview=preview,
        means=[(one, visit.t(f"means.{one}")) for one in MEANS],
        languages=[("zh", "中文"), ("en", "English")],
    )  # fmt: skip


_ROUNDINGS: Final = (Rounding.HALF_UP, Rounding.DOWN, Rounding.UP)


def _fields(kind: type[msgspec.Struct]) -> list[tuple[str, str]]:
    """Return the (name, how it is typed) of the fields that a page shows."""
    hints = get_type_hints(kind)
    found = []
    for name in kind.__struct_fields__:
        hint = hints[name]
        if hint is bool:
            found.append((name, "flag"))
        elif hint is int:
            found.append((name, _unit_of(name)))
        elif hint is str:
            found.append((name, "text"))
        elif hint is Rounding:
            found.append((name, "rounding"))
        elif name in {"means", "layouts", "keys", "names"}:
            found.append((name, name))
        elif hint in {tuple[str, ...], tuple[int, ...]}:
            found.append((name, "list"))
        elif hint == tuple[tuple[int, int], ...]:
            found.append((name, "pairs"))
    return found


def _unit_of(name: str) -> str:
    for end in ("_minor", "_ppm", "_milli"):
        if name.endswith((end, f"{end}_max")):
            return end[1:]
    return "whole"


def _filled(known: Setting) -> dict[str, str]:
    if isinstance(known, RoleLimits):
        filled: dict[str, str] = {}
        for role in _ROLES:
            limits = known.of(role)
            filled |= {f"{role.value}.{name}": _typed(getattr(limits, name), how) for name, how in _fields(Limits)}
        return filled
    if isinstance(known, ReceiptForm):
        form = known.template
        return {
            "columns": str(form.columns), "language": form.language.value, "header": "\n".join(form.header),
            "footer": "\n".join(form.footer), "sections": " ".join(form.sections), "details": " ".join(form.details),
            "cut": "1" if form.is_cut else "",
        }  # fmt: skip
    return {name: _typed(getattr(known, name), how) for name, how in _fields(type(known))}


def _typed(value: Any, how: str) -> str:
    match how:
        case "flag":
            return "1" if value else ""
        case "minor":
            return "" if value >= UNLIMITED else format_money(value)
        case "ppm":
            return format_quantity(value // 10)
        case "milli":
            return format_quantity(value)
        case "list" | "means":
            return " ".join(map(str, value))
        case "layouts":
            return "\n".join(map(_layout_typed, value))
        case "names":
            return "\n".join(f"{code} = {name}" for code, name in value.items())
        case "keys":
            return "\n".join(f"{act} {keys}" for act, keys in value.items())
        case "pairs":
            return "\n".join(f"{format_money(one)} {format_money(other)}" for one, other in value)
        case "rounding":
            return str(value.value)
        case _:
            return str(value)


@routes.post("/settings/{name:str}", Right.CATALOGUE)
def save_setting(visit: Visit) -> Answer:
    """Save a setting for the chain or a location; tills follow with their next exchange."""
    form, location = visit.form, visit.form.text("at")
    view = _view(visit, location)
    asked = form.text("act")
    made = _read(form, view.setting)
    if asked == "preview" and isinstance(made, ReceiptForm):
        return _page(visit, view, 200, _preview(visit, view, made.template))
    if form.is_valid and made is not None:
        try:
            with visit.change(ORG, "setting.set", f"{view.name}/{location}") as change:
                if asked == "inherit":
                    inherit_setting(change.replica, change.own_log, view.name, location)
                else:
                    record_setting(change.replica, change.own_log, *write_setting(made), location)
            where = f"?at={location}" if location else ""
            return visit.redirect(f"/settings/{view.name}{where}", done="done.setting_saved")
        except RefusalError as error:
            form.refuse(error, {"template_name": "header", "template_columns": "columns"}.get(error.code, ""))
    return _page(visit, view, 422)


def _preview(visit: Visit, view: SettingView, template: ReceiptTemplate) -> str:
    with visit.read() as replica:
        card = view_setting(replica.organisation, replica.connection, "shop", view.location).setting
    assert isinstance(card, ShopCard)
    name = card.name or (visit.location_name(view.location) if view.location else visit.t("settings.a_shop"))
    try:
        return preview_receipt(template, name, card.phone, card.address)
    except ValueError:
        return ""


def _read(form: Form, known: Setting) -> Setting | None:
    if form.text("act") == "inherit":
        return known
    if isinstance(known, ReceiptForm):
        return _read_receipt(form)
    if isinstance(known, RoleLimits):
        read = {role: Limits(**_values(form, Limits, f"{role.value}.")) for role in _ROLES}
        return RoleLimits(roles={**known.roles, **read})
    values = _values(form, type(known), "")
    try:
        return msgspec.convert({**msgspec.to_builtins(known), **msgspec.to_builtins(values)}, type(known))
    except (msgspec.ValidationError, ValueError) as error:
        form.refuse(RefusalError("setting_invalid", str(error), reason=str(error)))
        return None


def _values(form: Form, kind: type[msgspec.Struct], prefix: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    hints = get_type_hints(kind)
    for name, how in _fields(kind):
        field = f"{prefix}{name}"
        match how:
            case "flag":
                values[name] = form.flag(field)
            case "minor":  # an empty limit of a role is none at all
                empty = UNLIMITED if prefix else 0
                values[name] = form.money(field, is_required=False) if form.text(field) else empty
            case "ppm":
                values[name] = form.quantity(field, is_required=False, highest=100_000) * 10
            case "milli":
                values[name] = form.quantity(field, is_required=False)
            case "whole":
                values[name] = form.whole(field)
            case "list":
                words = form.text(field).split()
                if hints[name] == tuple[int, ...]:
                    if not all(word.isascii() and word.isdecimal() and len(word) < 9 for word in words):
                        form.wrong(field, "form.no_number")
                        words = []
                    values[name] = tuple(int(word) for word in words)
                else:
                    values[name] = tuple(words)
            case "pairs":
                values[name] = _pairs(form, field)
            case "means":
                chosen = form.some_of(field, MEANS)
                values[name] = tuple(one for one in MEANS if one in chosen)
            case "layouts":
                values[name] = _layouts(form, field)
            case "names":
                values[name] = _names(form, field)
            case "keys":
                values[name] = _keys(form, field)
            case "rounding":
                values[name] = Rounding(form.one_of(field, {mode.value for mode in _ROUNDINGS}) or Rounding.HALF_UP)
            case _:
                values[name] = form.required(field, is_required=False)
    return values


def _pairs(form: Form, field: str) -> tuple[tuple[int, int], ...]:
    from schema.amounts import parse_money

    pairs = []
    for line in form.shown(field).splitlines():
        words = line.split()
        if not words:
            continue
        try:
            one, other = (int(parse_money(word)) for word in words)
        except ValueError:
            form.wrong(field, "settings.pair_malformed", line=line.strip()[:40])
            continue
        pairs.append((one, other))
    return tuple(sorted(pairs))


def _typed_lines(form: Form, field: str) -> list[str]:
    return [line.strip() for line in form.shown(field).splitlines() if line.strip()]


def _layout_typed(layout: BarcodeLayout) -> str:
    """Write a layout as one types it: its flags, its digits, and `?` where the check digit may be anything."""
    return f"{','.join(layout.flags)} {layout.pattern}{'' if layout.is_check_verified else '?'}"


def _layouts(form: Form, field: str) -> tuple[BarcodeLayout, ...]:
    layouts: list[BarcodeLayout] = []
    for line in _typed_lines(form, field):
        try:
            flags, pattern = line.replace("，", ",").upper().split()
            digits = pattern.removesuffix("?")
            name = f"{flags.split(',')[0]}-{len(digits)}"
            layouts.append(BarcodeLayout(name, tuple(flags.split(",")), digits, digits == pattern))
        except ValueError:
            form.wrong(field, "settings.layout_malformed", line=line[:40])
    try:
        BarcodeLayouts(layouts)
    except ValueError:
        form.wrong(field, "settings.layout_twice")
    return tuple(layouts)


def _keys(form: Form, field: str) -> dict[str, str]:
    """Read what key each act has; a letter or digit alone is refused, for cashiers type those."""
    renamed: dict[str, str] = {}
    for line in _typed_lines(form, field):
        act, _, written = line.lower().partition(" ")
        keys = [key.strip() for key in written.replace("，", ",").split(",") if key.strip()]
        if not _ACT.fullmatch(act) or not keys or any(len(key) == 1 and key.isalnum() for key in keys):
            form.wrong(field, "settings.keys_malformed", line=line[:40])
        renamed[act] = ",".join(keys)
    return renamed


def _names(form: Form, field: str) -> dict[str, str]:
    """Read what each category is called; a code alone is called by itself."""
    names: dict[str, str] = {}
    for line in _typed_lines(form, field):
        code, _, name = (part.strip() for part in line.partition("="))
        if not is_category(code) or len(name) > NAME_CHARS_MAX:
            form.wrong(field, "settings.name_malformed", line=line[:40])
        elif name:
            names[code] = name
    return names


_ACT: Final = re.compile(r"[a-z_]+(\.[a-z_]+)?")
"""An act of every screen that has it, or of one: `pay`, `sale.pay`."""


def _read_receipt(form: Form) -> ReceiptForm:
    shown = set(form.some_of("sections", set(Section)))
    details = set(form.some_of("details", set(Detail), is_required=False))
    return ReceiptForm(
        template=ReceiptTemplate(
            columns=form.whole("columns"), language=Language(form.one_of("language", set(Language)) or Language.ZH),
            header=_lines(form, "header"), footer=_lines(form, "footer"),
            sections=tuple(one for one in Section if one in shown),
            details=tuple(one for one in Detail if one in details), is_cut=form.flag("cut"),
        )
    )  # fmt: skip


def _lines(form: Form, name: str) -> tuple[str, ...]:
    return tuple(line[:200] for line in _typed_lines(form, name))[:20]
