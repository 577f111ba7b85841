"""The verb that gives what a browser is to trust so that it knows the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub.command_options import HERE, HubOption, JsonOption, write_json


def add_certificate_verb(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(certificate)


def certificate(
    out: Annotated[Path, typer.Option(help="The file to write, such as edgetill-root.crt.")],
    hub: HubOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Write the certificate that browsers trust so as to know this hub; its key is gone, so it vouches for no other."""
    from hub.identity import load_identity

    identity = load_identity(hub)
    identity.renew_tls()
    out.write_text(identity.browser_pem, "ascii")
    if as_json:
        write_json({"file": str(out), "sha256": identity.browser_fingerprint})
        return
    typer.echo(f"{out}: install it as a trusted root on the machines that read the desk")
    typer.echo(f"SHA-256 {identity.browser_fingerprint}")
