"""An invitation lets exactly one node join, within its time, and says by name why it does not."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from hub.enrolment import INVITATION_MS, WRONG_CODES_MAX, Profile
from hub.registry import list_nodes, revoke_node
from hub.service import Founded, Hub, open_hub, serving
from schema.codec import encode
from schema.errors import RefusalError
from schema.kinds.organisation import AuthorityGranted
from sync.signing import SigningKey
from sync.transport import ENROL_PATH, Invitation, fingerprint
from tests.hub.fleet import FleetNode, ProblemError, join, now_ms, sale


def signer() -> SigningKey:
    return SigningKey(secrets.token_bytes(32))


def invite(hub: Hub, till: str = "T1", profile: Profile = Profile.TILL, location: str = "A") -> str:
    return hub.enrolment.invite(profile=profile, location=location, name="a till", till=till).invitation


def refusal(client: httpx.Client, invitation: str, key: SigningKey) -> tuple[int, str]:
    with pytest.raises(ProblemError) as caught:
        join(client, invitation, key)
    return caught.value.status, caught.value.code


def test_a_node_learns_who_it_is_and_what_it_holds(hub: Hub, client: httpx.Client) -> None:
    key = signer()
    enrolled = join(client, invite(hub), key)
    assert (enrolled.node, enrolled.location, enrolled.till) == (key.node, "A", "T1")
    assert enrolled.subscriptions == (("org", False), ("loc/A", False))
    assert (enrolled.currency, enrolled.time_zone, enrolled.day_cut_hour) == ("CNY", "Asia/Shanghai", 4)
    assert enrolled.root_key == hub.identity.signer.public
    certificate = x509.load_pem_x509_certificate(enrolled.certificate_pem.encode())
    authority = x509.load_pem_x509_certificate(enrolled.ca_pem.encode())
    certificate.verify_directly_issued_by(authority)
    names = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert isinstance(names, x509.SubjectAlternativeName)
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        f"edgetill:node/{key.node}",
        "edgetill:scope/loc/A#trade,stock,count,resolve",
        "edgetill:scope/loc/*#notice",
    ]


def test_a_manager_may_write_the_catalogue_and_a_till_may_not(hub: Hub, client: httpx.Client) -> None:
    till, manager = signer(), signer()
    join(client, invite(hub, "T1"), till)
    join(client, invite(hub, "M1", Profile.MANAGER), manager)
    with hub.store.snapshot() as replica:
        grants = replica.organisation.newest_each(replica.connection, AuthorityGranted)
    assert "catalogue.write" in grants[manager.node].scopes[0].permissions
    assert "catalogue.write" not in grants[till.node].scopes[0].permissions


def test_a_code_is_refused_by_name_when_wrong_or_used(hub: Hub, client: httpx.Client) -> None:
    invitation = invite(hub)
    finger = fingerprint(hub.identity.signer.public)
    assert Invitation.parse(invitation).fingerprint == finger
    assert refusal(client, str(Invitation("a" * 26, finger)), signer()) == (404, "code_unknown")
    join(client, invitation, signer())
    assert refusal(client, invitation, signer()) == (409, "code_used")


def test_the_winner_may_ask_again_because_its_answer_may_be_lost(hub: Hub, client: httpx.Client) -> None:
    invitation, key = invite(hub), signer()
    first, second = join(client, invitation, key), join(client, invitation, key)
    assert (first.node, first.till) == (second.node, second.till)
    with hub.store.snapshot() as replica:
        assert len(list_nodes(replica)) == 1
    revoke_node(hub.store, hub.own_log, key.node, "")
    assert refusal(client, invitation, key) == (403, "node_revoked")


def test_a_request_must_prove_that_it_holds_its_key(hub: Hub, client: httpx.Client) -> None:
    from sync.transport import EnrolRequest, enrol_proof

    code, key, other = Invitation.parse(invite(hub)).code, signer(), signer()
    request = EnrolRequest(code, key.public, other.sign(enrol_proof(code, key.public)), "test", now_ms())
    reply = client.post(ENROL_PATH, content=encode(request))
    assert (reply.status_code, b"proof_invalid" in reply.content) == (403, True)
    for rubbish in (b"", b"\xc1", secrets.token_bytes(300), encode(["x"] * 5)):
        reply = client.post(ENROL_PATH, content=rubbish)
        assert (reply.status_code, b"message_malformed" in reply.content) == (400, True)
    join(client, str(Invitation(code, "b" * 26)), key)


def test_twenty_nodes_race_for_one_invitation_and_one_wins(hub: Hub, client: httpx.Client) -> None:
    invitation = invite(hub)

    def attempt(key: SigningKey) -> str:
        try:
            join(client, invitation, key)
        except ProblemError as error:
            return error.code
        return "joined"

    with ThreadPoolExecutor(20) as pool:
        outcomes = list(pool.map(attempt, [signer() for _ in range(20)]))
    assert sorted(outcomes) == ["code_used"] * 19 + ["joined"]
    with hub.store.snapshot() as replica:
        assert len(list_nodes(replica)) == 1


def test_a_till_code_is_given_once_so_that_receipt_numbers_differ(hub: Hub, client: httpx.Client) -> None:
    first, second = invite(hub, "T1"), invite(hub, "T1")
    join(client, first, signer())
    assert refusal(client, second, signer()) == (409, "till_taken")
    with pytest.raises(RefusalError, match="till code"):
        invite(hub, "T1")
    with pytest.raises(RefusalError, match="no location"):
        invite(hub, "T2", location="Z")


def test_guessing_codes_is_slowed_down(hub: Hub, client: httpx.Client) -> None:
    guess = partial(refusal, client, str(Invitation("c" * 26, "d" * 26)))
    outcomes = [guess(signer()) for _ in range(WRONG_CODES_MAX + 2)]
    assert outcomes == [(404, "code_unknown")] * WRONG_CODES_MAX + [(429, "too_many_codes")] * 2


@pytest.fixture
def clock() -> list[int]:
    return [now_ms()]


@pytest.fixture
def clocked(founded: tuple[Path, Founded], clock: list[int]) -> Iterator[tuple[Hub, httpx.Client]]:
    opened = open_hub(founded[0], now_ms=lambda: clock[0])
    with serving(opened) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield opened, client
    opened.close()


def test_an_invitation_expires(clocked: tuple[Hub, httpx.Client], clock: list[int]) -> None:
    hub, client = clocked
    invitation, late = invite(hub, "T1"), invite(hub, "T2")
    clock[0] += INVITATION_MS - 1
    node = FleetNode(key := signer(), join(client, invitation, key))
    clock[0] += 1
    assert refusal(client, late, signer()) == (410, "code_expired")
    node.append(sale("1"))
    assert node.sync(client).is_complete
