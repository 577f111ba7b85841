"""Owns the checking of spreadsheets that bring goods, prices, people and opening figures into the organisation.

A file either becomes a complete list of typed rows, which the hub appends in one operation, or is refused with
findings that name line, column and value: nothing is half-imported. What can be repaired without guessing is
repaired and said so. Column names are guessed from Chinese and English header words; the guess is returned with the
findings, so that it can be shown and overridden.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from hub.import_cells import BadRowError, Sheet
from hub.import_columns import REQUIRED_FIELDS, guess_columns
from hub.import_rows import READERS
from hub.import_terms import Existing, Finding, ImportDefaults, Imported, ImportKind, ImportRefusedError, Severity
from schema.errors import RefusalError
from schema.rows import (
    Row,
)
from schema.tabular import Table

__all__ = [
    "Existing",
    "Finding",
    "FindingSummary",
    "ImportDefaults",
    "ImportKind",
    "ImportRefusedError",
    "Imported",
    "Severity",
    "check_import",
    "guess_columns",
    "summarise",
]


def check_import(
    kind: ImportKind,
    table: Table,
    existing: Existing,
    *,
    overrides: Mapping[str, str] | None = None,
    defaults: ImportDefaults | None = None,
    skip_bad_rows: bool = False,
) -> Imported:
    """Check a table and return its typed rows, or raise ImportRefusedError with every finding; appends nothing.

    With `skip_bad_rows` rows with errors are left out and all the others are returned. Raises RefusalError
    `import.columns` when a column that the table cannot do without is not found, `import.field` and
    `import.column` for overrides that name nothing.
    """
    columns = guess_columns(kind, table.header, overrides)
    missing = [field for field in REQUIRED_FIELDS[kind] if field not in columns]
    if missing:
        raise RefusalError(
            "import.columns",
            f"no column for {', '.join(missing)} among {', '.join(table.header)}: name it (field=column)",
        )
    sheet = Sheet(kind, table, columns)
    read = READERS[kind](sheet, existing, defaults or ImportDefaults())
    sheet.line = table.header_line
    if kind is ImportKind.PRODUCTS and not sheet.has("tax_class"):
        default = (defaults or ImportDefaults()).tax_class.value
        sheet.warn("tax_class.no_column", "tax_class", "", f"no column of tax classes: {default} taken for all rows")
    overlong = frozenset(table.overlong)
    rows: list[Row] = []
    skipped = 0
    for line, cells in table.rows:
        sheet.enter(line, cells)
        try:
            if line in overlong:
                raise sheet.refuse("row.overlong", "", "", "more cells than the header: a delimiter inside a cell?")
            row = read()
        except BadRowError:
            skipped += 1
            continue
        if row is not None:
            rows.append(row)
    findings = tuple(sheet.findings)
    if skipped and not skip_bad_rows:
        raise ImportRefusedError(findings, columns)
    return Imported(kind, tuple(rows), findings, columns, len(table.rows), skipped)


class FindingSummary(msgspec.Struct, frozen=True):
    """How often one thing is wrong in a file, with its first place."""

    severity: Severity
    code: str
    count: int
    first: Finding


def summarise(findings: Iterable[Finding]) -> list[FindingSummary]:
    """Group findings by code, errors first, then the most frequent: the page that a person reads first."""
    groups: dict[tuple[Severity, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.severity, finding.code), []).append(finding)
    summaries = [FindingSummary(severity, code, len(each), each[0]) for (severity, code), each in groups.items()]
    return sorted(summaries, key=lambda s: (s.severity is not Severity.ERROR, -s.count, s.code))
