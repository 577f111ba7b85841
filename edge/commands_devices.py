"""The verbs of devices and paper: list, test, explain and simulate devices; show, print and look after receipts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.command_options import HERE, JsonOption, NodeOption, open_node, write_json
from schema.errors import RefusalError
from schema.rules.promotion_terms import Language

if TYPE_CHECKING:
    from edge.devices_config import DevicesConfig

AddressOption = Annotated[str, typer.Option(help="Instead of the node's own: serial:/dev/…, tcp://…, usb:…, file:….")]
ProfileOption = Annotated[str, typer.Option(help="The printer's paper and fonts: 80mm, 58mm, 80mm-latin, 58mm-simple.")]
ProtocolOption = Annotated[str, typer.Option(help="The scale's language: toledo-8217, cas, continuous.")]
LanguageOption = Annotated[Language, typer.Option(help="The language of the sentences.")]


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    devices = typer.Typer(help="List, test, explain and simulate a till's devices.", invoke_without_command=True)
    devices.callback()(_listed_without_verb)
    verbs: dict[str, Callable[..., None]] = {
        "list": list_, "test": try_, "explain": explain, "simulate": simulate, "picture": picture,
    }  # fmt: skip
    for name, verb in verbs.items():
        devices.command(name)(verb)
    app.add_typer(devices, name="devices")
    receipts = typer.Typer(help="Show and print receipts, and what became of their paper.", no_args_is_help=True)
    verbs = {"show": show, "print": print_, "jobs": jobs, "answer": answer}
    for name, verb in verbs.items():
        receipts.command(name)(verb)
    app.add_typer(receipts, name="receipts")


def _listed_without_verb(context: typer.Context, node: NodeOption = HERE) -> None:
    """List, test, explain and simulate a till's devices."""
    if context.invoked_subcommand is None:
        list_(node)


def _config(node: Path) -> DevicesConfig:
    from edge.devices_config import read_devices

    return read_devices(node)


def list_(node: NodeOption = HERE, language: LanguageOption = Language.EN, as_json: JsonOption = False) -> None:
    """List the devices that are set up, how each is, and what is plugged into this machine."""
    from drivers.link import serial_ports
    from drivers.usb import usb_printers
    from edge.device_check import check_devices
    from schema.texts import Texts

    states = check_devices(_config(node))
    serial, usb = serial_ports(), usb_printers()
    if as_json:
        found = [(one.address, one.description) for one in serial] + [(one.address, one.description) for one in usb]
        write_json({"devices": [state._asdict() for state in states], "found": found})
        return
    texts = Texts("schema", language)
    typer.echo(f"Set up in {node / 'devices.toml'}:" if states else f"Nothing is set up in {node / 'devices.toml'}.")
    for state in states:
        typer.echo(f"  {state.role.value:<8} {state.address}")
        typer.echo(f"           {state.sentence(texts)}")
    typer.echo("Plugged into this machine:" if serial or usb else "No serial port and no USB printer is to be seen.")
    for port in serial:
        typer.echo(f"  {port.address}  {port.description}")
    for printer in usb:
        typer.echo(f"  {printer.device_file or printer.address}  {printer.description} ({printer.address})")


def try_(
    what: Annotated[str, typer.Argument(help="printer, drawer, scanner, scale or display.")],
    node: NodeOption = HERE,
    address: AddressOption = "",
    profile: ProfileOption = "80mm",
    protocol: ProtocolOption = "toledo-8217",
    language: LanguageOption = Language.EN,
    within: Annotated[float, typer.Option(help="Seconds to wait for a scan or a steady weight.")] = 15.0,
) -> None:
    """Use one device as the till would, and say what came of it. Exit status 1: it did not work.

    For example: edgetill devices test printer --address tcp://192.168.1.50:9100 --profile 58mm
    """
    from edge.device_check import Trial, try_device
    from schema.texts import Texts

    trial = Trial(what, address, profile, protocol, within)
    if what == "scanner":
        typer.echo(f"scan something within {within:g} s", err=True)
    texts = Texts("schema", language)
    outcome = try_device(_config(node) if not address else None, trial, texts)
    typer.echo(outcome.sentence)
    if not outcome.is_well:
        raise SystemExit(1)


def explain(
    what: Annotated[str, typer.Argument(help="printer, scanner, scale or display; all without.")] = "",
    language: LanguageOption = Language.EN,
) -> None:
    """Say what to write into devices.toml for each device, and what its common faults mean."""
    from edge.device_check import explanation

    typer.echo(explanation(what, language))


def simulate(
    directory: Annotated[Path, typer.Option(help="Where ports and pictures of paper are made.")] = Path(
        "build/devices"
    ),
    node: Annotated[Path | None, typer.Option("--node", help="Write devices.toml of this node, unless it has one.")]
    = None,
    profile: ProfileOption = "80mm",
    protocol: ProtocolOption = "toledo-8217",
    port: Annotated[int, typer.Option(help="The printer's port; any free one without.")] = 0,
    seconds: Annotated[float | None, typer.Option("--for", help="End after so long; Ctrl-C ends it too.")] = None,
) -> None:  # fmt: skip
    """Stand in for printer, drawer, scanner, scale and display; what is printed is kept as PNG.

    Type what happens at the counter: scan CODE, weigh GRAMS, paper out, unplug scanner …
    """
    import signal

    from edge.devices_config import toml_of
    from edge.simulated_counter import SimulatedCounter, lent_to

    signal.signal(signal.SIGTERM, _interrupt)
    counter = SimulatedCounter(
        directory, profile=profile, protocol=protocol, port=port,
        on_paper=lambda path: typer.echo(f"paper: {path}"),
        on_display=lambda lines: typer.echo(f"display: |{lines[0]}|{lines[1]}|"),
    )  # fmt: skip
    with counter:
        typer.echo(toml_of(counter.config()))
        if not counter.has_font:
            typer.echo("No Chinese font is here (fonts-noto-cjk): hanzi on pictures are shown by their code.", err=True)
        with lent_to(node, counter.config()):
            _obey(counter.obey, seconds)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _obey(obey: Callable[[str], str], seconds: float | None) -> None:
    """Do what is typed until it ends, time is up, or Ctrl-C."""
    import queue
    import threading

    typed: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            typed.put(line)

    threading.Thread(target=read, name="reads what is typed", daemon=True).start()
    until = None if seconds is None else time.monotonic() + seconds
    try:
        while until is None or time.monotonic() < until:
            try:
                line = typed.get(timeout=0.1)
            except queue.Empty:
                continue
            if line.strip():
                try:
                    typer.echo(obey(line))
                except RefusalError as error:
                    typer.echo(error.message)
    except KeyboardInterrupt:
        return


def picture(
    file: Annotated[Path, typer.Argument(help="What was sent to a printer.", exists=True, dir_okay=False)],
    profile: ProfileOption = "80mm",
) -> None:
    """Show what a file of printer bytes looks like on paper: as text, and as PNG beside the file."""
    from drivers.escpos.code_page import PROFILES
    from drivers.escpos.interpreter import paper_of
    from drivers.escpos.picture import default_typeface
    from schema.files import read_given

    if profile not in PROFILES:
        raise RefusalError("profile_unknown", f"a profile is one of {', '.join(PROFILES)}")
    paper = paper_of(read_given(file), PROFILES[profile])
    paper.picture().save(file.with_suffix(".png"), "PNG")
    typer.echo(paper.text())
    if not default_typeface().has_hanzi:
        typer.echo("No Chinese font is here (fonts-noto-cjk): hanzi on the picture are shown by their code.", err=True)


def show(
    receipt: Annotated[str, typer.Argument(help="A receipt's number, or an entry.")],
    node: NodeOption = HERE,
    columns: Annotated[int | None, typer.Option(help="The paper's width; the shop's own without.")] = None,
    language: Annotated[Language | None, typer.Option(help="The shop's own without.")] = None,
) -> None:
    """Show a stored receipt as it stands on paper."""
    from edge.receipts import receipt_document

    with open_node(node) as opened:
        for line in receipt_document(opened, receipt, columns=columns, language=language).preview():
            typer.echo(line)


def print_(
    receipt: Annotated[str, typer.Argument(help="A receipt to print again, marked as a copy; none: what waits.")] = "",
    node: NodeOption = HERE,
    language: LanguageOption = Language.EN,
) -> None:
    """Print what waits, and where one is named a receipt again. Exit status 1: something could not be printed."""
    from edge.clock_source import clock_from_environment
    from edge.device_desks import logo_of, printer_of
    from edge.print_jobs import JobState, queue_state
    from edge.print_jobs import jobs as read_jobs
    from edge.print_jobs import reprint as queue_again
    from edge.print_queue import PrintQueue
    from schema.texts import Texts

    settings = _config(node).printer
    if settings is None:
        raise RefusalError("device_unset", f"no printer is set up in {node / 'devices.toml'}")
    from drivers.link import link_from_address

    with open_node(node) as opened:
        if receipt:
            queue_again(opened, receipt)
        waiting = {job.job for job in read_jobs(opened.connection, JobState.WAITING)}
        queue = PrintQueue(
            node, printer_of(settings, link_from_address), clock=clock_from_environment(),
            hold_minutes=settings.hold_minutes, logo=logo_of(node, settings),
        )  # fmt: skip
        with queue:
            queue.run_until_idle()
        printed = {job.job for job in read_jobs(opened.connection, JobState.PRINTED)} & waiting
        typer.echo(f"{len(printed)} printed")
        left = queue_state(opened.connection)
        if queue.state.fault:
            typer.echo(queue.state.sentence(Texts("schema", language)))
        if any(left):
            typer.echo(f"{left.waiting} wait, {left.unknown} to be answered, {left.failed} failed: see `receipts jobs`")
            raise SystemExit(1)


def jobs(node: NodeOption = HERE, as_json: JsonOption = False) -> None:
    """List the paper that waits, needs an answer or failed, and what was printed last."""
    from edge.print_jobs import jobs as read_jobs
    from edge.receipts import paper_name

    with open_node(node) as opened:
        found = read_jobs(opened.connection)
        for job in found[-50:]:
            number = paper_name(opened, job.entry) or "report"
            if as_json:
                write_json({**job._asdict(), "content": None, "receipt": number})
            else:
                copy = " copy" if job.is_copy else ""
                typer.echo(f"{job.job:>6} {job.state.value:<9} {number}{copy} {job.fault}".rstrip())


def answer(
    job: Annotated[int, typer.Argument(help="The job, as `receipts jobs` numbers it.")],
    was_printed: Annotated[bool, typer.Option("--printed/--missing", help="Is it on paper?")],
    node: NodeOption = HERE,
) -> None:
    """Say whether a receipt of unknown outcome is on paper; a missing one is printed again, marked as a copy."""
    from edge.print_jobs import answer as settle

    with open_node(node) as opened:
        settle(opened, job, was_printed=was_printed)
    typer.echo("settled" if was_printed else "it will be printed again, marked as a copy")
