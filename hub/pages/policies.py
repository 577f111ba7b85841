"""Count policies by category: what they are, what the last 30 days would have been under another, and saving it."""

from __future__ import annotations

import hashlib
from urllib.parse import urlencode

from hub.accounts import Right
from hub.pages.forms import Form
from hub.pages.visits import Answer, Routes, Visit
from hub.product_index import categories
from hub.rule_replay import check_policy
from schema.amounts import format_quantity
from schema.codec import encode
from schema.errors import RefusalError
from schema.identity import ORG
from schema.kinds.organisation import PolicySet
from sync.replica import Replica
from sync.stock_facts import AmbiguousPick, Disagreement

routes = Routes()
DISAGREEMENTS = tuple(Disagreement)
PICKS = tuple(AmbiguousPick)


@routes.get("/policies", Right.READ_ALL)
def policies(visit: Visit) -> Answer:
    """List the policies."""
    with visit.read() as replica:
        found = replica.organisation.newest_each(replica.connection, PolicySet)
        counted = {one.category: one.products for one in categories(replica.connection)}
    rows = [(found[name], counted.get(name, 0)) for name in sorted(found)]
    without = sorted(set(counted) - set(found))
    return visit.render("policies.html", rows=rows, without=without, counted=counted)


@routes.get("/policies/edit", Right.CATALOGUE)
def edit(visit: Visit) -> Answer:
    """Show one category's policy as a form."""
    return _form(visit, visit.query.text("category"))


def _form(visit: Visit, category: str, status: int = 200) -> Answer:
    with visit.read() as replica:
        current = _current(replica, category)
    form = visit.form.fill(_filled(current))
    return visit.render("policy.html", status=status, form=form, category=category, version=_version(current),
                        disagreements=DISAGREEMENTS, picks=PICKS)  # fmt: skip


def _current(replica: Replica, category: str) -> PolicySet:
    known = replica.organisation.newest(replica.connection, PolicySet, category)
    known = known or replica.organisation.newest(replica.connection, PolicySet, "")
    return known or PolicySet(category, 0, 0, Disagreement.LATEST.value, AmbiguousPick.MIDPOINT.value)


def _filled(policy: PolicySet) -> dict[str, str]:
    return {
        "tolerance": format_quantity(policy.tolerance_milli),
        "tolerance_percent": format_quantity(policy.tolerance_ppm // 10),
        "disagreement": policy.disagreement,
        "ambiguous": policy.ambiguous,
        "step": format_quantity(policy.step_milli),
    }


def _version(policy: PolicySet) -> str:
    return hashlib.sha256(encode(policy)).hexdigest()[:24]


def _read(form: Form, category: str) -> PolicySet:
    return PolicySet(
        category,
        form.quantity("tolerance", highest=10**9),
        form.quantity("tolerance_percent", highest=100_000) * 10,
        form.one_of("disagreement", DISAGREEMENTS),
        form.one_of("ambiguous", PICKS),
        form.quantity("step", lowest=1, highest=10**9),
    )


@routes.post("/policies/edit", Right.CATALOGUE)
def replay_or_save(visit: Visit) -> Answer:
    """Begin a replay with what was typed, or save it."""
    form = visit.form
    category = form.text("category")
    policy = _read(form, category)
    if not form.is_valid:
        return _form(visit, category, 422)
    try:
        if form.text("act") == "save":
            with visit.change(ORG, "policy.set", category) as change:
                form.check_version(_version(_current(change.replica, category)))
                check_policy(policy)
                change.append(policy)
            return visit.redirect("/policies", done="done.policy_saved")
        name = visit.hub.replays.begin(policy, sorted(visit.locations), visit.account.operator)
    except RefusalError as error:
        form.refuse(error)
        return _form(visit, category, 409 if error.code == "form_stale" else 422)
    return visit.redirect(f"/policies/replays/{name}?{urlencode({'version': form.text('version')})}")


@routes.get("/policies/replays/{replay:str}", Right.CATALOGUE)
def replay(visit: Visit) -> Answer:
    """Show how far a replay is, and what came of it."""
    found = visit.hub.replays.find(visit.params["replay"])
    with visit.read() as replica:
        now = _current(replica, found.policy.category)
    return visit.render(
        "replay.html", replay=found, policy=found.policy, current=now, filled=_filled(found.policy),
        version=visit.query.text("version"),
    )  # fmt: skip
