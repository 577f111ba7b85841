"""The verbs that this package adds to the command `edgetill`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from schema.errors import RefusalError
from schema.files import read_given
from sync.stock_facts import AmbiguousPick, Disagreement


def commands(app: typer.Typer) -> None:
    """Add this package's verbs to the command."""
    rules = typer.Typer(name="rules", help="Ask the conflict rules for stock counts.", no_args_is_help=True)
    rules.callback()(_rules)
    rules.command("fold")(fold)
    app.add_typer(rules)


def _rules() -> None:
    """Ask the conflict rules for stock counts."""


def fold(
    file: Annotated[Path, typer.Argument(help="Cases in the schema of the golden count cases, as JSON.")],
    case: Annotated[str | None, typer.Option(help="Fold only the case of this id.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per line on a terminal too, as it always is in a pipe.")
    ] = False,
    policy: Annotated[Disagreement | None, typer.Option(help="Settle disagreeing counts by this policy.")] = None,
    tolerance: Annotated[int | None, typer.Option(help="Call figures equal up to this gap.", min=0)] = None,
    ambiguous: Annotated[AmbiguousPick | None, typer.Option(help="Assume this side in doubt.")] = None,
) -> None:
    """Fold the cases of a file and print what the rules decide, case by case.

    The options ask what another rule would have decided; the file is not changed.
    """
    import msgspec

    from sync.count_cases import Overrides, fold_case, read_cases

    cases = read_cases(read_given(file), Overrides(policy, tolerance, ambiguous))
    if case is not None:
        cases = [one for one in cases if one.id == case]
        if not cases:
            raise RefusalError("case_malformed", f"The file {file} holds no case {case}.")
    is_for_reading = sys.stdout.isatty() and not as_json
    for one in cases:
        line = msgspec.json.encode(fold_case(one))
        typer.echo((msgspec.json.format(line, indent=2) if is_for_reading else line).decode())
