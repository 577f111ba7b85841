"""The verb that makes a token of the JSON API in the name of an account: a token may never do more than its maker."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.command_options import HERE, HubOption, JsonOption, opened, write_json
from schema.errors import RefusalError


def add_token_verb(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(token)


def token(
    name: Annotated[str, typer.Argument(help="Who uses it; the old token of that name stops working.")],
    by: Annotated[str, typer.Option(help="The login of who makes it; the only owner by default.")] = "",
    scope: Annotated[
        list[str] | None, typer.Option(help="read, catalogue or settle; repeat for each. Read alone by default.")
    ] = None,
    location: Annotated[
        list[str] | None, typer.Option(help="A location that it sees, by code; repeat for each. All by default.")
    ] = None,
    days: Annotated[int, typer.Option(help="Days that it is good for; 0: without end.", min=0, max=3650)] = 0,
    hub: HubOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Make a token for the JSON API in the name of an account; it is shown once."""
    from hub.tokens import TokenScope, check_reach, create_token, token_maker
    from schema.identity import ORG
    from schema.kinds.desk import ActRecorded
    from schema.kinds.organisation import LocationDefined

    wanted = scope or [TokenScope.READ.value]
    if unknown := [one for one in wanted if one not in set(TokenScope)]:
        said = f"{unknown[0]!r} is no scope: {', '.join(TokenScope)}"
        raise RefusalError("token_scope_unknown", said, scope=unknown[0])
    check_reach(wanted, location or [])
    with opened(hub) as at, at.store.transaction(ORG) as replica:
        maker = token_maker(replica, by)
        known = replica.organisation.newest_each(replica.connection, LocationDefined)
        for code in location or []:
            if code not in known:
                raise RefusalError("location_unknown", f"there is no location {code}", location=code)
        at.own_log.append(replica, ORG, ActRecorded(maker, "token.add", name[:96], "at the hub's directory"))
        now_ms = at.now_ms()
        made = create_token(
            replica.connection, name, now_ms, scopes=wanted, locations=location or (), operator=maker,
            expires_ms=now_ms + days * 86_400_000 if days else None,
        )  # fmt: skip
    if as_json:
        write_json({"name": name, "token": made})
        return
    typer.echo(made)
