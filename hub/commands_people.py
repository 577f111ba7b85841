"""The hub's verbs of settings and people: define a setting, remove an operator, find and forget a customer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from hub.command_options import HERE, HubOption, JsonOption, opened, write_json
from schema.errors import RefusalError


def add_to(app: typer.Typer, operator: typer.Typer) -> None:
    """Add the verbs; `operator` is the group of those about operators."""
    app.command()(setting)
    app.command()(settings)
    operator.command("remove")(remove_operator)
    customer = typer.Typer(help="Members and customers.", no_args_is_help=True)
    customer.command("show")(show_customer)
    customer.command("forget")(forget_customer)
    app.add_typer(customer, name="customer")


def setting(
    name: Annotated[str, typer.Argument(help="limits, cash, till, loyalty, elsewhere, shop or receipt.")],
    value: Annotated[str | None, typer.Option(help='The whole setting as JSON, such as {"step_minor": 10}.')] = None,
    file: Annotated[Path | None, typer.Option(help="A file that holds the JSON.")] = None,
    location: Annotated[str, typer.Option(help="Only for this location; else for the whole chain.")] = "",
    follow: Annotated[bool, typer.Option("--follow", help="Let the location follow the chain again.")] = False,
    hub: HubOption = HERE,
) -> None:
    """Define a setting, or show it as it holds when no value is given; what tills could not read is refused."""
    from hub.settings import define_setting, let_follow, list_settings
    from schema.files import read_given
    from schema.settings import SETTINGS

    if name not in SETTINGS:
        raise RefusalError("setting_unknown", f"{name!r} is no setting: {', '.join(SETTINGS)}")
    content = read_given(file) if file is not None else None if value is None else value.encode()
    with opened(hub) as at:
        if follow:
            let_follow(at.store, at.own_log, name, location)
            typer.echo(f"{name} of {location} follows the chain with its tills' next sync")
            return
        if content is not None:
            define_setting(at.store, at.own_log, name, content, location)
            typer.echo(f"{name} is defined for {location or 'the chain'}; tills have it with their next sync")
            return
        with at.store.snapshot() as replica:
            held = {one.location: one for one in list_settings(replica) if one.name == name}
    shown = held.get(location) or held[""]
    typer.echo(msgspec.json.format(shown.value, indent=2))


def settings(hub: HubOption = HERE, as_json: JsonOption = False) -> None:
    """List every setting, and whether it is defined or the program's own default."""
    from hub.settings import list_settings

    with opened(hub) as at, at.store.snapshot() as replica:
        listed = list_settings(replica)
    if as_json:
        write_json([{**one._asdict(), "value": msgspec.Raw(one.value.encode())} for one in listed])
        return
    for one in listed:
        where = one.location or "chain"
        typer.echo(f"{one.name:<10} {where:<8} {'defined' if one.is_defined else 'default'}  {one.value[:80]}")


def remove_operator(
    number: Annotated[str, typer.Argument(help="What the operator typed to sign in.")], hub: HubOption = HERE
) -> None:
    """Let an operator work nowhere any more; each till knows it with its next sync."""
    from hub.operators import remove_operator as take_off

    with opened(hub) as at:
        operator = take_off(at.store, at.own_log, number)
    typer.echo(f"operator {number} ({operator}) works here no more")


def show_customer(
    who: Annotated[str, typer.Argument(help="A phone number, a customer's code, or the id.")],
    hub: HubOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Show a customer with the balances of all locations."""
    from hub.balances import balances_of
    from hub.customers import find_person, read_customer

    with opened(hub) as at, at.store.snapshot() as replica:
        customer = read_customer(replica, find_person(replica, who))
        balances = balances_of(replica.connection, customer.person)
    if as_json:
        write_json({**customer._asdict(), "balances": balances})
        return
    typer.echo(f"{customer.person}  {customer.name}  {customer.phone_masked}  {customer.tier}".rstrip())
    for kind, amount in balances.items():
        typer.echo(f"  {kind:<16} {amount}")


def forget_customer(
    who: Annotated[str, typer.Argument(help="A phone number, a customer's code, or the id.")],
    sure: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    hub: HubOption = HERE,
) -> None:
    """Forget a customer for good: name, number and address become unreadable here and on every till."""
    from hub.customers import find_person, forget_person
    from schema.identity import ORG

    with opened(hub) as at:
        with at.store.snapshot() as replica:
            person = find_person(replica, who)
        if not sure:
            typer.confirm(f"Forget {who} ({person})? This cannot be undone", abort=True)
        with at.store.transaction(ORG) as replica:
            forget_person(replica, at.own_log, person)
    typer.echo(f"{person} is forgotten")
