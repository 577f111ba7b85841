"""What the hub's verbs share: their options, an open hub for one command, and JSON for scripts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer

if TYPE_CHECKING:
    from hub.service import Hub

HubOption = Annotated[Path, typer.Option("--hub", envvar="EDGETILL_HUB", help="The hub's directory.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON for a script.")]
HERE: Final = Path("hub")


@contextmanager
def opened(directory: Path) -> Iterator[Hub]:
    """Open a hub's directory for one command; the hub may be serving."""
    from hub.service import open_hub

    hub = open_hub(directory)
    try:
        yield hub
    finally:
        hub.close()


def write_json(value: Any) -> None:
    """Write one value as a line of JSON."""
    typer.echo(msgspec.json.encode(value).decode())
