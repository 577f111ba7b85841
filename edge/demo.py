"""One trading day of the sample chain on real processes: the hub dies in the morning, everybody sells, and in the
evening all replicas show the same figures and can explain them.

Every step is the command that a person would type; the demonstration only types, waits and compares.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from drivers.escpos.picture import default_typeface
from schema import sample
from schema.amounts import format_money, format_quantity
from schema.rehearsal import CLOCK_VARIABLE, monotonic_ms

ZONE: Final = ZoneInfo("Asia/Shanghai")
NODES: Final = (("W1", "W", "warehouse", "仓库一号机"), ("A1", "A", "till", "文三店一号收银"),
                ("A2", "A", "till", "文三店二号收银"), ("B1", "B", "manager", "滨江店收银"),
                ("V1", "V", "van", "送货车"))  # fmt: skip
TRADERS: Final = ("A1", "A2", "B1", "V1")
WATER, COUNTED, SHELF, ZONED, LAST_PIECE, PRICED = "11001", "11003", "11005", "11007", "11009", "12001"
SLOW_CLOCK: Final = timedelta(hours=-2)


class DemoFailedError(Exception):
    """A step that must work did not; the message says which and what it printed."""


@dataclass
class Day:
    """What the day leaves to be proven: every sale that was acknowledged, by receipt number and entry."""

    folder: Path
    day: date
    acknowledged: dict[str, str] = field(default_factory=dict)
    killed_after: int = 0
    syncs: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def hub(self) -> Path:
        """The hub's directory."""
        return self.folder / "hub"

    def node(self, till: str) -> Path:
        """A node's directory."""
        return self.folder / "nodes" / till

    def at(self, clock: str) -> datetime:
        """A moment of the day in the chain's zone."""
        hour, _, minute = clock.partition(":")
        return datetime(self.day.year, self.day.month, self.day.day, int(hour), int(minute), tzinfo=ZONE)


def _command(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-c", "from schema.command_line import main; main()", *words]


def _environment(moment: datetime | None, node: Path | None = None, origin_ms: int | None = None) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name != CLOCK_VARIABLE}
    if moment is not None:
        environment[CLOCK_VARIABLE] = moment.isoformat() + ("" if origin_ms is None else f"@{origin_ms}")
    if node is not None:
        environment["EDGETILL_NODE"] = str(node)
    return environment


def run(
    words: Sequence[str],
    moment: datetime,
    node: Path | None = None,
    *,
    allowed: Sequence[int] = (0,),
    origin_ms: int | None = None,
) -> str:
    """Type one command at a moment of the day and return what it printed."""
    environment = _environment(moment, node, origin_ms)
    done = subprocess.run(_command(words), env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in allowed:
        raise DemoFailedError(f"edgetill {' '.join(words)}\n{done.stdout}{done.stderr}")
    return done.stdout


class Hub:
    """The hub's process."""

    def __init__(self, day: Day) -> None:
        self._day = day
        self._process: subprocess.Popen[str] | None = None
        self.address = ""
        self.token = ""
        self.origin_ms = 0
        self.moment = day.at("07:00")

    def found(self, moment: datetime) -> None:
        """Found the sample chain."""
        words = ["hub", "init", str(self._day.hub), "--name", "好邻居便利店", "--sample", "--json"]
        self.token = json.loads(run([*words, "--address", "127.0.0.1:8443"], moment))["token"]

    def start(self, moment: datetime, port: int = 0) -> None:
        """Start the process and wait until it listens."""
        words = ["hub", "serve", "--hub", str(self._day.hub), "--plain", "--host", "127.0.0.1", "--port", str(port)]
        self.moment, self.origin_ms = moment, monotonic_ms()
        environment = _environment(moment, origin_ms=self.origin_ms)
        self._process = subprocess.Popen(_command(words), env=environment, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise DemoFailedError("the hub did not start")
        self.address = line.split()[-1]

    @property
    def port(self) -> int:
        """Where the process listens."""
        return urllib.parse.urlsplit(self.address).port or 0

    def kill(self) -> None:
        """Kill the process as a power cut would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def get(self, path: str) -> list[dict[str, Any]]:
        """Read all pages of a listing from the JSON API."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            url = f"{self.address}{path}?limit=1000{cursor}"
            request = urllib.request.Request(url, headers={"authorization": f"Bearer {self.token}"})  # noqa: S310
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
                page = json.load(answer)
            found += next(value for value in page.values() if isinstance(value, list))
            if not page.get("next"):
                return found
            cursor = f"&cursor={urllib.parse.quote(page['next'])}"


def stock_shelves(day: Day) -> None:
    """Give the shops and the van enough of everything for the day, by an import as an administrator would."""
    path = day.folder / "opening.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["location", "product", "quantity"])
        writer.writerows((place, p.code, 60) for place in ("A", "B", "V") for p in sample.catalogue())
    run(["import", "opening-stock", str(path), "--hub", str(day.hub)], day.at("06:55"))


def split_baskets(day: Day) -> dict[str, dict[str, Path]]:
    """Share the real trading day out among the tills: a customer's baskets go to one till, morning and afternoon.

    The second till of the first shop writes its afternoon with a clock that was set two hours back.
    """
    files: dict[str, dict[str, list[list[str]]]] = {t: {"morning": [], "afternoon": []} for t in TRADERS}
    rows = list(csv.reader(io.StringIO(sample.text(sample.TRADING_DAY))))
    header, lines = rows[0], rows[1:]
    column = {name: place for place, name in enumerate(header)}
    for row in lines:
        customer = row[column["CustomerID"]] or row[column["InvoiceNo"]].lstrip("C")
        till = TRADERS[sum(customer.encode()) % len(TRADERS)]
        moment = datetime.fromisoformat(row[column["InvoiceDate"]])
        if (12, 40) <= (moment.hour, moment.minute) < (13, 0):  # the tills are busy with deliveries and counts
            moment += timedelta(minutes=20)
        part = "morning" if moment.hour < 13 else "afternoon"
        shown = moment + SLOW_CLOCK if (till, part) == ("A2", "afternoon") else moment
        changed = {"InvoiceDate": str(shown), "Quantity": _retail(row[column["Quantity"]])}
        files[till][part].append([changed.get(name, row[place]) for name, place in column.items()])
    paths: dict[str, dict[str, Path]] = {}
    for till, parts in files.items():
        for part, content in parts.items():
            path = day.folder / "baskets" / f"{till}-{part}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([header, *content])
            paths.setdefault(till, {})[part] = path
    return paths


def _retail(quantity: str) -> str:
    """Bring a wholesaler's quantity down to a household's, one to three, alike for a sale and for its return."""
    pieces = int(quantity)
    return str((1 + abs(pieces) % 3) * (1 if pieces > 0 else -1)) if pieces else quantity


class TillDay:
    """One node's day, typed in the order of its clock."""

    def __init__(self, day: Day, till: str) -> None:
        self._day = day
        self._till = till
        self._node = day.node(till)
        self.error = timedelta()

    def type(self, clock: str, *words: str, allowed: Sequence[int] = (0,)) -> str:
        """Type a command at a true time; the node's own clock may be wrong."""
        return run(words, self._day.at(clock) + self.error, self._node, allowed=allowed)

    def sell(self, clock: str, *goods: str) -> str:
        """Sell, and remember that it was acknowledged; returns the receipt number."""
        sold = json.loads(self.type(clock, "sell", *goods, "--operator", "1012", "--json"))
        self._day.acknowledged[sold["receipt"]] = sold["entry"]
        return str(sold["receipt"])

    def replay(self, clock: str, file: Path, *, kill_after: int = 0) -> None:
        """Replay baskets; with `kill_after`, SIGKILL the till after so many were acknowledged, then go on.

        Without a time it goes on where the till's clock stood.
        """
        words = ["replay", str(file), "--format", "online-retail", "--map-catalogue", "--ack", "--clock", "recorded"]
        words += ["--date", self._day.day.isoformat()]
        moment = self._day.at(clock) + self.error if clock else None
        process = subprocess.Popen(
            _command(words), env=_environment(moment, self._node), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert process.stdout is not None
        count = 0
        for line in process.stdout:
            number, _, entry = line.strip().partition(" ")
            if entry:
                self._day.acknowledged[number] = entry
                count += 1
            if kill_after and count >= kill_after:
                process.send_signal(signal.SIGKILL)
                break
        _, errors = process.communicate()
        if kill_after:
            self._day.killed_after = count
            self.replay("", file)
        elif process.returncode:
            raise DemoFailedError(f"replay at {self._till}: {errors}")


def trade(day: Day, baskets: Mapping[str, Mapping[str, Path]], on_done: Callable[[str], None]) -> None:
    """Let every node trade its day without a hub, two at a time as this machine has cores."""

    def warehouse() -> None:
        w = TillDay(day, "W1")
        w.type("07:40", "receive", f"240*{WATER}", "120*11002", "--supplier", "杭州饮料批发", "--document", "D-1001")
        w.type("08:00", "transfer", "dispatch", "A", f"48*{WATER}", "24*11002", "--transfer", "T1")
        w.type("08:20", "transfer", "dispatch", "V", "24*11004", f"24*{COUNTED}", "--transfer", "T2")
        w.type("20:20", "transfer", "receive", "T3", "6*11004", "--from", "V")

    def first_till() -> None:
        a = TillDay(day, "A1")
        a.replay("08:30", baskets["A1"]["morning"])
        a.type("12:45", "transfer", "receive", "T1", f"48*{WATER}", "23*11002", "--from", "W")
        a.type("12:46", "adjust", "wastage", "1.2*19001", "--note", "烂叶")
        a.type("12:58", "count", "line", f"40*{COUNTED}")
        a.replay("13:00", baskets["A1"]["afternoon"])
        a.type("20:06", "count", "line", f"1*{LAST_PIECE}")
        receipt = a.sell("20:10", f"2*{WATER}", LAST_PIECE)
        a.type("20:11", "refund", receipt, "--line", "1*1")
        a.type("20:15", "count", "line", f"20*{SHELF}")
        a.type("20:16", "count", "open", "--session", "Z1", "--zone", "货架", "--zone", "后仓", "--product", ZONED)
        a.type("20:17", "count", "line", f"12*{ZONED}", "--session", "Z1", "--zone", "货架")
        a.type("20:18", "count", "line", f"24*{ZONED}", "--session", "Z1", "--zone", "后仓")
        a.type("20:19", "count", "post", "Z1")
        a.type("20:20", "count", "close", "Z1", "--confirm-zeros")

    def second_till() -> None:
        a = TillDay(day, "A2")
        a.replay("08:30", baskets["A2"]["morning"])
        a.sell("12:42", f"3*{COUNTED}")
        a.error = SLOW_CLOCK
        a.replay("13:00", baskets["A2"]["afternoon"])
        a.sell("20:12", LAST_PIECE)
        a.type("20:15", "count", "line", f"18*{SHELF}")

    def other_shop() -> None:
        b = TillDay(day, "B1")
        b.replay("08:30", baskets["B1"]["morning"], kill_after=12)
        b.type("12:50", "price", "set", PRICED, "4.20")
        b.replay("13:00", baskets["B1"]["afternoon"])

    def van() -> None:
        v = TillDay(day, "V1")
        v.type("08:30", "transfer", "receive", "T2", "24*11004", f"24*{COUNTED}", "--from", "W")
        v.replay("08:35", baskets["V1"]["morning"])
        v.sell("12:50", "6*11004")
        v.replay("13:00", baskets["V1"]["afternoon"])
        v.type("20:10", "transfer", "dispatch", "W", "6*11004", "--transfer", "T3")

    def administrator() -> None:
        prices = day.folder / "prices.csv"
        prices.write_text(f"product,price\n{PRICED},4.80\n", "utf-8")
        run(["import", "prices", str(prices), "--hub", str(day.hub)], day.at("12:30"))

    days = {"A1": first_till, "A2": second_till, "B1": other_shop, "V1": van, "W1": warehouse, "hub": administrator}

    def whole(name: str) -> None:
        days[name]()
        on_done(name)

    with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2)) as pool:
        for done in [pool.submit(whole, name) for name in days]:
            done.result()


PAPERS: Final = (
    ("A1", "80mm", ("sell", "3*12001", "0.682*18001", "6*11001", "--discount", "2.60")),
    ("A1", "80mm", ("refund", "", "--line", "1*1")),
    ("A1", "58mm", ("sell", "1.235*18003", "0.455*19001", "11001/箱")),
    ("B1", "58mm", ("sell", "2*14001", "13001")),
)
"""The sales whose paper is kept: node, paper, and what is typed; a refund is of the sale before it."""


def print_receipts(day: Day, on_done: Callable[[str], None]) -> None:
    """Print some sales as a till does, each into a file of its own as a printer would get it, and show the paper.

    The way is the whole one: the job in the sale's transaction, the queue, the printer's bytes; then a picture of them.
    """
    folder = day.folder / "receipts"
    folder.mkdir()
    number = ""
    for till, profile, words in PAPERS:
        node = day.node(till)
        typed = [word or number for word in words]
        sold = json.loads(run([*typed, "--print", "--operator", "1013", "--json"], day.at("20:22"), node))
        number = str(sold["receipt"])
        day.acknowledged[number] = sold["entry"]
        file = folder / f"{number}-{words[0]}-{profile}.escpos"
        settings = f'[printer]\naddress = "file:{file}"\nprofile = "{profile}"\n'
        (node / "devices.toml").write_text(settings, "utf-8")
        run(["receipts", "print"], day.at("20:23"), node)
        run(["devices", "picture", str(file), "--profile", profile], day.at("20:23"))
        (node / "devices.toml").unlink()
        on_done(number)


def reconcile(day: Day, hub: Hub, on_done: Callable[[str], None]) -> None:
    """Let every node sync, and once more so that each has what the others brought."""
    for turn in range(2):
        for till, *_ in NODES:
            moment = hub.moment + (SLOW_CLOCK if till == "A2" else timedelta())
            words = ["sync", "--json"]
            told = run(words, moment, day.node(till), allowed=(0, 5), origin_ms=hub.origin_ms)
            report = json.loads(told)
            if not turn:
                day.syncs[till] = report
            elif not report["is_complete"] or report["mismatched_folds"]:
                raise DemoFailedError(f"{till} did not reconcile: {report}")
            on_done(till)


def demonstrate(directory: Path, console: Console) -> bool:
    """Run the whole day and print its report; True when the proof holds."""
    began = time.monotonic()
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    today = datetime.now(ZONE).date()
    day = Day(directory.resolve(), today)
    hub = Hub(day)
    columns = (
        TextColumn("{task.description:<46}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed}/{task.total}"),
    )
    try:
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("07:00 the hub starts, the chain joins", total=len(NODES) + 2)
            hub.found(day.at("06:50"))
            stock_shelves(day)
            bar.advance(task)
            hub.start(day.at("07:00"))
            bar.advance(task)
            for till, location, profile, name in NODES:
                words = ["hub", "invite", "--hub", str(day.hub), "--location", location, "--name", name]
                words += ["--till", till, "--profile", profile, "--json"]
                issued = json.loads(run(words, hub.moment, origin_ms=hub.origin_ms))
                words = ["join", hub.address, issued["invitation"], "--json"]
                run(words, hub.moment, day.node(till), origin_ms=hub.origin_ms)
                bar.advance(task)
            port = hub.port
            hub.kill()
            baskets = split_baskets(day)
            task = bar.add_task("08:00 the hub is dead, everybody trades", total=6)
            trade(day, baskets, lambda _: bar.advance(task))
            task = bar.add_task("20:22 some receipts are printed", total=len(PAPERS))
            print_receipts(day, lambda _: bar.advance(task))
            task = bar.add_task("20:30 the hub is back, everybody syncs", total=2 * len(NODES))
            hub.start(day.at("20:30"), port)
            reconcile(day, hub, lambda _: bar.advance(task))
        return report(day, hub, console, time.monotonic() - began)
    finally:
        hub.kill()


def report(day: Day, hub: Hub, console: Console, seconds: float) -> bool:
    """Print what a shop owner wants to know, and prove it."""
    statuses = {till: json.loads(run(["status", "--json"], day.at("20:50"), day.node(till))) for till, *_ in NODES}
    sales = hub.get("/v1/sales")
    _print_nodes(day, console, statuses, sales)
    _print_conflicts(day, console)
    _print_papers(day, console)
    for product in (SHELF, COUNTED):
        console.rule(f"why is it so? {product} at the first shop", align="left")
        console.print(run(["stock", "--why", product], day.at("20:50"), day.node("A1")).rstrip(), highlight=False)
    return _prove(day, hub, console, statuses, sales, seconds)


def _print_nodes(day: Day, console: Console, statuses: Mapping[str, Any], sales: Sequence[Mapping[str, Any]]) -> None:
    table = Table(title=f"{day.day}: the day without the hub", title_justify="left")
    for title in ("node", "sales", "turnover ￥", "refunds", "entries", "sent bytes", "sync s"):
        table.add_column(title, justify="left" if title == "node" else "right")
    for till, *_, name in NODES:
        mine = [s for s in sales if s["receipt_number"].startswith(f"{till}-")]
        sold = [s["total_minor"] for s in mine if s["kind"] == "sale"]
        synced = day.syncs[till]
        table.add_row(
            f"{till} {name}",
            str(len(sold)),
            format_money(sum(sold)),
            str(len(mine) - len(sold)),
            str(statuses[till]["own_entries"]),
            str(synced["bytes_sent"]),
            f"{synced['seconds']:.2f}",
        )
    console.print(table)


def _print_conflicts(day: Day, console: Console) -> None:
    console.rule("what the rules found, and what they decided", align="left")
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    holder = {"W": "W1", "A": "A1", "B": "B1", "V": "V1"}
    words = {"OPEN": "waits for you", "AUTO": "settled by rule", "INFO": "for information"}
    for location, till in holder.items():
        for one in json.loads(run(["resolve", "list", "--all", "--json"], day.at("20:50"), day.node(till))):
            table.add_row(location, words[one["status"]], one["sentence"])
    status = json.loads(run(["hub", "status", "--hub", str(day.hub), "--json"], day.at("20:50")))
    if status["document_conflicts"]:
        table.add_row(
            "chain",
            "waits for you",
            f"The price of {PRICED} was changed in two places at once; the administrator's holds everywhere meanwhile.",
        )
    console.print(table, highlight=False)


def _print_papers(day: Day, console: Console) -> None:
    console.rule("receipts, as printers get them and as they look", align="left")
    for file in sorted((day.folder / "receipts").glob("*.png")):
        console.print(f"  {file}", highlight=False, soft_wrap=True)
    if not default_typeface().has_hanzi:
        console.print("  This machine has no Chinese font (fonts-noto-cjk): hanzi are shown by their code.")


def _prove(
    day: Day,
    hub: Hub,
    console: Console,
    statuses: Mapping[str, Any],
    sales: Sequence[Mapping[str, Any]],
    seconds: float,
) -> bool:
    console.rule("the proof", align="left")
    known = {sale["id"]: sale["receipt_number"] for sale in sales}
    missing = [number for number, entry in day.acknowledged.items() if known.get(entry) != number]
    doubled = len(known) - len(set(known.values()))
    told = json.loads(run(["hub", "status", "--hub", str(day.hub), "--json"], day.at("20:50")))
    theirs = told["scopes"]
    unequal = []
    for till, status in statuses.items():
        for scope in status["scopes"]:
            other = theirs[scope["scope"]]
            if (scope["vector"], scope["fold"]) != (other["vector"], other["fold"]):
                unequal.append(f"{till} {scope['scope']}")
    unequal += [till for till, status in statuses.items() if status["catalogue"] != told["catalogue"]]
    for scope, one in theirs.items():
        holders = ["hub", *(t for t, s in statuses.items() if any(x["scope"] == scope for x in s["scopes"]))]
        digest = told["catalogue"] if scope == "org" else one["fold"]
        what = "catalogue" if scope == "org" else "figures"
        console.print(f"  {scope:<6} {what:<9} {digest[:16]} at {', '.join(holders)}", highlight=False)
    doctors = [
        till for till, *_ in NODES if json.loads(run(["doctor", "--json"], day.at("20:55"), day.node(till),
                                                      allowed=(0, 1, 3, 5)))["findings"]
    ]  # fmt: skip
    console.print(
        f"  {len(day.acknowledged)} sales and refunds were acknowledged (one till was killed after"
        f" {day.killed_after}): {len(missing)} are missing at the hub, {doubled} numbers were used twice",
        highlight=False,
    )
    console.print(f"  replicas that show other figures: {', '.join(unequal) or 'none'}", highlight=False)
    console.print(f"  nodes in which the doctor found something: {', '.join(doctors) or 'none'}", highlight=False)
    negative = sum(1 for row in hub.get("/v1/stock") if row["value_milli"] < 0)
    pieces = sum(row["value_milli"] for row in hub.get("/v1/stock"))
    console.print(
        f"  {format_quantity(pieces)} units in all; {negative} figures below zero (goods sold that nobody received)",
        highlight=False,
    )
    holds = not missing and not doubled and not unequal and not doctors
    console.print(f"  {'The proof holds' if holds else 'The proof FAILS'}, in {seconds:.0f} s.", highlight=False)
    return holds


def next_steps(directory: Path) -> str:
    """Say what a newcomer can try on what the demonstration left."""
    node = directory / "nodes" / "A1"
    return (
        "\nTry next:\n"
        f"  export EDGETILL_NODE={node}\n"
        f"  edgetill stock --why {SHELF}      why the figure is what it is\n"
        "  edgetill resolve list            what waits for a person\n"
        f"  edgetill sell 2*{WATER}            sell two bottles, the hub still dead\n"
        "  edgetill doctor                  check every figure against the log\n"
    )
