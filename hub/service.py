"""The hub put together: directory, store, enrolment, ingest and reports, and the server that runs them."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import secrets
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
from hub.contacts import Contacts
from hub.desk_tables import fill_desk_tables
from hub.enrolment import Enrolment
from hub.identity import (
    APPENDED_FILE,
    DEFAULT_ADDRESS,
    SNAPSHOTS_FOLDER,
    HubIdentity,
    HubSettings,
    found_directory,
    load_identity,
)
from hub.inbox_fold import InboxFold
from hub.ingest import AfterIngest, Ingest
from hub.own_log import OwnLog, found_organisation
from hub.pages.desk import Desk
from hub.product_index import index_products
from hub.pruning import Pruning
from hub.reports import Reports, StockReader
from hub.sales import SalesFold
from hub.snapshots import Snapshots
from hub.stock_reader import TableStockReader
from hub.store import HubStore, open_store
from hub.sync_endpoint import Workers, create_app
from hub.tokens import Tokens, TokenScope, create_token
from schema import PROJECT
from schema.errors import RefusalError
from schema.identity import ORG
from schema.kinds.catalogue import DocumentChange
from schema.kinds.organisation import LocationDefined, OrganisationFounded
from schema.rehearsal import rehearsal_clock_ms
from sync.effective import Fold
from sync.entry import Entry
from sync.organisation import Organisation
from sync.reissue import ReissueProjection, reissue
from sync.replica import Moment, Replica
from sync.stock_projection import core_folds
from sync.transport import OrganisationCard

CONTACTS_SECONDS: Final = 2
FIRST_TOKEN: Final = "administrator"  # noqa: S105

Folds = Callable[[Organisation], Sequence[Fold]]


def default_folds(organisation: Organisation) -> Sequence[Fold]:
    """Return every replica's folds and the hub's own: one fresh set for each connection."""
    inbox = InboxFold(wall_clock_ms)
    documents, stock = core_folds(organisation, index_products, on_fold=[inbox.follow])
    return (inbox, documents, stock, SalesFold(), ActivityFold(), ReissueProjection())


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
        *,
        now_ms: Callable[[], int],
        stock: StockReader | None = None,
        after_ingest: AfterIngest | None = None,
        threads: int = 6,
        waiting_max: int = 64,
    ) -> None:
        self.identity = identity
        self.store = store
        self.now_ms = now_ms
        self.release = release()
        self.own_log = OwnLog(identity.node, now_ms, identity.directory / APPENDED_FILE)
        self.contacts = Contacts(store)
        self.enrolment = Enrolment(identity, store, self.own_log, now_ms)
        self.pruning = Pruning(store, self.own_log, now_ms)
        self.workers = Workers(threads=threads, waiting_max=waiting_max)
        self.ingest = Ingest(
            store,
            self.own_log,
            identity.signer,
            self.release,
            self.contacts,
            self.pruning,
            self._after_ingest,
            lambda: self.workers.busy_ms,
        )
        self.snapshots = Snapshots(identity.directory / SNAPSHOTS_FOLDER, store, identity.signer, self.release)
        self.tokens = Tokens(store, now_ms)
        self.reports = Reports(store, self.tokens, stock or TableStockReader())
        self.accounts = Accounts(store, now_ms)
        self.desk = Desk(self)
        self._told = after_ingest

    def _after_ingest(self, entries: Sequence[Entry]) -> None:
        if any(isinstance(entry.payload, DocumentChange) for entry in entries):
            self.reissue_changes()
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

    @asynccontextmanager
    async def lifespan(self, _: Any) -> AsyncIterator[None]:
        """Do what a hub that died left undone, and write down contacts while the server runs."""

        async def flush_contacts() -> None:
            while True:
                await asyncio.sleep(CONTACTS_SECONDS)
                with contextlib.suppress(Exception):
                    await asyncio.to_thread(self.contacts.flush)

        # A change stored just before the hub died was never reissued, and no node would send it again.
        await asyncio.to_thread(self.reissue_changes)
        task = asyncio.create_task(flush_contacts())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.to_thread(self.contacts.flush)

    def close(self) -> None:
        """Finish what runs and close the store."""
        self.desk.workers.close()
        self.workers.close()
        self.contacts.flush()
        self.store.close()


def open_hub(
    directory: Path,
    *,
    folds: Folds = default_folds,
    now_ms: Callable[[], int] = wall_clock_ms,
    stock: StockReader | None = None,
    after_ingest: AfterIngest | None = None,
    threads: int = 6,
    waiting_max: int = 64,
) -> Hub:
    """Open a hub's directory; raises RefusalError by name where it cannot be used."""
    identity = load_identity(directory)
    hub = Hub(
        identity,
        _store_of(identity, folds),
        now_ms=now_ms,
        stock=stock,
        after_ingest=after_ingest,
        threads=threads,
        waiting_max=waiting_max,
    )
    fill_desk_tables(hub.store, now_ms)
    with hub.store.snapshot() as replica:
        is_behind = hub.own_log.is_behind(replica.connection)
    if is_behind:
        with hub.store.transaction(ORG) as replica:
            hub.own_log.leave_copy(replica.connection)
    return hub


def _store_of(identity: HubIdentity, folds: Folds) -> HubStore:
    def organisation() -> Organisation:
        return Organisation(identity.node, identity.signer.public)

    return open_store(identity.settings.database, identity.directory, organisation, folds)


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
    identity = found_directory(directory, HubSettings(name, address, database), seed or secrets.token_bytes(32))
    store = _store_of(identity, folds)
    own_log = OwnLog(identity.node, now_ms, directory / APPENDED_FILE)
    try:
        with store.transaction(ORG) as replica:
            found_organisation(
                replica,
                own_log,
                name=name,
                public_key=identity.signer.public,
                locations=locations,
                currency=currency,
                time_zone=time_zone,
            )
            token = create_token(replica.connection, FIRST_TOKEN, now_ms(), scopes=tuple(TokenScope))
    finally:
        store.close()
    return Founded(identity.node, token)


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
        create_app(hub),
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
