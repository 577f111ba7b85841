"""The hub's verbs for what tills leave to be finished: findings, drafts of products, tenders of unknown outcome."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from hub.command_options import HERE, HubOption, JsonOption, opened, write_json


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(findings)
    app.command()(drafts)
    app.command()(tenders)


def findings(
    kind: Annotated[
        str | None, typer.Option(help="overspent, credit_exceeded, coupon_reused or refund_exceeds; else all.")
    ] = None,
    location: Annotated[str | None, typer.Option(help="Only what touches this location.")] = None,
    hub: HubOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """List what all locations together show: money spent twice, coupons used twice, sales refunded twice."""
    from hub.findings import list_findings, settle_findings
    from schema.amounts import format_money
    from schema.rows import BalanceKind

    with opened(hub) as at:
        settle_findings(at.store, at.now_ms())
        with at.store.snapshot() as replica:
            found = list_findings(replica.connection, kind=kind, location=location)
    if as_json:
        write_json([msgspec.to_builtins(one) for one in found])
        return
    for one in found:
        stake = f"{one.amount} points" if one.balance == BalanceKind.MEMBER_POINTS.value else format_money(one.amount)
        typer.echo(f"{one.kind:<16} {stake:>12}  {one.balance} {one.subject}  at {', '.join(one.locations)}".rstrip())
        for evidence in one.evidence:
            approved = f"  allowed by {evidence.approver}" if evidence.approver else ""
            typer.echo(f"    {evidence.location:<4} {evidence.amount:>12}  {evidence.entry}{approved}")
    if not found:
        typer.echo("nothing was found")


def drafts(hub: HubOption = HERE, as_json: JsonOption = False) -> None:
    """List goods that tills sold without a catalogue entry, until a product has their barcode."""
    from hub.till_reads import list_drafts
    from schema.amounts import format_money

    with opened(hub) as at, at.store.snapshot() as replica:
        listed = list_drafts(replica.connection)
    if as_json:
        write_json([one._asdict() for one in listed])
        return
    for one in listed:
        prices = format_money(one.low_minor)
        if one.high_minor != one.low_minor:
            prices += f" to {format_money(one.high_minor)}"
        typer.echo(f"{one.barcode:<20} {prices:>16}  {one.times} ×  at {', '.join(one.locations)}  {one.name}".rstrip())


def tenders(
    only_open: Annotated[bool, typer.Option("--open", help="Only those that nobody has settled.")] = False,
    location: Annotated[str | None, typer.Option(help="Only of this location.")] = None,
    hub: HubOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """List payments whose outcome the till did not know, and what became of them."""
    from hub.till_reads import list_tenders
    from schema.amounts import format_money

    with opened(hub) as at, at.store.snapshot() as replica:
        listed = list_tenders(replica.connection, is_open=only_open, location=location)
    if as_json:
        write_json([one._asdict() for one in listed])
        return
    for one in listed:
        state = one.outcome or "open"
        typer.echo(
            f"{one.business_date} {one.receipt_number}  {one.means} {format_money(one.amount_minor)}"
            f"  {one.reference}  {state}".rstrip()
        )
