"""The hub as a process: TLS under the pinned key, ends clean and unclean, resumable snapshots, its API."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from hub.enrolment import Profile
from hub.identity import load_identity
from hub.operators import define_operator
from hub.service import Founded, Hub, open_hub, serving
from hub.sync_endpoint import Workers
from hub.tokens import create_token
from schema.errors import RefusalError, TransientError
from schema.identity import ORG
from sync.bundle import is_bundle_signed, read_bundle
from sync.document_projection import read_document
from sync.documents import edit
from sync.elsewhere import OPERATORS_TOPIC, OperatorSecrets, asking, content_digest
from sync.messages import encode_request
from sync.signing import SigningKey, is_signed, statement_message
from sync.transport import (
    ORGANISATION_PATH,
    SNAPSHOT_PATH,
    Invitation,
    OrganisationCard,
    Problem,
    fingerprint,
    sign_request,
)
from sync.verification import verify_batch
from tests import processes
from tests.hub.conftest import Enrol
from tests.hub.fleet import FleetNode, checked, join, receipts_at, sale

HANG_S = 60


def run(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return processes.run("hub", *words, EDGETILL_HUB=str(directory))


def run_json(directory: Path, *words: str) -> Any:
    done = run(directory, *words, "--json")
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout)


def test_a_till_joins_and_syncs_over_tls_trusting_nothing_but_the_invitation(tmp_path: Path) -> None:
    directory = tmp_path / "hub"
    founded = run_json(directory, "init", str(directory), "--name", "灯笼超市", "--location", "A:河边店:shop")
    with processes.serving_hub(directory) as (running, url):
        issued = run_json(directory, "invite", "--location", "A", "--name", "A till 1", "--till", "A1")
        invitation = Invitation.parse(issued["invitation"])
        # Nothing is trusted yet: the card is believed because its key has the fingerprint that was read out.
        with httpx.Client(base_url=url, verify=False, trust_env=False) as stranger:
            card = msgspec.msgpack.decode(checked(stranger.get(ORGANISATION_PATH)), type=OrganisationCard)
        assert fingerprint(card.public_key) == invitation.fingerprint
        assert (card.hub, card.name) == (founded["hub"], "灯笼超市")
        trust = ssl.create_default_context(cadata=card.ca_pem)
        with httpx.Client(base_url=url, verify=trust, trust_env=False) as client:
            key = SigningKey(secrets.token_bytes(32))
            node = FleetNode(key, join(client, issued["invitation"], key))
            node.append(sale("A1-1"))
            assert node.sync(client).is_complete
            running.send_signal(signal.SIGTERM)
            assert running.wait(10) == 0
    (listed,) = run_json(directory, "nodes")
    assert (listed["node"], listed["till"], listed["entries"]) == (key.node, "A1", 1)
    assert listed["last_ms"]
    assert run(directory, "revoke", key.node, "--reason", "sold").returncode == 0
    assert run_json(directory, "nodes")[0]["is_revoked"]


def test_another_organisations_key_is_not_trusted(founded: tuple[Path, Founded], tmp_path: Path) -> None:
    run(tmp_path, "init", str(tmp_path / "other"), "--name", "Other", "--location", "A:A:shop")
    trust = ssl.create_default_context(cafile=str(tmp_path / "other" / "ca.pem"))
    hub = open_hub(founded[0])
    with (
        serving(hub, plain=False) as url,
        httpx.Client(base_url=url, verify=trust, trust_env=False) as client,
        pytest.raises(httpx.ConnectError),
    ):
        client.get(ORGANISATION_PATH)
    hub.close()


def test_without_tls_the_hub_listens_on_the_loopback_alone(founded: tuple[Path, Founded]) -> None:
    refused = run(founded[0], "serve", "--host", "0.0.0.0", "--port", "0", "--plain")
    assert refused.returncode == 1
    assert "[plain_refused]" in refused.stderr


def test_a_hub_killed_in_the_middle_of_ingest_has_everything_it_acknowledged(founded: tuple[Path, Founded]) -> None:
    directory = founded[0]
    hub = open_hub(directory)
    invitation = hub.enrolment.invite(profile=Profile.TILL, location="A", name="T", till="T1").invitation
    hub.close()
    key = SigningKey(secrets.token_bytes(32))
    acknowledged = 0
    with (
        processes.serving_hub(directory, "--plain") as (running, url),
        httpx.Client(base_url=url, trust_env=False) as client,
    ):
        node = FleetNode(key, join(client, invitation, key))
        with contextlib.suppress(httpx.TransportError):
            while True:
                node.append(sale(f"T1-{acknowledged}"))
                assert not node.push(client, node.batch(acknowledged)).refusals
                acknowledged += 1
                if acknowledged == 25:  # soon, in the middle of whatever it does then
                    threading.Timer(0.02, running.kill).start()
        running.wait(HANG_S)
    assert acknowledged >= 25
    with (
        processes.serving_hub(directory, "--plain") as (running, url),
        httpx.Client(base_url=url, trust_env=False) as client,
    ):
        hub = open_hub(directory)
        with hub.store.snapshot() as replica:
            row = replica.log.stream(node.stream())
            assert row is not None
            assert replica.log.verify_chain(row) >= acknowledged
        assert node.sync(client).is_complete
        assert len(receipts_at(hub, "A")) == node.replica.log.heads(node.scope)[node.stream().writer].seq
        hub.close()


def snapshot_headers(node: FleetNode) -> dict[str, str]:
    return sign_request(node.signer, node.hub, SNAPSHOT_PATH, b"", secrets.token_hex(8))


def test_a_snapshot_that_broke_off_is_resumed_though_the_hub_moved_on(
    hub: Hub, client: httpx.Client, enrol: Enrol
) -> None:
    old, new = enrol(), enrol()
    for number in range(300):
        old.append(sale(f"1-{number}", product=secrets.token_hex(6)))
    old.push(client, old.batch())
    whole = client.get(SNAPSHOT_PATH, headers=snapshot_headers(new))
    assert whole.status_code == 200
    etag, half = whole.headers["etag"], len(whole.content) // 2
    old.append(sale("later"))
    old.push(client, old.batch(300))
    resumed = {**snapshot_headers(new), "Range": f"bytes={half}-", "If-Range": etag}
    rest = client.get(SNAPSHOT_PATH, headers=resumed)
    assert rest.status_code == 206
    assert rest.headers["content-range"] == f"bytes {half}-{len(whole.content) - 1}/{len(whole.content)}"
    data = whole.content[:half] + rest.content
    assert is_bundle_signed(data, hub.identity.node, hub.identity.signer.public)
    header, parts = read_bundle(data)
    assert [v.scope for v in header.vectors] == ["org", "loc/A"]
    for batches in parts:
        for batch in batches:
            admitted = new.replica.admit(batch)
            assert admitted is not None
            new.replica.store(verify_batch(*admitted))
    assert new.replica.log.heads(new.scope)[old.stream().writer].seq == 300
    result = new.sync(client)
    assert result.is_complete
    # The late sale came, and the grants of neither node had to come again.
    assert result.entries_received == 1


def test_a_snapshot_is_for_nodes_and_its_ranges_are_checked(hub: Hub, client: httpx.Client, enrol: Enrol) -> None:
    node = enrol()
    assert client.get(SNAPSHOT_PATH).status_code == 401
    outside = client.get(SNAPSHOT_PATH, headers={**snapshot_headers(node), "Range": "bytes=99999999-"})
    assert outside.status_code == 416
    assert msgspec.msgpack.decode(outside.content, type=Problem).code == "range_invalid"
    stale = {**snapshot_headers(node), "Range": "bytes=5-", "If-Range": '"' + "0" * 32 + '"'}
    assert client.get(SNAPSHOT_PATH, headers=stale).status_code == 200
    tail = client.get(SNAPSHOT_PATH, headers={**snapshot_headers(node), "Range": "bytes=-10"})
    assert (tail.status_code, len(tail.content)) == (206, 10)


async def test_workers_say_busy_instead_of_queueing_without_end() -> None:
    workers = Workers(threads=1, waiting_max=1)
    release = threading.Event()
    running = [asyncio.create_task(workers.run(lambda: release.wait(10))) for _ in range(2)]
    await asyncio.sleep(0.05)
    with pytest.raises(TransientError):
        await workers.run(lambda: True)
    release.set()
    assert await asyncio.gather(*running) == [True, True]
    assert await workers.run(lambda: 7) == 7
    workers.close()


def test_a_busy_hub_answers_429_with_a_time_to_wait(founded: tuple[Path, Founded]) -> None:
    hub = open_hub(founded[0], threads=1, waiting_max=0)
    with serving(hub) as url, httpx.Client(base_url=url, trust_env=False) as client:
        invitation = hub.enrolment.invite(profile=Profile.TILL, location="A", name="T", till="T1").invitation
        key = SigningKey(secrets.token_bytes(32))
        node = FleetNode(key, join(client, invitation, key))
        node.append(sale("1"))
        with hub.store.transaction(ORG):
            waiting = threading.Thread(target=lambda: node.push(client, node.batch()))
            waiting.start()
            deadline = time.monotonic() + HANG_S
            while not hub.workers.is_full:
                assert time.monotonic() < deadline, "the first request never reached the hub"
                time.sleep(0.01)
            reply = node.send(client, encode_request(node.request()))
        waiting.join()
        assert (reply.status_code, reply.headers["retry-after"]) == (429, "2")
        assert msgspec.msgpack.decode(reply.content, type=Problem).code == "busy"
        assert node.sync(client).is_complete
    hub.close()


def test_reports_are_paged_for_holders_of_a_token(hub: Hub, client: httpx.Client, enrol: Enrol) -> None:
    node = enrol()
    for number in range(25):
        node.append(sale(f"T-{number}", total_minor=100 + number))
    node.push(client, node.batch())
    with hub.store.transaction(None) as replica:
        token = create_token(replica.connection, "test", 0)
    headers = {"Authorization": f"Bearer {token}"}
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"location": "A", "limit": "10", **({"cursor": cursor} if cursor else {})}
        page = client.get("/v1/sales", params=query, headers=headers).json()
        seen += [listed["receipt_number"] for listed in page["sales"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [f"T-{number}" for number in range(25)]
    listed = client.get("/v1/stock", headers=headers).json()
    assert listed["next"] is None
    assert [(row["location"], row["product"], row["value_milli"]) for row in listed["stock"]] == [("A", "P1", -25_000)]
    (found,) = client.get("/v1/conflicts", headers=headers).json()["conflicts"]
    assert (found["location"], found["code"], found["status"]) == ("A", "NEGATIVE_STOCK", "open")
    assert client.get("/v1/sales").status_code == 401
    assert client.get("/v1/sales", headers={"Authorization": "Bearer x"}).json()["code"] == "token_unknown"
    assert client.get("/v1/sales", params={"limit": "0"}, headers=headers).status_code == 400
    assert client.get("/v1/sales", params={"cursor": "../x"}, headers=headers).json()["code"] == "cursor_invalid"


def test_the_first_token_of_an_organisation_works(
    founded: tuple[Path, Founded], hub: Hub, client: httpx.Client
) -> None:
    headers = {"Authorization": f"Bearer {founded[1].token}"}
    assert client.get("/v1/sales", headers=headers).json() == {"sales": [], "next": None}


def test_a_node_receives_the_pin_verifiers_of_its_own_location_alone(
    hub: Hub, client: httpx.Client, enrol: Enrol
) -> None:
    at_a = define_operator(hub.store, hub.own_log, number="1", name="王芳", role="cashier", locations=["A"], pin="1234")
    define_operator(hub.store, hub.own_log, number="2", name="李雷", role="cashier", locations=["B"], pin="4321")
    node = enrol()
    asked = node.request(topics=((asking(OPERATORS_TOPIC), b""),))
    (statement,) = node.exchange(client, asked).statements
    message = statement_message(OPERATORS_TOPIC, statement.content)
    assert is_signed(hub.identity.signer.public, statement.signature, message)
    content = msgspec.msgpack.decode(statement.content, type=OperatorSecrets)
    assert [o.operator for o in content.operators] == [at_a]
    assert content.operators[0].verifier.startswith("$argon2id$")
    held = (OPERATORS_TOPIC, content_digest(statement.content))
    again = node.request(topics=((asking(OPERATORS_TOPIC), b""), held))
    assert node.exchange(client, again).statements == ()
    again_at_a = define_operator(
        hub.store, hub.own_log, number="1", name="王芳", role="supervisor", locations=["A"], pin="9999"
    )
    assert again_at_a == at_a
    with pytest.raises(RefusalError, match="4 to 12 digits"):
        define_operator(hub.store, hub.own_log, number="3", name="x", role="cashier", locations=["A"], pin="12a4")


def test_the_administrators_verbs_work_beside_a_running_hub(founded: tuple[Path, Founded]) -> None:
    directory = founded[0]
    with processes.serving_hub(directory, "--plain") as (_, url):
        assert run(directory, "location", "add", "V1:Van one:van").returncode == 0
        words = ("operator", "add", "101", "王芳", "--role", "cashier", "--location", "V1", "--pin", "2468")
        assert run_json(directory, *words)["operator"].startswith("o")
        nobody = run(directory, "token", "reports")
        assert (nobody.returncode, "[account_missing]" in nobody.stderr) == (1, True)
        secret = ("--password", "correct horse battery")
        assert run(directory, "account", "add", "lin", "林", *secret).returncode == 0
        assert run(directory, "account", "add", "zhao", "赵", "--role", "auditor", *secret).returncode == 0
        wrongs: tuple[tuple[tuple[str, ...], str], ...] = (
            (("--by", "nobody"), "account_unknown"), (("--by", "zhao"), "token_maker_forbidden"),
            (("--scope", "sales"), "token_scope_unknown"), (("--location", "X"), "location_unknown"),
            (("--scope", "catalogue", "--location", "V1"), "token_catalogue_everywhere"),
        )  # fmt: skip
        for options, code in wrongs:
            refused = run(directory, "token", "reports", *options)
            assert (refused.returncode, f"[{code}]" in refused.stderr) == (1, True), refused.stderr
        token = run_json(directory, "token", "reports")["token"]
        with contextlib.closing(open_hub(directory)) as hub:
            [made] = [one for one in hub.tokens.listed() if one.name == "reports"]
            assert {one.login: one.operator for one in hub.accounts.listed()}["lin"] == made.operator
        assert run(directory, "account", "add", "wang", "王", *secret).returncode == 0
        several = run(directory, "token", "other")
        assert (several.returncode, "[token_maker_unnamed]" in several.stderr) == (1, True)
        assert run(directory, "token", "other", "--by", "wang", "--scope", "read", "--location", "V1").returncode == 0
        answer = httpx.get(f"{url}/v1/sales", headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        assert answer.status_code == 200
        wrong = run(directory, "invite", "--location", "V1", "--name", "x", "--till", "V1", "--profile", "robot")
        assert (wrong.returncode, "[profile_unknown]" in wrong.stderr) == (1, True)
        again = run(directory, "init", str(directory), "--name", "x", "--location", "A:A:shop")
        assert (again.returncode, "[hub_exists]" in again.stderr) == (1, True)


def test_who_trusts_the_hubs_root_certificate_is_asked_nothing_and_it_stays_over_restarts(
    founded: tuple[Path, Founded], tmp_path: Path
) -> None:
    directory, file = founded[0], tmp_path / "root.crt"
    told = run_json(directory, "certificate", "--out", str(file))
    trusting = ssl.create_default_context(cafile=str(file))
    for _ in range(2):
        with processes.serving_hub(directory) as (_, url), httpx.Client(verify=trusting, trust_env=False) as browser:
            assert browser.get(f"{url}/certificate/root.crt").text == file.read_text("ascii")
    assert run_json(directory, "certificate", "--out", str(file)) == told
    assert len(told["sha256"].split(":")) == 32
    # Its key is nowhere: what is kept signs nothing that a browser would believe.
    root = x509.load_pem_x509_certificate(file.read_bytes())
    served = serialization.load_pem_private_key((directory / "tls.key").read_bytes(), None)
    assert sorted(one.name for one in directory.glob("*.key")) == ["hub.key", "tls.key"]
    assert served.public_key() != root.public_key()
    # Another host asks for another certificate, under a root of its own; nodes pin the key above both.
    identity = load_identity(directory)
    identity.renew_tls("hub.example.test")
    assert identity.browser_fingerprint != told["sha256"]
    fresh = identity.browser_fingerprint
    identity.renew_tls()
    assert identity.browser_fingerprint == fresh


def test_settings_with_an_unknown_key_and_an_exposed_key_are_refused(founded: tuple[Path, Founded]) -> None:
    directory = founded[0]
    key = directory / "hub.key"
    key.chmod(0o644)
    with pytest.raises(RefusalError, match="others may read"):
        open_hub(directory)
    key.chmod(0o600)
    settings = directory / "hub.toml"
    settings.write_text(settings.read_text("utf-8") + 'colour = "red"\n', "utf-8")
    with pytest.raises(RefusalError, match="colour"):
        open_hub(directory)
    with pytest.raises(RefusalError, match="no hub"):
        open_hub(directory / "nowhere")


def test_a_price_stored_just_before_the_hub_died_reaches_the_other_shops_after_its_start(
    hub: Hub, client: httpx.Client, enrol: Enrol, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager, other = enrol(profile=Profile.MANAGER), enrol(location="B")
    state = read_document(manager.connection, "prices/standard/x")
    writer = manager.stream().writer
    for change in edit(state, {("P1", "pc"): 250}, writer=writer, time_ms=1, role="supervisor"):
        manager.append(change)
    with monkeypatch.context() as dying:
        dying.setattr(hub, "reissue_changes", lambda: 0)
        manager.sync(client)
    other.sync(client)
    known = other.replica.log.heads(ORG)
    with serving(hub):
        pass
    other.sync(client)
    assert other.replica.log.heads(ORG) != known
    with hub.store.snapshot() as replica:
        assert read_document(replica.connection, "prices/standard/x").value("P1", "pc") == 250
    assert hub.reissue_changes() == 0
