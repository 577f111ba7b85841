"""The verbs of the hub: found it, serve it, invite nodes, see and revoke them, define operators, issue tokens."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hub import commands_brought, commands_findings, commands_people
from hub.certificate_commands import add_certificate_verb
from hub.command_options import HERE as _HERE
from hub.command_options import HubOption, JsonOption
from hub.command_options import opened as _opened
from hub.command_options import write_json as _write_json
from hub.import_commands import add_import
from hub.store_commands import add_store_verbs
from hub.token_commands import add_token_verb
from schema.command_line import EXIT_INCOMPLETE
from schema.errors import RefusalError
from schema.kinds.organisation import LocationDefined

if TYPE_CHECKING:
    from hub.node_rights import RightHeld, RightTaken
    from hub.service import Hub


def commands(app: typer.Typer) -> None:
    """Add this package's verbs to the command."""
    app.add_typer(_hub_app(), name="hub")
    add_import(app)


def _hub_app() -> typer.Typer:
    app = typer.Typer(help="The meeting point of all nodes.", no_args_is_help=True)
    app.command()(init)
    app.command()(serve)
    app.command()(invite)
    app.command()(nodes)
    app.command()(status)
    app.command()(revoke)
    app.command()(rights)
    app.command()(prune)
    add_store_verbs(app)
    add_token_verb(app)
    add_certificate_verb(app)
    location = typer.Typer(help="The places of the organisation.", no_args_is_help=True)
    location.command("add")(add_location)
    app.add_typer(location, name="location")
    operator = typer.Typer(help="The people who work at tills.", no_args_is_help=True)
    operator.command("add")(add_operator)
    app.add_typer(operator, name="operator")
    commands_people.add_to(app, operator)
    commands_findings.add_to(app)
    commands_brought.add_to(app)
    account = typer.Typer(help="Who may use the hub's desk.", no_args_is_help=True)
    account.command("add")(add_account)
    account.command("password")(set_account_password)
    app.add_typer(account, name="account")
    bundle = typer.Typer(help="What nodes bring and take on a USB stick.", no_args_is_help=True)
    bundle.command("import")(import_bundle)
    bundle.command("export")(export_bundle)
    app.add_typer(bundle, name="bundle")
    return app


def init(
    directory: Annotated[Path, typer.Argument(help="A new directory for the hub.")],
    name: Annotated[str, typer.Option(help="The organisation's name.")],
    location: Annotated[list[str] | None, typer.Option(help="CODE:NAME:shop|warehouse|van; repeat for each.")] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Found the sample chain with its goods and stock.")] = False,
    address: Annotated[str, typer.Option(help="host:port as nodes reach the hub.")] = "127.0.0.1:8443",
    database: Annotated[str, typer.Option(help="A file name in the directory, or a PostgreSQL URL.")] = "hub.db",
    currency: Annotated[str, typer.Option(help="The currency of every amount, by its ISO 4217 code.")] = "CNY",
    time_zone: Annotated[
        str, typer.Option(help="The zone of its trading days, such as Asia/Shanghai.")
    ] = "Asia/Shanghai",
    as_json: JsonOption = False,
) -> None:
    """Found an organisation: its key, its locations, its default policies and a first token."""
    from hub.own_log import parse_location
    from hub.service import init_hub

    places = [parse_location(text) for text in location or []]
    if sample:
        from schema.sample import locations

        places += [LocationDefined(place.code, place.name, place.kind) for place in locations()]
    founded = init_hub(
        directory,
        name=name,
        locations=places,
        address=address,
        database=database,
        currency=currency,
        time_zone=time_zone,
    )
    if sample:
        from hub.importing import found_sample

        with _opened(directory) as opened:
            found_sample(opened)
    if as_json:
        _write_json(founded._asdict())
        return
    typer.echo(f"{name}: hub {founded.hub} in {directory}")
    typer.echo(f"token for the JSON API (shown once): {founded.token}")
    typer.echo(f"keep a copy of {directory / 'hub.key'} apart from the database's backup")


def serve(
    context: typer.Context,
    hub: HubOption = _HERE,
    host: Annotated[str | None, typer.Option(help="Where to listen; the address's host by default.")] = None,
    port: Annotated[int | None, typer.Option(help="The address's port by default; 0 takes a free one.")] = None,
    plain: Annotated[bool, typer.Option(help="Without TLS, on the loopback alone.")] = False,
    database: Annotated[
        str | None,
        typer.Option(
            envvar="EDGETILL_HUB_DATABASE",
            help="A file name in the directory, or postgresql://…; said here once it holds for every verb.",
        ),
    ] = None,
    processes: Annotated[int, typer.Option(help="How many processes serve together; more than one on PostgreSQL.")] = 1,
) -> None:
    """Serve nodes, the desk and the JSON API until SIGTERM; on an empty folder, first the page that founds it all."""
    from hub.identity import KEY_FILE, SETTINGS_FILE, load_identity, remember_database
    from hub.pages.first_run import issue_code
    from hub.processes import serve_alone, serve_together

    if not (hub / SETTINGS_FILE).exists() and not (hub / KEY_FILE).exists():
        port = _found_first(hub, host, port, plain=plain, database=database)
        if port is None:
            return

    def on_ready(opened: Hub, url: str) -> None:
        source = context.get_parameter_source("database")
        is_said_here = source is not None and source.name == "COMMANDLINE"
        if database is not None and is_said_here and load_identity(hub).settings.database != database:
            remember_database(hub, database)
            typer.echo(f"{hub / 'hub.toml'} names this database from now on", err=True)
        typer.echo(f"listening on {url}")
        if not opened.accounts.has_any():
            typer.echo(f"the owner makes the first account at {url}/first-run?code={issue_code(opened)}")

    if processes != 1:
        serve_together(
            hub, database=database, host=host, port=port, plain=plain, processes=processes, on_ready=on_ready
        )
        return
    serve_alone(hub, database=database, host=host, port=port, plain=plain, on_ready=on_ready)


def _found_first(
    directory: Path, host: str | None, port: int | None, *, plain: bool, database: str | None
) -> int | None:
    """Serve the founding page until it is done; returns the port to go on with, None where it was interrupted."""
    from hub.founding import Founding, Wish, found_hub
    from hub.identity import DEFAULT_ADDRESS, DEFAULT_DATABASE
    from hub.service import make_plain_server, release

    usual_host, _, usual_port = DEFAULT_ADDRESS.rpartition(":")
    reached: list[int] = []
    founded: list[Wish] = []

    def found(wish: Wish) -> str:
        found_hub(directory, wish, database or DEFAULT_DATABASE)
        founded.append(wish)
        return f"{'http' if plain else 'https'}://{host or wish.address.rpartition(':')[0]}:{reached[0]}"

    def on_done() -> None:
        server.should_exit = True

    address = f"{host or usual_host}:{port or usual_port}"
    founding = Founding(address, release(), found, on_done)

    def on_ready(url: str) -> None:
        reached.append(int(url.rpartition(":")[2]))
        typer.echo(f"there is no hub in {directory} yet: found it at {url}/first-run?code={founding.code}")

    server = make_plain_server(founding.app(), port=int(usual_port) if port is None else port, on_ready=on_ready)
    server.run()
    if not server.started:
        raise RefusalError("not_listening", f"the hub cannot listen on 127.0.0.1:{port or usual_port}")
    return reached[0] if founded else None


def invite(
    location: Annotated[str, typer.Option(help="The location that the node joins.")],
    name: Annotated[str, typer.Option(help="What people call the node.")],
    till: Annotated[str, typer.Option(help="The till code in its receipt numbers.")],
    profile: Annotated[str, typer.Option(help="till, warehouse, van or manager.")] = "till",
    hub: HubOption = _HERE,
    as_json: JsonOption = False,
) -> None:
    """Make an invitation that one node may use within 15 minutes."""
    from hub.enrolment import Profile

    if profile not in set(Profile):
        raise RefusalError("profile_unknown", f"{profile!r} is no profile: {', '.join(Profile)}")
    with _opened(hub) as opened:
        issued = opened.enrolment.invite(profile=Profile(profile), location=location, name=name, till=till)
    if as_json:
        _write_json(issued)
        return
    expires = datetime.datetime.fromtimestamp(issued.expires_ms / 1000).astimezone()
    typer.echo(f"{issued.invitation}\nat {issued.address} until {expires:%H:%M}")


def nodes(hub: HubOption = _HERE, as_json: JsonOption = False) -> None:
    """List every node with its last contact and its measured clock error."""
    from hub.registry import list_nodes

    with _opened(hub) as opened, opened.store.snapshot() as replica:
        listed, now_ms = list_nodes(replica), opened.now_ms()
    if as_json:
        _write_json([node._asdict() for node in listed])
        return
    for node in listed:
        seen = "never" if node.last_ms is None else f"{max(0, now_ms - node.last_ms) // 1000} s ago"
        clock = "" if node.offset_ms is None else f", clock {node.offset_ms:+d} ms"
        left = ", revoked" if node.is_revoked else ""
        typer.echo(f"{node.node}  {node.location}/{node.till}  {node.name}  seen {seen}{clock}{left}")


def status(hub: HubOption = _HERE, as_json: JsonOption = False) -> None:
    """Show each scope with its entries and the digests by which replicas compare, and what waits for a person."""
    from sync.document_projection import document_conflicts, records_digest
    from sync.session import fold_digests
    from sync.version_vector import vector_digest

    with _opened(hub) as opened, opened.store.snapshot() as replica:
        digests = fold_digests(replica)
        scopes = {
            scope: {
                "entries": sum(row.head.seq for row in replica.log.streams(scope)),
                "vector": vector_digest(replica.log.heads(scope)).hex(),
                "fold": digests[scope].hex(),
            }
            for scope in sorted(digests)
        }
        open_count = replica.connection.execute("SELECT count(*) FROM conflict WHERE status = 'OPEN'").fetchone()[0]
        documents = len(document_conflicts(replica.connection))
        catalogue = records_digest(replica.connection).hex()
    if as_json:
        _write_json(
            {"scopes": scopes, "open_conflicts": open_count, "document_conflicts": documents, "catalogue": catalogue}
        )
        return
    for scope, one in scopes.items():
        typer.echo(f"{scope}\t{one['entries']} entries\tfigures {str(one['fold'])[:16]}")
    typer.echo(f"{open_count} stock conflicts wait for a person, {documents} catalogue conflicts")


def revoke(
    node: Annotated[str, typer.Argument(help="The node's id.")],
    reason: Annotated[str, typer.Option(help="Why it leaves.")] = "",
    operator: Annotated[str, typer.Option(help="The id of the person who decides it.")] = "",
    hub: HubOption = _HERE,
) -> None:
    """Take a node out of the fleet: what the hub holds of it stays, nothing that comes later counts.

    What it might still promise of shared goods is written off.
    """
    from hub.node_rights import read_rights
    from hub.registry import revoke_node

    with _opened(hub) as opened:
        revoke_node(opened.store, opened.own_log, node, reason, operator)
        with opened.store.snapshot() as replica:
            found = read_rights(replica, node)
    typer.echo(f"{node} has left")
    for one in found.taken:
        if not one.successor:
            typer.echo(f"  written off: {_right_words(one)}")


def rights(
    node: Annotated[str, typer.Argument(help="The node's id.")],
    to: Annotated[
        str, typer.Option(help="Hand its rights on to this node; a restored one's own id: to its new stream.")
    ] = "",
    write_off: Annotated[bool, typer.Option("--write-off", help="Write off what came after it had left.")] = False,
    operator: Annotated[str, typer.Option(help="The id of the person who decides it.")] = "",
    hub: HubOption = _HERE,
    as_json: JsonOption = False,
) -> None:
    """Show what a node may still promise of shared goods or lend to customers, and what was taken from it."""
    from hub.node_rights import read_rights, record_handing, record_write_off
    from schema.identity import ORG

    with _opened(hub) as opened:
        if to or write_off:
            with opened.store.transaction(ORG) as replica:
                if to:
                    record_handing(replica, opened.own_log, node, to, operator)
                else:
                    record_write_off(replica, opened.own_log, node, operator)
        with opened.store.snapshot() as replica:
            found = read_rights(replica, node)
    if as_json:
        _write_json({"held": [one._asdict() for one in found.held], "taken": [one._asdict() for one in found.taken],
                     "to_give": [one._asdict() for one in found.to_give]})  # fmt: skip
        return
    for one in found.held:
        typer.echo(f"holds {_right_words(one)}{'  from before it was restored' if one.is_earlier else ''}")
    for taken in found.taken:
        typer.echo(f"{f'handed on to {taken.successor}' if taken.successor else 'written off'}: {_right_words(taken)}")
    for left in found.to_give:
        typer.echo(f"not given anew: {_right_words(left)}")
    if not (found.held or found.taken):
        typer.echo("no rights")


def _right_words(one: RightHeld | RightTaken) -> str:
    from schema.amounts import format_money

    if one.is_credit:
        return f"{format_money(one.quantity)} of the credit of {one.product}"
    worth = "" if one.value_minor is None else f", worth {format_money(one.value_minor)}"
    return f"{one.quantity / 1000:g} {one.product} at {one.location}{worth}"


def add_location(
    location: Annotated[str, typer.Argument(help="CODE:NAME:shop|warehouse|van.")], hub: HubOption = _HERE
) -> None:
    """Define a location, or redefine the one with this code."""
    from hub.own_log import parse_location
    from hub.registry import define_location

    defined = parse_location(location)
    with _opened(hub) as opened:
        define_location(opened.store, opened.own_log, defined)
    typer.echo(f"{defined.location} is {defined.name}")


def add_operator(
    number: Annotated[str, typer.Argument(help="What the operator types to sign in.")],
    name: Annotated[str, typer.Argument(help="The operator's name; it travels sealed.")],
    role: Annotated[str, typer.Option(help="cashier, driver, supervisor, stock_keeper, shop_manager, auditor …")],
    location: Annotated[list[str], typer.Option(help="Where the operator works; repeat for each.")],
    pin: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, help="4 to 12 digits.")],
    hub: HubOption = _HERE,
    as_json: JsonOption = False,
) -> None:
    """Define an operator, or redefine the one with this number."""
    from hub.operators import define_operator

    with _opened(hub) as opened:
        operator = define_operator(
            opened.store, opened.own_log, number=number, name=name, role=role, locations=location, pin=pin
        )
    if as_json:
        _write_json({"operator": operator, "number": number})
        return
    typer.echo(f"operator {number} is {operator}")


def add_account(
    login: Annotated[str, typer.Argument(help="What the person types to sign in.")],
    name: Annotated[str, typer.Argument(help="The person's name; it is stored sealed.")],
    role: Annotated[str, typer.Option(help="owner, administrator, shop_manager or auditor.")] = "owner",
    location: Annotated[list[str] | None, typer.Option(help="A shop manager's location; repeat for each.")] = None,
    password: Annotated[
        str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, help="At least 10 characters.")
    ] = "",
    hub: HubOption = _HERE,
) -> None:
    """Give someone an account of the desk: whoever holds the hub's directory may."""
    from hub.accounts import make_password, record_account
    from schema.identity import ORG
    from schema.kinds.desk import ActRecorded

    verifier = make_password(password)
    with _opened(hub) as opened, opened.store.transaction(ORG) as replica:
        operator = record_account(
            replica, opened.own_log, login=login, password=verifier, name=name, role=role, locations=location or []
        )
        opened.own_log.append(replica, ORG, ActRecorded(operator, "account.add", login, "at the hub's directory"))
    typer.echo(f"{login} may sign in as {role}")


def set_account_password(
    login: Annotated[str, typer.Argument(help="Whose password it is.")],
    password: Annotated[
        str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, help="At least 10 characters.")
    ] = "",
    hub: HubOption = _HERE,
) -> None:
    """Give an account another password: the way back for an owner who forgot it."""
    from hub.accounts import make_password, set_password

    verifier = make_password(password)
    with _opened(hub) as opened, opened.store.transaction(None) as replica:
        set_password(replica.connection, login.strip().casefold(), verifier, opened.now_ms())
    typer.echo(f"{login} has a new password; every session has ended")


def import_bundle(
    file: Annotated[Path, typer.Argument(help="What `edgetill bundle export` wrote at a node.")],
    hub: HubOption = _HERE,
    as_json: JsonOption = False,
) -> None:
    """Take a node's bundle in, as if it had synced; the hub may be serving. Exit status 5: some were refused."""
    from hub.bundles import import_bundle as take_in

    with _opened(hub) as opened:
        entries, refusals = take_in(opened, file)
    if as_json:
        _write_json({"entries": entries, "refusals": refusals})
    else:
        typer.echo(f"{entries} new entries from {file}")
        for refusal in refusals:
            typer.echo(f"  refused {refusal.stream} from {refusal.seq}: {refusal.message} [{refusal.code}]")
    if refusals:
        raise SystemExit(EXIT_INCOMPLETE)


def export_bundle(
    node: Annotated[str, typer.Argument(help="The id of the node that takes it.")],
    file: Annotated[Path, typer.Argument(help="Where to write the bundle.")],
    answering: Annotated[
        Path | None, typer.Option(help="A bundle of that node: what it says that it has is left out.")
    ] = None,
    hub: HubOption = _HERE,
) -> None:
    """Write what a node may hold into a file for `edgetill bundle import`; operators' PINs travel by sync alone."""
    from hub.bundles import export_bundle as write_out

    with _opened(hub) as opened:
        entries = write_out(opened, node, file, answering)
    typer.echo(f"{entries} entries in {file}")


def prune(
    location: Annotated[list[str] | None, typer.Option(help="A location to cut; repeat for each; else all.")] = None,
    older_than_days: Annotated[int, typer.Option(help="Entries older than this may leave the nodes.")] = 30,
    hub: HubOption = _HERE,
    as_json: JsonOption = False,
) -> None:
    """State the opening balance of each location, so that nodes may let old entries go; the hub keeps them all."""
    from schema.identity import scope_location

    reports = []
    with _opened(hub) as opened:
        with opened.store.snapshot() as replica:
            here = sorted(str(at) for scope in replica.log.scopes() if (at := scope_location(scope)) is not None)
        for place in location or here:
            try:
                reports.append(opened.pruning.cut_location(place, older_than_days=older_than_days))
            except RefusalError as error:
                if location or error.code != "nothing_older":
                    raise
    if as_json:
        _write_json([report._asdict() for report in reports])
        return
    for report in reports:
        typer.echo(
            f"{report.scope}: {report.keys} products carried in {report.parts} parts, {report.keys_whole} kept whole;"
            f" {report.entries_below} entries below the cut, {report.entries_kept} of them still matter"
        )
    if not reports:
        typer.echo("nothing is older")
