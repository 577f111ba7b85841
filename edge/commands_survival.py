"""The verbs by which a node survives: its neighbours, its backup, its restore and its passphrase."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from edge.command_options import HERE, JsonOption, NodeOption, open_node, shown_time, write_json

COPY_EVERY_S = 60.0


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(neighbours)
    app.command()(restore)
    app.command()(passphrase)
    backups = typer.Typer(help="Continuous backup of a node, and the proof that it can be used.", no_args_is_help=True)
    backups.command("set")(backup_set)
    backups.command("off")(backup_off)
    backups.command("run")(backup_run)
    backups.command("check")(backup_check)
    backups.command("status")(backup_status)
    backups.command("copy")(backup_copy)
    app.add_typer(backups, name="backup")


def neighbours(node: NodeOption = HERE, as_json: JsonOption = False) -> None:
    """Show the location's other tills as they were last met, and how much of this node's log they hold."""
    from edge.lan_copies import lan_copies, peers_seen

    with open_node(node) as opened:
        peers, copies = peers_seen(opened), lan_copies(opened)
        if as_json:
            write_json({"own": copies.own, "copied": copies.copied, "peers": peers})
            return
        typer.echo(f"{copies.copied} of {copies.own} own entries are on another till")
        for peer in peers:
            met = shown_time(opened, peer.last_ms) if peer.last_ms else "never"
            clock = "" if peer.offset_ms is None else f"\tits clock {peer.offset_ms:+} ms"
            trouble = f"\t{peer.problem}" if peer.problem else ""
            typer.echo(f"  {peer.name}\t{peer.address}\tmet {met}\tholds {peer.held}{clock}{trouble}")


def restore(
    source: Annotated[
        str,
        typer.Argument(help="The backup: a folder, an address of s3:// or sftp:// as `backup status` shows, a file."),
    ],
    node: NodeOption = HERE,
    peer: Annotated[list[str] | None, typer.Option(help="A neighbour as host:port; repeat.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Restore a node on a new machine from its backup and from what the hub and the other tills hold."""
    from edge.clock_source import clock_from_environment, local_time
    from edge.config import read_config
    from edge.encryption import ask_passphrase
    from edge.restoring import restore as restore_node

    typed = ask_passphrase("recovery passphrase (an encrypted node's own will do): ")

    def tell(text: str) -> None:
        typer.echo(text, err=True)

    restored = restore_node(node, source, typed, clock_from_environment(), peers=peer or (), tell=tell)
    if as_json:
        write_json(restored)
        return
    zone = read_config(node).time_zone
    typer.echo(f"{restored.name} at {restored.location}, till {restored.till}, is back in {node}")
    last = (
        ""
        if restored.last_own_ms is None
        else f", the last of {local_time(restored.last_own_ms, zone):%Y-%m-%d %H:%M:%S}"
    )
    typer.echo(f"{restored.own_entries} of its entries are here ({restored.from_backup} from the backup){last}")
    typer.echo("what it recorded after that and told nobody is not here")
    typer.echo(f"it goes on under incarnation {restored.incarnation}: receipts begin a series of their own")
    hub = f"was not: {restored.heard_of_hub}" if restored.heard_of_hub else "was"
    typer.echo(f"{restored.neighbours} neighbours were asked; the hub {hub}")
    for one in restored.missing:
        typer.echo(f"  missing: entries {one.first_seq} to {one.last_seq} of {one.stream}")
    for finding in restored.findings:
        typer.echo(f"  {finding}")


def passphrase(node: NodeOption = HERE) -> None:
    """Give an encrypted node another passphrase; the recovery passphrase stays."""
    from edge.encryption import ask_new_passphrase, change_passphrase, data_key

    data_key(node)
    change_passphrase(node, ask_new_passphrase())
    typer.echo(f"{node} opens with the new passphrase alone, or with the recovery passphrase")


def backup_set(
    target: Annotated[str, typer.Argument(help="A folder from its root, sftp://user@host/path or s3://bucket/path.")],
    node: NodeOption = HERE,
) -> None:
    """Set where the backup goes; `sync --watch` and `backup run` keep it going, credentials are in the environment."""
    from edge.backup_target import choose_target

    with open_node(node) as opened:
        address = choose_target(opened, target)
    typer.echo(f"the backup goes to {address}; start it with `edgetill sync --watch`")


def backup_off(node: NodeOption = HERE) -> None:
    """Have no backup any more; what was copied stays where it is."""
    from edge.backup_target import choose_target

    with open_node(node) as opened:
        choose_target(opened, "")
    typer.echo("this node has no backup now")


def backup_run(node: NodeOption = HERE) -> None:
    """Keep the backup going without exchanging with the hub, until interrupted."""
    from edge.watching import watching
    from schema.errors import RefusalError

    with open_node(node) as opened:
        if not opened.config.backup:
            raise RefusalError("backup_off", "this node has no backup: set one with `edgetill backup set`")
        try:
            with watching(opened, lambda text: typer.echo(text, err=True), with_neighbours=False) as is_over:
                while not is_over.wait(1.0):
                    pass
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)


def backup_check(node: NodeOption = HERE, as_json: JsonOption = False) -> None:
    """Restore the newest backup into a folder that is thrown away, examine it, and note whether it can be used."""
    from edge.backup_proof import prove
    from schema.errors import RefusalError

    with open_node(node) as opened:
        proof = prove(opened, opened.clock_source)
        if as_json:
            write_json(proof)
        elif proof.is_proven:
            typer.echo(
                f"the backup at {proof.address} was restored in {proof.seconds:.1f} s: whole, {proof.entries} own"
                f" entries, complete until {shown_time(opened, proof.copy_ms)}"
            )
        if not proof.is_proven:
            raise RefusalError(proof.problem, proof.message)


def backup_status(node: NodeOption = HERE, as_json: JsonOption = False) -> None:
    """Show where the backup goes, when it was last proven, and what is wrong with it."""
    from edge.backup_target import backup_row, replica_address

    with open_node(node) as opened:
        row = backup_row(opened)
        address = replica_address(opened, row) if opened.config.backup else ""
        if as_json:
            write_json({"address": address, **({} if row is None else row._asdict())})
            return
        if not address:
            typer.echo("this node has no backup: set one with `edgetill backup set`")
            return
        typer.echo(f"the backup goes to {address}")
        if row is None or not row.checked_ms:
            typer.echo("it was never proven")
            return
        typer.echo(f"last proven {shown_time(opened, row.proven_ms) if row.proven_ms else 'never'}")
        if row.copy_ms:
            typer.echo(f"complete until {shown_time(opened, row.copy_ms)}, {row.entries} own entries")
        if row.problem:
            typer.echo(f"it cannot be used: {row.message} [{row.problem}]")


def backup_copy(
    node: NodeOption = HERE,
    every: Annotated[float, typer.Option(help="Seconds between two copies; once and no more for nothing.")] = 0.0,
) -> None:
    """Copy the encrypted file into its carrier, which is replicated; for nodes that are encrypted at rest."""
    from edge.clock_source import clock_from_environment
    from edge.encrypted_copy import EncryptedCopier

    with EncryptedCopier(node, clock_from_environment()) as copier:
        version: tuple[int, int] | None = None
        while True:
            found = copier.version()
            if found != version:
                version = found
                changed = copier.copy()
                if not every:
                    typer.echo(f"{changed} pieces changed")
            if not every:
                return
            time.sleep(every)
