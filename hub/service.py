"""The hub put together: directory, store, enrolment, ingest, desk and API, and the server that runs them."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import secrets
import shutil
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, NamedTuple

import uvicorn

from hub.accounts import Accounts
from hub.activity import ActivityFold
from hub.api.answers import forget_answers
from hub.api.serving import Api
from hub.balances import BalanceFold
from hub.contacts import Contacts
from hub.desk_tables import fill_desk_tables
from hub.enrolment import Enrolment
from hub.findings import FindingsFold, settle_findings
from hub.history import HistoryFold
from hub.identity import (
    DEFAULT_ADDRESS,
    RECORD_FILE,
    SNAPSHOTS_FOLDER,
    HubIdentity,
    HubSettings,
    found_directory,
    load_identity,
)
from hub.inbox_fold import InboxFold
from hub.ingest import AfterIngest, Ingest
from hub.outer_record import OuterRecord
from hub.own_log import AWAITS_NODES, OwnLog, found_organisation, read_state
from hub.pages.desk import Desk
from hub.product_index import index_products
from hub.pruning import Pruning, held_by_backup
from hub.replays import Replays
from hub.sales import SalesFold
from hub.snapshots import Snapshots
from hub.statements import Statements
from hub.store import HubStore, SqlStore, forget_nonces, open_store
from hub.summaries import REFRESH_SECONDS, refresh_summaries
from hub.sync_endpoint import Workers, create_app
from hub.sync_route import SyncRoute
from hub.takings import TakingsFold
from hub.till_reads import DraftFold, TenderFold
from hub.tokens import Tokens, TokenScope, create_token
from hub.van_settlements import SettlementFold
from schema import PROJECT
from schema.errors import RefusalError, TransientError
from schema.identity import ORG
from schema.kinds.catalogue import DocumentChange
from schema.kinds.organisation import LocationDefined, OrganisationFounded
from schema.rehearsal import rehearsal_clock_ms
from sync.buying import BuyingFold
from sync.effective import Fold
from sync.entry import Entry
from sync.organisation import Organisation
from sync.reissue import ReissueProjection, has_changes_to_reissue, reissue
from sync.replica import Moment, Replica
from sync.stock_projection import core_folds
from sync.transport import OrganisationCard

HOUSE_SECONDS: Final = 2
REISSUE_SECONDS: Final = 30
FORGET_MS: Final = 600_000
FIRST_TOKEN: Final = "administrator"  # noqa: S105

Folds = Callable[[Organisation], Sequence[Fold]]


def default_folds(organisation: Organisation) -> Sequence[Fold]:
    """Return every replica's folds and the hub's own: one fresh set for each connection."""
    inbox = InboxFold(wall_clock_ms)
    documents, stock = core_folds(organisation, index_products, on_fold=[inbox.follow])
    return (inbox, documents, stock, *_till_folds(), ActivityFold(), HistoryFold(), ReissueProjection())


def _till_folds() -> tuple[Fold, ...]:
    return (
        SalesFold(),
        TakingsFold(),
        BalanceFold(),
        FindingsFold(),
        DraftFold(),
        TenderFold(),
        SettlementFold(),
        BuyingFold(),
    )


def wall_clock_ms() -> int:
    """Read the hub's wall clock, or the scripted one of a rehearsal."""
    rehearsed_ms = rehearsal_clock_ms()
    return time.time_ns() // 1_000_000 if rehearsed_ms is None else rehearsed_ms


def release() -> str:
    """Return the installed release."""
    try:
        return version(PROJECT)
    except PackageNotFoundError:
        return "0"


class Hub:
    """An open hub. `after_ingest` is told the entries of each stored batch once they are durable.

    Document changes of a location are reissued in `org` before that; both run in a worker thread, outside any
    transaction, and are idempotent, for a hub may die before them.
    """

    def __init__(
        self,
        identity: HubIdentity,
        store: HubStore,
        record: OuterRecord,
        *,
        now_ms: Callable[[], int],
        after_ingest: AfterIngest | None = None,
        threads: int = 6,
        waiting_max: int = 64,
    ) -> None:
        self.identity = identity
        self.store = store
        self.now_ms = now_ms
        self.release = release()
        self._record = record
        self._reissued_s = 0.0
        self.own_log = OwnLog(identity.node, now_ms, record)
        self.contacts = Contacts(store)
        self.enrolment = Enrolment(identity, store, self.own_log, now_ms)
        self.pruning = Pruning(store, self.own_log, now_ms, held_by_backup)
        self.statements = Statements(store, identity.signer)
        self.workers = Workers(threads=threads, waiting_max=waiting_max)
        self.ingest = Ingest(
            store,
            self.own_log,
            identity.signer,
            self.release,
            self.contacts,
            self.pruning,
            self.statements,
            self._after_ingest,
            lambda: self.workers.busy_ms,
        )
        self.snapshots = Snapshots(identity.directory / SNAPSHOTS_FOLDER, store, identity.signer, self.release)
        self.tokens = Tokens(store, now_ms)
        self.accounts = Accounts(store, now_ms)
        self.replays = Replays(store, now_ms)
        self.desk = Desk(self)
        self.api = Api(self)
        self._told = after_ingest

    def _after_ingest(self, entries: Sequence[Entry]) -> None:
        if any(isinstance(entry.payload, DocumentChange) for entry in entries):
            self.reissue_changes()
        with contextlib.suppress(TransientError):  # the entries are stored; the next batch, or the next start, judges
            settle_findings(self.store, self.now_ms())
        if self._told is not None:
            self._told(entries)

    def reissue_changes(self) -> int:
        """Bring what locations changed in shared documents into `org`; returns how many changes."""

        def work(replica: Replica) -> int:
            incarnation = self.own_log.incarnation(replica.connection)
            return len(reissue(replica, self.identity.node, incarnation, Moment(self.now_ms(), 0, 0)))

        return self.store.attempt(ORG, work)

    def card(self) -> OrganisationCard:
        """Return who the hub says it is."""
        with self.store.snapshot() as replica:
            founded = replica.organisation.newest(replica.connection, OrganisationFounded, "")
        name = founded.name if founded else self.identity.settings.name
        return OrganisationCard(name, self.identity.node, self.identity.signer.public, self.identity.ca_pem)

    def keep_house(self) -> None:
        """Write down what was gathered, and do what another process of this hub died before doing."""
        self.contacts.flush()
        with self.store.snapshot() as replica:
            self.own_log.follow(replica)
            has_changes = has_changes_to_reissue(replica.connection)
        # A change that waits for another one is left to do until that comes: it is no reason to ask without end.
        if has_changes and time.monotonic() - self._reissued_s > REISSUE_SECONDS:
            self._reissued_s = time.monotonic()
            self.reissue_changes()

    @asynccontextmanager
    async def lifespan(self, _: Any) -> AsyncIterator[None]:
        """Keep the house while the server runs."""

        async def keep_house() -> None:
            forgotten_ms = 0
            while True:
                await asyncio.sleep(HOUSE_SECONDS)
                # A database that is away comes back; until then there is nothing to keep.
                with contextlib.suppress(Exception):
                    await asyncio.to_thread(self.keep_house)
                    if self.now_ms() - forgotten_ms > FORGET_MS:
                        forgotten_ms = self.now_ms()
                        await asyncio.to_thread(self.forget_nonces)

        async def sum_up() -> None:
            while True:
                with contextlib.suppress(Exception):
                    await asyncio.to_thread(refresh_summaries, self.store, self.now_ms())
                await asyncio.sleep(REFRESH_SECONDS)

        # A change stored just before the hub died was never reissued, and no node would send it again.
        await asyncio.to_thread(self.reissue_changes)
        await asyncio.to_thread(settle_findings, self.store, self.now_ms())
        tasks = [asyncio.create_task(keep_house()), asyncio.create_task(sum_up())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(TransientError):
                await asyncio.to_thread(self.contacts.flush)

    def note_checked(self, taken_ms: int) -> None:
        """Remember outside the database when the last checked backup was taken."""
        self._record.note_checked(taken_ms)

    def forget_nonces(self) -> None:
        """Forget requests that are too old to come again."""

        def work(replica: Replica) -> None:
            forget_nonces(replica.connection, self.now_ms())
            forget_answers(replica.connection, self.now_ms())

        self.store.attempt(None, work)

    def close(self) -> None:
        """Finish what runs and close the store."""
        self.replays.close()
        self.desk.workers.close()
        self.api.workers.close()
        self.workers.close()
        with contextlib.suppress(TransientError):
            self.contacts.flush()
        self.store.close()
        self._record.close()


def open_hub(
    directory: Path,
    *,
    database: str | None = None,
    folds: Folds = default_folds,
    now_ms: Callable[[], int] = wall_clock_ms,
    after_ingest: AfterIngest | None = None,
    threads: int = 6,
    waiting_max: int = 64,
) -> Hub:
    """Open a hub's directory, on another database than its settings name where one is given.

    Raises RefusalError by name where it cannot be used: those of `load_identity` and `open_store`, `database_empty`
    and `database_foreign` where the database does not hold this hub's organisation.
    """
    identity = load_identity(directory, database)
    record = OuterRecord(directory / RECORD_FILE, identity.node)
    store = store_of(identity, folds, record)
    try:
        check_organisation(store, identity)
        hub = Hub(
            identity,
            store,
            record,
            now_ms=now_ms,
            after_ingest=after_ingest,
            threads=threads,
            waiting_max=waiting_max,
        )
        fill_desk_tables(store, now_ms)
        with store.snapshot() as replica:
            is_copy = hub.own_log.is_copy(replica)
        if is_copy:
            # Looked at again under the lock: another process may have been about to commit what the record names.
            store.attempt(ORG, hub.own_log.leave_copy)
    except BaseException:
        store.close()
        record.close()
        raise
    return hub


def store_of(identity: HubIdentity, folds: Folds, record: OuterRecord | None = None) -> SqlStore:
    """Open the store that a hub's settings name."""

    def organisation() -> Organisation:
        return Organisation(identity.node, identity.signer.public)

    note = None if record is None else record.note
    return open_store(identity.settings.database, identity.directory, organisation, folds, note)


def check_organisation(store: HubStore, identity: HubIdentity) -> None:
    """Raise RefusalError `database_empty` or `database_foreign` where a database is not this hub's."""
    with store.snapshot() as replica:
        founded = replica.organisation.newest(replica.connection, OrganisationFounded, "")
        is_empty = not replica.log.streams(ORG)
        is_waiting = read_state(replica.connection, AWAITS_NODES) is not None
    if founded is not None and founded.public_key == identity.signer.public:
        return
    if is_empty and not is_waiting:
        raise RefusalError(
            "database_empty",
            "this database holds no organisation: bring one there with `edgetill hub copy-to`, or restore a backup",
        )
    if not is_empty:
        raise RefusalError("database_foreign", f"this database holds another organisation than that of {identity.node}")


class Founded(NamedTuple):
    """What founding an organisation gives: the hub's id and the first token of the JSON API, shown once."""

    hub: str
    token: str


def init_hub(
    directory: Path,
    *,
    name: str,
    locations: Sequence[LocationDefined],
    address: str = DEFAULT_ADDRESS,
    database: str = "hub.db",
    currency: str = "CNY",
    time_zone: str = "Asia/Shanghai",
    seed: bytes | None = None,
    folds: Folds = default_folds,
    now_ms: Callable[[], int] = wall_clock_ms,
) -> Founded:
    """Found an organisation in a new directory; raises RefusalError by name."""
    if not name.strip() or len(name) > 200:
        raise RefusalError("name_invalid", "an organisation's name has 1 to 200 characters")
    if len({location.location for location in locations}) != len(locations) or not locations:
        raise RefusalError("location_invalid", "an organisation starts with locations, each with its own code")
    was_there = directory.exists()
    identity = found_directory(directory, HubSettings(name, address, database), seed or secrets.token_bytes(32))
    try:
        token = _found(
            identity, locations=locations, currency=currency, time_zone=time_zone, folds=folds, now_ms=now_ms
        )
    except BaseException:
        if not was_there:
            shutil.rmtree(directory)
        raise
    return Founded(identity.node, token)


def _found(
    identity: HubIdentity,
    *,
    locations: Sequence[LocationDefined],
    currency: str,
    time_zone: str,
    folds: Folds,
    now_ms: Callable[[], int],
) -> str:
    record = OuterRecord(identity.directory / RECORD_FILE, identity.node)
    own_log = OwnLog(identity.node, now_ms, record)
    try:
        store = store_of(identity, folds, record)
        try:
            with store.transaction(ORG) as replica:
                if replica.log.streams(ORG):
                    raise RefusalError(
                        "database_taken", "this database holds an organisation already: name an empty one"
                    )
                found_organisation(
                    replica,
                    own_log,
                    name=identity.settings.name,
                    public_key=identity.signer.public,
                    locations=locations,
                    currency=currency,
                    time_zone=time_zone,
                )
                return create_token(replica.connection, FIRST_TOKEN, now_ms(), scopes=tuple(TokenScope))
        finally:
            store.close()
    finally:
        record.close()


class _Server(uvicorn.Server):
    """Tells when it listens, and where: port 0 takes a free one."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[str], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on SIGTERM and SIGINT as on a request: what runs is finished, and the process ends with success."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            scheme = "https" if self.config.is_ssl else "http"
            self._on_ready(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")


def is_loopback(host: str) -> bool:
    """Tell whether a host names this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def make_server(hub: Hub, *, host: str, port: int, plain: bool, on_ready: Callable[[str], None]) -> uvicorn.Server:
    """Return a server for a hub: TLS under the organisation's key, plain HTTP on the loopback alone.

    Raises RefusalError `plain_refused`.
    """
    tls: dict[str, Any] = {}
    if plain:
        if not is_loopback(host):
            raise RefusalError("plain_refused", f"without TLS the hub listens on the loopback alone, not on {host}")
    else:
        key_file, chain_file = hub.identity.renew_tls(*([] if host in {"0.0.0.0", "::"} else [host]))  # noqa: S104
        tls = {"ssl_keyfile": str(key_file), "ssl_certfile": str(chain_file)}
    config = uvicorn.Config(
        SyncRoute(hub, create_app(hub)),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=3,
        **tls,
    )
    return _Server(config, on_ready)


def make_plain_server(app: Any, *, port: int, on_ready: Callable[[str], None]) -> uvicorn.Server:
    """Return a server for an application on the loopback, without TLS: for what comes before there is a key."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
    )
    return _Server(config, on_ready)


@contextmanager
def serving(hub: Hub, *, host: str = "127.0.0.1", port: int = 0, plain: bool = True) -> Iterator[str]:
    """Serve a hub from a thread of this process and yield its URL: for tests and demonstrations."""
    ready = threading.Event()
    urls: list[str] = []

    def on_ready(url: str) -> None:
        urls.append(url)
        ready.set()

    server = make_server(hub, host=host, port=port, plain=plain, on_ready=on_ready)
    thread = threading.Thread(target=server.run, name="hub-server")
    thread.start()
    try:
        if not ready.wait(10):
            raise RefusalError("not_listening", f"the hub cannot listen on {host}:{port}")
        yield urls[0]
    finally:
        server.should_exit = True
        thread.join(15)
