"""Assembles the command `edgetill` from each package's commands by entry points, so that nothing imports upward."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points

import typer

from schema.errors import CorruptionError, EdgetillError, RefusalError, TransientError

EXIT_REFUSED, EXIT_CORRUPT, EXIT_BUSY, EXIT_INCOMPLETE, EXIT_INTERRUPTED = 1, 3, 4, 5, 130


def build() -> typer.Typer:
    """Return the whole command with the verbs of every installed package."""
    app = typer.Typer(
        name="edgetill",
        help="An offline-first store node: sell, count, transfer and sync; every figure explains itself.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    for entry_point in sorted(entry_points(group="edgetill.commands"), key=lambda point: point.name):
        entry_point.load()(app)
    return app


def main() -> None:
    """Run the command; a foreseen failure is one sentence on stderr and a telling exit code."""
    try:
        build()()
    except EdgetillError as error:
        code = {RefusalError: EXIT_REFUSED, CorruptionError: EXIT_CORRUPT, TransientError: EXIT_BUSY}
        sys.stderr.write(f"edgetill: {error.message} [{error.code}]\n")
        raise SystemExit(next((c for t, c in code.items() if isinstance(error, t)), EXIT_REFUSED)) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"edgetill: {where}{error.strerror or error} [system]\n")
        raise SystemExit(EXIT_REFUSED) from None
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None
