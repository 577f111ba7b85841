"""Stock on hand as one of a replica's folds: binds the count rules to the tables and to the organisation's policies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from schema.catalogue import category_of
from schema.database import Connection
from schema.identity import Scope, scope_location
from schema.kinds.organisation import AuthorityGranted, FrontierDeclared, LocationDefined, OpeningBalance, PolicySet
from sync.document_projection import DocumentProjection, RecordsChanged
from sync.effective import Effective
from sync.log_tables import LogTables
from sync.organisation import Organisation
from sync.stock_facts import AmbiguousPick, Disagreement, Fact, Key, Policy, Rules
from sync.stock_facts_of import stock_facts_of
from sync.stock_fold import FoldChanges, StockFold
from sync.stock_tables import StockTables


class _Policies(Mapping[str, Policy]):
    """Policies by product, looked up through the product's category when asked for."""

    def __init__(self, connection: Connection, by_category: Mapping[str, Policy]) -> None:
        self._connection = connection
        self._by_category = by_category
        self._known: dict[str, Policy] = {}

    def __getitem__(self, product: str) -> Policy:
        policy = self._known.get(product)
        if policy is None:
            usual = self._by_category.get("", _DEFAULT)
            policy = self._known[product] = self._by_category.get(self._category(product), usual)
        return policy

    def get(self, product: str, default: object = None) -> Policy:
        del default
        return self[product]

    def _category(self, product: str) -> str:
        rows = self._connection.execute(
            "SELECT document FROM record WHERE record = ? ORDER BY document", (product,)
        ).fetchall()
        return next((c for (document,) in rows if (c := category_of(document)) is not None), "")

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


_DEFAULT = Policy(step=1000)
"""A category without a policy: the latest of clearly ordered counts, no tolerance, whole pieces."""


StockFolded = Callable[[Connection, StockTables, FoldChanges], None]
"""Hears, in the transaction of the fold, how figures and conflicts of one scope changed."""


class StockProjection:
    """Folds the stock facts of every location's scope; changed settings derive what they bear on afresh."""

    def __init__(self, organisation: Organisation, *on_fold: StockFolded) -> None:
        self._organisation = organisation
        self._on_fold = on_fold
        self._rules: Rules | None = None
        self._rules_version = -1
        self._reaching: dict[Scope, set[str]] = {}

    def take_reaching_below(self) -> dict[Scope, set[str]]:
        """Return, once, the products by scope whose figure needs an amended opening balance from the hub."""
        found, self._reaching = self._reaching, {}
        return found

    def forget(self) -> None:
        """Forget the settings: records or policies changed."""
        self._rules = None

    def rules(self, connection: Connection) -> Rules:
        """Return the settings that the organisation's scope holds now."""
        self._organisation.refresh(connection)
        return self._rules_at(connection, self._organisation.version)

    def _rules_at(self, connection: Connection, version: int) -> Rules:
        if self._rules is None or version != self._rules_version:
            policies = {
                p.category: Policy(
                    p.tolerance_milli, p.tolerance_ppm, Disagreement(p.disagreement), AmbiguousPick(p.ambiguous),
                    p.step_milli,
                )
                for p in self._organisation.newest_each(connection, PolicySet).values()
                if p.disagreement in set(Disagreement) and p.ambiguous in set(AmbiguousPick)
            }  # fmt: skip
            lags = {
                location.location: dict(location.lags)
                for location in self._organisation.newest_each(connection, LocationDefined).values()
            }
            homes: dict[str, set[str]] = {}
            for node, grant in self._organisation.newest_each(connection, AuthorityGranted).items():
                homes.setdefault(grant.location, set()).add(node)
            self._rules = Rules(_DEFAULT, _Policies(connection, policies), lags, homes)
            self._rules_version = version
        return self._rules

    def _tables(self, connection: Connection, scope_no: int, scope: Scope) -> StockTables | None:
        location = scope_location(scope)
        return None if location is None else StockTables(connection, scope_no, scope, location)

    def _keep(self, connection: Connection, tables: StockTables, scope: Scope, changes: FoldChanges) -> None:
        tables.apply(changes)
        for hear in self._on_fold:
            hear(connection, tables, changes)
        if changes.reaching_below:
            self._reaching.setdefault(scope, set()).update(key.product for key in changes.reaching_below)

    def apply(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Fold new entries of one stream."""
        scope = entries[0].stream.scope
        tables = self._tables(connection, scope_no, scope)
        if tables is None:
            self._follow_settings(connection, entries)
            return
        run: list[Effective] = []
        for entry in entries:
            if isinstance(entry.payload, OpeningBalance | FrontierDeclared):
                self._fold(connection, tables, run)
                run = []
                self._stand(connection, tables, entry)
            else:
                run.append(entry)
        self._fold(connection, tables, run)

    def _fold(self, connection: Connection, tables: StockTables, entries: Sequence[Effective]) -> None:
        batch = [(entry, facts) for entry in entries if (facts := stock_facts_of(entry))]
        if not batch:
            return
        tables.add_all(entries[0].stream_no, batch)
        facts = [fact for _, facts in batch for fact in facts]
        below: list[Fact] = []
        if tables.balances.bound:
            below = [fact for fact in facts if tables.lies_below(fact)]
            facts = [fact for fact in facts if not tables.lies_below(fact)]
            below = [fact for fact in below if not tables.is_history(fact)]
        # Whoever stores entries has refreshed the organisation in this transaction.
        engine = StockFold(tables, self._rules_at(connection, self._organisation.version))
        self._keep(connection, tables, entries[0].stream.scope, engine.ingest(facts, below))

    def _stand(self, connection: Connection, tables: StockTables, entry: Effective) -> None:
        scope = entry.stream.scope
        location = scope_location(scope)
        assert location is not None
        if isinstance(entry.payload, FrontierDeclared):
            tables.balances.declare(entry, entry.payload)
        elif isinstance(entry.payload, OpeningBalance):
            products = tables.balances.take(entry, entry.payload)
            if products:
                engine = StockFold(tables, self.rules(connection))
                keys = [Key(location, product) for product in sorted(products)]
                self._keep(connection, tables, scope, engine.stand(keys, tables.transfers_of(products)))

    def retract(self, connection: Connection, scope_no: int, entries: Sequence[Effective]) -> None:
        """Take back the facts of entries that lost their authority."""
        scope = entries[0].stream.scope
        tables = self._tables(connection, scope_no, scope)
        if tables is None:
            self._follow_settings(connection, entries)
            return
        batch = [(entry, stock_facts_of(entry)) for entry in entries]
        for entry, facts in batch:
            tables.remove(entry.stream_no, entry, facts)
        engine = StockFold(tables, self.rules(connection))
        self._keep(connection, tables, scope, engine.reconsider([fact for _, facts in batch for fact in facts]))

    def _follow_settings(self, connection: Connection, entries: Sequence[Effective]) -> None:
        if any(isinstance(entry.payload, PolicySet | LocationDefined) for entry in entries):
            self.rederive(connection)
        if any(isinstance(entry.payload, AuthorityGranted) for entry in entries):
            self._rejudge_rights(connection)

    def _rejudge_rights(self, connection: Connection) -> None:
        """Judge every right anew: another node is of a place now, or no longer."""
        rows = connection.execute("SELECT scope_no, product FROM right_figure ORDER BY scope_no, product").fetchall()
        if not rows:
            return
        scopes = {number: scope for scope, number in LogTables(connection).scopes().items()}
        for scope_no in sorted({number for number, _ in rows}):
            tables = self._tables(connection, scope_no, scopes[scope_no])
            if tables is not None:
                keys = [Key(tables.location, product) for number, product in rows if number == scope_no]
                changes = StockFold(tables, self.rules(connection)).rejudge_rights(keys)
                self._keep(connection, tables, scopes[scope_no], changes)

    def rederive(self, connection: Connection, products: Iterable[str] | None = None) -> list[FoldChanges]:
        """Derive counted keys afresh (of these products, or all) in every scope: a key without a count has no rule."""
        self.forget()
        wanted = None if products is None else set(products)
        done = []
        for scope, scope_no in LogTables(connection).scopes().items():
            tables = self._tables(connection, scope_no, scope)
            if tables is None:
                continue
            rows = connection.execute(
                "SELECT product FROM stock WHERE scope_no = ? AND state IS NOT NULL ORDER BY key_no", (scope_no,)
            ).fetchall()
            location = scope_location(scope)
            assert location is not None
            keys = [Key(location, p) for (p,) in rows if wanted is None or p in wanted]
            if keys:
                changes = StockFold(tables, self.rules(connection)).rederive(keys)
                self._keep(connection, tables, scope, changes)
                done.append(changes)
        return done


def core_folds(
    organisation: Organisation, *on_change: RecordsChanged, on_fold: Sequence[StockFolded] = ()
) -> tuple[DocumentProjection, StockProjection]:
    """Return the folds that every replica keeps, in their order.

    `on_change` hears of changed records, `on_fold` of changed figures and conflicts.
    """
    stock = StockProjection(organisation, *on_fold)

    def follow_categories(connection: Connection, document: str, records: Mapping[str, object]) -> None:
        if category_of(document) is not None:
            stock.rederive(connection, records)

    return DocumentProjection(organisation, (follow_categories, *on_change)), stock
