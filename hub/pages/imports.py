"""The pages of imports: a file is looked at with everything that is wrong in it, then taken whole, then undone."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from hub.accounts import Right
from hub.import_columns import field_said
from hub.import_desk import check_file, find_file, import_files, keep_file, take_file, undo_import
from hub.import_terms import ImportKind, ImportRefusedError
from hub.importing import FILE_BYTES_MAX, verifiers_of
from hub.imports import summarise
from hub.pages.visits import Answer, Routes, Visit
from schema.amounts import format_money, format_quantity
from schema.errors import RefusalError
from schema.identity import ORG
from schema.rows import CustomerRow, OperatorRow, Row
from schema.rules.promotion_terms import Language

routes = Routes()
_SHOWN = 20
_FINDINGS_SHOWN = 100


@routes.get("/imports", Right.CATALOGUE)
def imports(visit: Visit) -> Answer:
    """Ask for a file, and list the latest ones with what became of them."""
    visit.form.fill({"kind": ImportKind.PRODUCTS.value})
    return _list_page(visit, 200)


def _list_page(visit: Visit, status: int) -> Answer:
    with visit.read() as replica:
        files = import_files(replica.connection)
    kinds = [(kind.value, visit.t(f"import_kind.{kind.value}")) for kind in ImportKind]
    return visit.render("imports.html", status=status, files=files, kinds=kinds)


@routes.post("/imports", Right.CATALOGUE, body_bytes_max=FILE_BYTES_MAX + 65_536)
def upload(visit: Visit) -> Answer:
    """Keep an uploaded file and show what it would do."""
    form = visit.form
    kind, file = form.one_of("kind", set(ImportKind)), form.upload("file")
    if form.is_valid and file is not None:
        try:
            with visit.change_beside("import.upload", kind, file.name) as change:
                file_id = keep_file(
                    change.replica.connection, kind, file.name, file.content, visit.account.operator, visit.now_ms
                )
            return visit.redirect(f"/imports/{file_id}")
        except RefusalError as error:
            form.refuse(error, "file")
    return _list_page(visit, 422)


@routes.get("/imports/{file:str}", Right.CATALOGUE)
def import_file(visit: Visit) -> Answer:
    """Show what a file would do, or did."""
    return _file_page(visit, 200)


def _file_page(visit: Visit, status: int) -> Answer:
    skips, location = bool(visit.query.text("skip")), visit.query.text("at")
    imported = refused = None
    problem = ""
    with visit.read() as replica:
        file = find_file(replica.connection, visit.params["file"])
        if file.taken_ms is None:
            try:
                checked = check_file(replica, file, location=location, skip_bad_rows=skips)
                imported, refused = (None, checked) if isinstance(checked, ImportRefusedError) else (checked, None)
            except RefusalError as error:
                problem = visit.t.refusal(error)
    result = imported or refused
    findings = result.findings if result else ()
    rows = imported.rows[:_SHOWN] if imported else ()
    return visit.render(
        "import_file.html", status=status, file=file, imported=imported, refused=refused, problem=problem,
        columns=dict(result.columns) if result else {}, groups=summarise(findings),
        findings=findings[:_FINDINGS_SHOWN], more=max(0, len(findings) - _FINDINGS_SHOWN), skips=skips, at=location,
        said=partial(field_said, ImportKind(file.kind), language=visit.t.language),
        titles=_titles(rows, ImportKind(file.kind), visit.t.language), cells=[_cells(visit, row) for row in rows],
    )  # fmt: skip


def _titles(rows: tuple[Row, ...], kind: ImportKind, language: Language) -> list[str]:
    names = [name for name in rows[0].__struct_fields__ if name != "pin"] if rows else []
    return [field_said(kind, name, language) for name in names]


def _cells(visit: Visit, row: Row) -> list[str]:
    """Show a typed row; a PIN is never shown, a phone number in part."""
    values: dict[str, Any] = {name: getattr(row, name) for name in row.__struct_fields__}
    if isinstance(row, OperatorRow):
        values.pop("pin")
    if isinstance(row, CustomerRow) and row.phone:
        values["phone"] = f"{row.phone[:3]}****{row.phone[-4:]}"
    return [
        visit.rendering.when(value) if name.endswith("_ms") and isinstance(value, int) else _shown(value, name)
        for name, value in values.items()
    ]


def _shown(value: object, name: str = "") -> str:
    if value is None or value in ("", ()) or value is False:
        return ""
    if value is True:
        return "✓"
    if isinstance(value, int) and name.endswith("_minor"):
        return format_money(value)
    if isinstance(value, int) and name.endswith("_milli"):
        return format_quantity(value)
    if value == 0:
        return ""
    if isinstance(value, tuple):
        return ", ".join(_shown(one) for one in value)
    if isinstance(value, msgspec.Struct):
        return " ".join(_shown(getattr(value, name), name) for name in value.__struct_fields__)
    return str(value)


@routes.post("/imports/{file:str}/take", Right.CATALOGUE)
def take(visit: Visit) -> Answer:
    """Take a file's rows in one operation, or none of them."""
    form = visit.form
    skips, location = form.flag("skip"), form.text("at")
    try:
        with visit.read() as before:
            file = find_file(before.connection, visit.params["file"])
            checked = check_file(before, file, location=location, skip_bad_rows=skips)
        if isinstance(checked, ImportRefusedError):
            raise checked
        verifiers = verifiers_of(checked.rows)
        with visit.read() as before, visit.change(ORG, "import.take", file.file_id, file.name) as change:
            take_file(
                visit.hub, change.replica, before, file, checked, operator=visit.account.operator,
                operation=change.operation, verifiers=verifiers,
            )  # fmt: skip
        return visit.redirect(f"/imports/{file.file_id}", done="done.import_taken")
    except RefusalError as error:
        form.refuse(error)
        return _file_page(visit, 409)


@routes.post("/imports/{file:str}/undo", Right.CATALOGUE)
def undo(visit: Visit) -> Answer:
    """Put back what an import replaced, wherever nobody changed it since."""
    try:
        with visit.change(ORG, "import.undo", visit.params["file"]) as change:
            file = find_file(change.replica.connection, visit.params["file"])
            undone = undo_import(
                change.replica, change.own_log, file, operator=visit.account.operator, rank=visit.account.rank
            )
        done = "done.import_undone_partly" if undone.kept else "done.import_undone"
        return visit.redirect(f"/imports/{file.file_id}", done=done)
    except RefusalError as error:
        visit.form.refuse(error)
        return _file_page(visit, 409)
