"""Signing in: passwords, sessions, lockout, CSRF, and what each role may open."""

from __future__ import annotations

import re

import httpx
import pytest

from hub.pages.first_run import issue_code
from hub.service import Hub, serving
from schema.identity import ORG
from schema.kinds.organisation import OperatorDefined
from tests.hub.desk import PASSWORD, DeskClient, at_the_desk, make_account, text_of


@pytest.fixture
def desk(hub: Hub, client: httpx.Client) -> DeskClient:
    make_account(hub)
    return DeskClient(client)


def test_whoever_signs_in_sees_the_overview_and_whoever_signs_out_does_not(desk: DeskClient) -> None:
    assert desk.get("/").headers["location"] == "/sign-in"
    assert desk.sign_in().headers["location"] == "/"
    assert "Lin" in text_of(desk.get("/"))
    assert desk.post("/sign-out").headers["location"] == "/sign-in"
    assert desk.get("/").status_code == 303


def test_the_first_account_is_made_once_by_whoever_holds_the_printed_code(hub: Hub, client: httpx.Client) -> None:
    desk = DeskClient(client)
    code = issue_code(hub)
    fields = {"name": "林老板", "login": "Lin", "password": PASSWORD, "again": PASSWORD}
    desk.get("/first-run?code=wrong")
    assert "link that the hub printed" in text_of(desk.post("/first-run", {**fields, "code": "wrong"}))
    assert not hub.accounts.has_any()
    desk.get(f"/first-run?code={code}")
    refused = desk.post("/first-run", {**fields, "code": code, "again": "something else"})
    assert (refused.status_code, 'value="林老板"' in refused.text) == (422, True)
    welcomed = desk.post("/first-run", {**fields, "code": code})
    assert "林老板" in text_of(desk.follow(welcomed))
    assert desk.get(f"/first-run?code={code}").headers["location"] == "/sign-in"
    (owner,) = hub.accounts.listed()
    assert (owner.login, owner.role, owner.is_active) == ("lin", "owner", True)


def test_wrong_passwords_lock_the_login_for_a_while_and_say_so(hub: Hub, desk: DeskClient) -> None:
    for _ in range(5):
        assert "wrong" in text_of(desk.sign_in(password="not the password"))
    locked = desk.sign_in()
    assert (locked.status_code, "15 minutes" in text_of(locked)) == (422, True)
    before = hub.accounts._now_ms
    hub.accounts._now_ms = lambda: before() + 15 * 60_000 + 1
    assert desk.sign_in().status_code == 303


def test_who_tries_many_logins_from_one_place_is_locked_out_there_for_every_login(hub: Hub, desk: DeskClient) -> None:
    from hub.accounts import PEER_FAILURES_MAX

    for number in range(PEER_FAILURES_MAX):
        desk.sign_in(f"nobody{number}", "not the password")
    assert "too many wrong passwords" in text_of(desk.sign_in("lin")).lower()


def test_a_login_that_does_not_exist_is_answered_like_a_wrong_password(desk: DeskClient) -> None:
    assert text_of(desk.sign_in("nobody")) == text_of(desk.sign_in("lin", "not the password")).replace(
        'value="lin"', 'value="nobody"'
    )


def test_a_form_without_the_session_s_token_changes_nothing(hub: Hub, desk: DeskClient) -> None:
    desk.sign_in()
    for token in ("", "x" * 32):
        desk.csrf = token
        assert desk.post("/sign-out").status_code == 403
    assert desk.get("/").status_code == 200
    forged = desk.http.post(
        "/sign-out", data={"csrf": desk.csrf}, headers={"sec-fetch-site": "cross-site", "accept": "text/html"}
    )
    assert forged.status_code == 403
    assert desk.get("/").status_code == 200


def test_a_session_ends_after_two_hours_without_use_though_a_page_kept_refreshing(hub: Hub, desk: DeskClient) -> None:
    desk.sign_in()
    before, later = hub.accounts._now_ms, 0
    hub.accounts._now_ms = lambda: before() + later
    for minutes in range(0, 120, 30):
        later = minutes * 60_000
        assert desk.http.get("/", headers={"x-partial": "1", "x-poll": "1"}).status_code == 200
    later = 121 * 60_000
    response = desk.http.get("/", headers={"x-partial": "1", "x-poll": "1"})
    assert (response.status_code, response.headers["x-sign-in"]) == (401, "1")


def test_someone_who_left_loses_every_session_at_once(hub: Hub, desk: DeskClient) -> None:
    operator = make_account(hub, "wen", "auditor")
    with serving(hub) as url, at_the_desk(url, "wen") as other:
        assert other.get("/").status_code == 200
        with hub.store.transaction(ORG) as replica:
            defined = replica.organisation.newest(replica.connection, OperatorDefined, operator)
            assert defined is not None
            gone = OperatorDefined(operator, defined.number, defined.role, (), defined.sealed_name, is_active=False)
            hub.own_log.append(replica, ORG, gone)
        assert other.get("/").headers["location"] == "/sign-in"
        assert "wrong" in text_of(other.sign_in("wen"))


def test_a_changed_password_ends_every_session_and_a_weak_one_is_refused(desk: DeskClient) -> None:
    desk.sign_in()
    weak = desk.post("/account", old=PASSWORD, new="short", again="short")
    assert (weak.status_code, "has at least 10 characters" in text_of(weak)) == (422, True)
    assert desk.post("/account", old="wrong one here", new=PASSWORD + "!", again=PASSWORD + "!").status_code == 422
    changed = desk.post("/account", old=PASSWORD, new=PASSWORD + "!", again=PASSWORD + "!")
    assert changed.status_code == 303
    assert desk.get("/").status_code == 303
    assert desk.sign_in("lin", PASSWORD + "!").status_code == 303


def test_the_way_back_after_signing_in_leads_nowhere_else(desk: DeskClient) -> None:
    desk.get("/sign-in?next=//evil.example/")
    for wanted in ("//evil.example/", "/\\evil.example", "https://evil.example", "/inbox\r\nx: y"):
        assert desk.post("/sign-in", login="lin", password=PASSWORD, next=wanted).headers["location"] == "/"
        desk.get("/account")
        desk.post("/sign-out")
        desk.get("/sign-in")
    assert desk.post("/sign-in", login="lin", password=PASSWORD, next="/account").headers["location"] == "/account"


def test_the_language_is_switched_on_every_page_and_kept(desk: DeskClient) -> None:
    desk.sign_in()
    assert "Overview" in text_of(desk.get("/"))
    switched = desk.get("/account?lang=zh")
    assert switched.headers["location"] == "/account"
    assert "我的账号" in text_of(desk.get("/account"))
    assert "总览" in text_of(desk.get("/"))


def test_nothing_of_another_origin_may_be_loaded_or_framed(desk: DeskClient) -> None:
    desk.sign_in()
    page = desk.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page.text) == []
    assert page.headers["cache-control"] == "no-store"
