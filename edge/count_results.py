"""What a count came to: counted minus book of each product with its worth, and what a second person counts again.

The variances are those of the count rules, read from the figures that they keep; they shrink when late sales arrive.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from edge.catalog import product_of
from edge.counting import CountSession, session_of
from edge.node import Node
from edge.print_jobs import queue_receipt
from edge.recorded_lines import RecordedLine, recorded_lines
from edge.settings import setting
from edge.stock_values import Worths
from schema.errors import RefusalError
from schema.identity import EntryId, NodeId, Stream
from schema.rules.count_slips import CountReport, VarianceLine
from schema.rules.cycle_counts import RecountLimits, needs_recount
from schema.settings import CountRules
from sync.explanation import explain_stock, product_name
from sync.key_state import KeyState
from sync.stock_facts import Rules


class Result(NamedTuple):
    """What a session found of one product: counted, and counted minus book, in base units."""

    product: str
    counted_milli: int
    variance_milli: int
    has_book: bool = True
    """False for what the book had never heard of: a shop's first count is compared with nothing."""


def session_results(node: Node, session: str) -> list[Result]:
    """Return what a session found of each product that has all its lines, by product.

    A product that a later count has superseded is explained anew, from the chain of its counts.
    """
    with node.store.reading():
        return _results(node, connection_rules(node), session, recorded_lines(node, session))


def connection_rules(node: Node) -> Rules:
    """Return the count rules' settings as they are now."""
    return node.stock.rules(node.connection)


def _results(node: Node, rules: Rules, session: str, lines: Iterable[RecordedLine]) -> list[Result]:
    connection, scope_no = node.connection, node.replica.log.scope_no(node.config.scope)
    wanted = {line.product for line in lines}
    states = {
        str(product): bytes(state)
        for product, state in connection.execute(
            "SELECT product, state FROM stock WHERE scope_no = ? AND state IS NOT NULL", (scope_no,)
        ).fetchall()
        if product in wanted
    }
    now_ms = node.clock_source().wall_ms
    found: list[Result] = []
    for product in sorted(wanted):
        state = KeyState.from_bytes(states[product]) if product in states else KeyState()
        base = next((one for one in state.bases if one.observation.id == session), None)
        if base is not None:
            has_book = base.prior is not None or base.between != 0
            found.append(Result(product, base.observation.quantity, base.variance, has_book))
            continue
        if session in state.incomplete or not state.bases:
            continue
        why = explain_stock(connection, node.organisation, rules, node.config.scope, product, now_ms)
        told = next((variance for observation, variance in why.variances if observation == session), None)
        if told is not None:
            found.append(Result(product, _counted(lines, product), told))
    return found


def _counted(lines: Iterable[RecordedLine], product: str) -> int:
    believed: dict[str, RecordedLine] = {}
    for line in lines:
        if line.product == product and (line.zone not in believed or line.beats(believed[line.zone])):
            believed[line.zone] = line
    return sum(line.quantity_milli for line in believed.values())


class Recount(NamedTuple):
    """A product that a second person counts again, in every zone that has some; nothing of the first count is told."""

    product: str
    name: str
    zones: tuple[str, ...]
    operators: tuple[str, ...]
    """Who counted it first: somebody else counts again."""


def recounts_due(node: Node, session: str) -> list[Recount]:
    """Return the products of a session whose variance asks for a second person, and that nobody else has counted.

    Beyond the tolerance of the category's policy and of the shop's setting, and worth more than its limit; what has
    no known worth is judged by the tolerance alone.
    """
    lines = recorded_lines(node, session)
    by_product: dict[str, list[RecordedLine]] = {}
    for line in lines:
        by_product.setdefault(line.product, []).append(line)
    rules, settings, worths = connection_rules(node), setting(node, CountRules), Worths(node)
    due = []
    with node.store.reading():
        results = _results(node, rules, session, lines)
    for result in results:
        if not result.variance_milli or not result.has_book:
            continue
        told = by_product[result.product]
        people = {line.operator for line in told}
        if is_recounted(told):
            continue
        worth = worths.of(result.product)
        value = None if worth is None else worth.of(result.variance_milli)
        book = result.counted_milli - result.variance_milli
        policy = rules.policy(result.product).tolerance(result.counted_milli, book)
        limits = recount_limits(node, settings, result.product)
        limits = limits._replace(tolerance_milli=max(limits.tolerance_milli, policy))
        if needs_recount(result.variance_milli, result.counted_milli, value, limits):
            zones = tuple(sorted({line.zone for line in told}))
            name = product_name(node.connection, result.product)
            due.append((-(abs(value) if value is not None else 1 << 60), Recount(result.product, name, zones,
                                                                              tuple(sorted(people)))))  # fmt: skip
    return [one for _, one in sorted(due, key=lambda pair: (pair[0], pair[1].product))]


def is_recounted(lines: Iterable[RecordedLine]) -> bool:
    """Tell whether in each zone of a product somebody counted who had not counted it first."""
    firsts: dict[str, str] = {}
    seconds: set[str] = set()
    for line in sorted(lines, key=lambda one: (one.wall_ms, one.writer, one.seq)):
        if firsts.setdefault(line.zone, line.operator) != line.operator:
            seconds.add(line.zone)
    return bool(firsts) and seconds == set(firsts)


def recount_limits(node: Node, settings: CountRules, product: str) -> RecountLimits:
    """Return up to when one count of a product is enough."""
    found = product_of(node, product)
    if found is not None and found.product.is_weighed:
        return RecountLimits(
            settings.weighed_tolerance_milli, settings.weighed_tolerance_ppm, settings.recount_value_minor
        )
    return RecountLimits(settings.tolerance_milli, settings.tolerance_ppm, settings.recount_value_minor)


def count_report(node: Node, session: str) -> CountReport:
    """Return a session's variance report, the greatest value first; raises RefusalError `session_unknown`.

    Values are at the last received cost, else at the selling price and marked.
    """
    found = session_of(node, session)
    if found is None:
        raise RefusalError("session_unknown", f"there is no count {session} here", session=session)
    told = recorded_lines(node, session)
    with node.store.reading():
        results = _results(node, connection_rules(node), session, told)
    return _report(node, found, results, told)


def _report(node: Node, session: CountSession, results: list[Result], told: list[RecordedLine]) -> CountReport:
    from edge.signing_in import operator_name

    worths = Worths(node)
    lines: list[VarianceLine] = []
    for result in results:
        if result.variance_milli:
            product = product_of(node, result.product)
            worth = worths.of(result.product)
            lines.append(
                VarianceLine(
                    result.product,
                    result.product if product is None else f"{product.product.name} {product.product.spec}".strip(),
                    "" if product is None else product.product.unit if product.product.is_weighed
                    else product.product.unit_name,
                    result.counted_milli,
                    result.variance_milli,
                    None if worth is None else worth.of(result.variance_milli),
                    worth is not None and worth.is_cost,
                )
            )  # fmt: skip
    lines.sort(key=lambda one: (-abs(one.value_minor or 0), -abs(one.variance_milli), one.product))
    people = sorted({line.operator for line in told} - {""})
    missing = set(session.products) - {one.product for one in results}
    return CountReport(
        session=session.session,
        zones=session.zones,
        opened_ms=session.opened_ms,
        closed_ms=session.closed_ms,
        people=tuple(operator_name(node, person) for person in people),
        products=len(results),
        zeros=sum(1 for one in results if not one.counted_milli),
        unfinished=len(missing) + len({line.product for line in told} - {one.product for one in results} - missing),
        lines=tuple(lines),
    )


def print_count_report(node: Node, session: str) -> bool:
    """Print the report of a closed session once more, marked as a copy; False while it is open: it has no paper yet."""
    row = node.connection.execute(
        "SELECT t.node, t.incarnation, c.seq FROM count_session c JOIN stream t ON t.scope_no = c.scope_no"
        " AND t.stream_no = c.stream_no WHERE c.session = ? AND c.is_opening = 0"
        " ORDER BY c.wall_ms, c.stream_no, c.seq",
        (session,),
    ).fetchone()
    if row is None:
        return False
    entry = EntryId(Stream(node.config.scope, NodeId(row[0]), int(row[1])), int(row[2]))
    with node.write() as writing:
        queue_receipt(writing, str(entry), is_copy=True)
    return True
