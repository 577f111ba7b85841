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
    customer.command("list")(list_all_customers)
    customer.command("add")(add_customer)
    customer.command("price-list")(customer_price_list)
    customer.command("credit")(customer_credit)
    app.command()(route)
    app.command()(deposit)
    app.add_typer(customer, name="customer")


def setting(
    name: Annotated[str, typer.Argument(help="Such as limits, cash or till; another name is answered with all.")],
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


def list_all_customers(hub: HubOption = HERE, as_json: JsonOption = False) -> None:
    """List customers with their price list."""
    from hub.customers import list_customers

    with opened(hub) as at, at.store.snapshot() as replica:
        found = list_customers(replica)
    if as_json:
        write_json([one._asdict() for one in found])
        return
    for one in found:
        typer.echo(f"{one.person}  {one.code:<8} {one.name}  {one.phone_masked}  {one.tier}".rstrip())


def add_customer(
    code: Annotated[str, typer.Argument(help="What the shop calls the customer, such as C0001.")],
    name: Annotated[str, typer.Argument(help="The customer's name.")],
    phone: Annotated[str, typer.Option(help="The number by which tills find the customer.")] = "",
    price_list: Annotated[str, typer.Option(help="The price list that the customer pays by.")] = "",
    address: Annotated[str, typer.Option(help="Where the van finds the customer.")] = "",
    hub: HubOption = HERE,
) -> None:
    """Define a customer, or anew the one with the same phone number; everything personal is sealed."""
    from hub.customers import people_by_hash, record_customer
    from schema.identity import ORG
    from schema.rows import CustomerRow

    row = CustomerRow(code=code, name=name, phone=phone, tier=price_list, address=address)
    with opened(hub) as at, at.store.transaction(ORG) as replica:
        person = record_customer(replica, at.own_log, row, people_by_hash(replica))
    typer.echo(person)


def customer_price_list(
    who: Annotated[str, typer.Argument(help="A phone number, a customer's code, or the id.")],
    price_list: Annotated[str, typer.Argument(help="The list's name; empty for everyone's prices.")],
    hub: HubOption = HERE,
) -> None:
    """Have a customer pay by a price list; tills follow with their next sync."""
    from hub.customers import find_person, set_price_list
    from schema.identity import ORG

    with opened(hub) as at, at.store.transaction(ORG) as replica:
        set_price_list(replica, at.own_log, find_person(replica, who), price_list)
    typer.echo(f"{who} pays by {price_list or 'the common prices'}")


def customer_credit(
    who: Annotated[str, typer.Argument(help="A phone number, a customer's code, or the id.")],
    limit: Annotated[str, typer.Option(help="What the customer may owe, such as 5000.00.")] = "",
    follow: Annotated[bool, typer.Option("--follow", help="Let the chain's limit apply again.")] = False,
    give: Annotated[
        list[str] | None, typer.Option(help="NODE=AMOUNT: give a till (V1) or van (V) the right to lend so much.")
    ] = None,
    hub: HubOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Set a customer's own limit of credit, give parts of it to tills and vans, and show how it stands."""
    from hub.credit import read_credit, record_limit, record_share
    from hub.customers import find_person
    from schema.amounts import format_money
    from schema.identity import ORG

    with opened(hub) as at, at.store.transaction(ORG) as replica:
        person = find_person(replica, who)
        if limit or follow:
            record_limit(replica, at.own_log, person, None if follow else _money(limit))
        for text in give or ():
            node, equals, amount = text.partition("=")
            if not equals:
                raise RefusalError("share_malformed", f"{text!r}: write NODE=AMOUNT, such as V1=800.00")
            record_share(replica, at.own_log, person, node, _money(amount))
        standing = read_credit(replica, person)
    if as_json:
        write_json({**standing._asdict(), "room_minor": standing.room_minor,
                    "shares": [one._asdict() for one in standing.shares]})  # fmt: skip
        return
    if standing.limit_minor is None:
        typer.echo(f"{person} owes {format_money(standing.owed_minor)}; the chain's limit applies")
        return
    told = [f"limit {format_money(standing.limit_minor)}", f"owed {format_money(standing.owed_minor)}"]
    typer.echo(f"{person} {', '.join(told)}, still to give {format_money(standing.room_minor)}")
    for one in standing.shares:
        state = "  written off: its node has left" if one.is_written_off else ""
        typer.echo(f"  {one.location}  {one.name}  may lend {format_money(one.left_minor)}{state}")


def _money(text: str) -> int:
    from schema.amounts import parse_money

    try:
        return parse_money(text)
    except ValueError as error:
        raise RefusalError("money_malformed", str(error), text=text) from None


def route(
    location: Annotated[str, typer.Argument(metavar="VAN", help="The van's location.")],
    customers: Annotated[list[str] | None, typer.Argument(help="Its customers in order: CODE, or CODE=NOTE.")] = None,
    warehouse: Annotated[str | None, typer.Option(help="The warehouse that it loads from.")] = None,
    hub: HubOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Define a van's round, or show it when no customers are named."""
    from hub.routes import read_route, record_route
    from schema.identity import ORG

    with opened(hub) as at:
        if customers or warehouse is not None:
            with at.store.transaction(ORG) as replica:
                kept = [(one.person, one.note) for one in read_route(replica, location).rules.stops]
                wanted = [(who, note) for who, _, note in (text.partition("=") for text in customers or ())]
                record_route(replica, at.own_log, location, wanted or kept, warehouse)
        with at.store.snapshot() as replica:
            found = read_route(replica, location)
    if as_json:
        write_json(found)
        return
    typer.echo(f"{found.location} {found.name}, loads from {found.rules.warehouse or 'the only warehouse'}")
    for place, stop in enumerate(found.rules.stops, 1):
        typer.echo(f"{place:>3} {stop.person}  {stop.note}".rstrip())


def deposit(
    product: Annotated[str, typer.Argument(help="The goods, by code.")],
    article: Annotated[str, typer.Argument(help="The article that is charged with them, such as an empty bottle's.")],
    quantity: Annotated[str, typer.Option(help="How many of it for one; 0: none any more.")] = "1",
    unit: Annotated[
        str, typer.Option(help="For one of this selling unit (a crate for a case), else the base unit.")
    ] = "",
    hub: HubOption = HERE,
) -> None:
    """Charge a deposit with goods; customers bring the article back empty and are given its price."""
    from hub.catalogue import CatalogueDesk, view_product
    from schema.amounts import parse_quantity
    from schema.catalogue import Deposit
    from schema.identity import ORG

    try:
        milli = int(parse_quantity(quantity))
    except ValueError as error:
        raise RefusalError("quantity_invalid", str(error)) from None
    with opened(hub) as at, at.store.transaction(ORG) as replica:
        desk = CatalogueDesk(replica, at.own_log)
        goods = view_product(replica.connection, product)
        kept = [one for one in goods.product.deposits if (one.product, one.unit) != (article, unit)]
        if milli > 0:
            kept.append(Deposit(article, milli, unit))
        changed = msgspec.structs.replace(goods.product, deposits=tuple(kept))
        desk.change_product(changed, {}, goods.version)
    typer.echo(f"{product} is sold with {quantity} {article}" + (f" for each {unit}" if unit else ""))
