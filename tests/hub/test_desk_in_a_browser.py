"""The desk in a real Chromium: signing in, settling each kind of conflict, replaying a rule; accessible and narrow."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Error, Page, expect

from hub.inbox import InboxFilter, count_inbox, list_inbox
from hub.service import Hub, serving
from hub.summaries import refresh_summaries
from tests.hub.browsers import LAPTOP, PHONE, chromium, is_too_wide, opened_page, serious_findings
from tests.hub.conflicting import Chain
from tests.hub.desk import make_account


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


class Shop:
    """A served hub with a chain that has one conflict of each kind."""

    def __init__(self, hub: Hub, url: str, client: httpx.Client) -> None:
        self.hub = hub
        self.url = url
        self.chain = Chain(hub, client)
        self.chain.day_of_trade()
        self.chain.everything()
        self.chain.refunded_twice()
        make_account(hub, name="林老板")
        refresh_summaries(hub.store, hub.now_ms())

    def conflict(self, code: str) -> str:
        with self.hub.store.snapshot() as replica:
            row = list_inbox(replica, InboxFilter(code=code), 0, 1)[0]
        return f"/inbox/{row.location}/{row.id}"

    def open_conflicts(self) -> int:
        with self.hub.store.snapshot() as replica:
            return count_inbox(replica, InboxFilter())["OPEN"]

    def pages(self) -> list[str]:
        codes = ("COUNT_DISAGREE", "AMBIGUOUS_ORDER", "NEGATIVE_STOCK", "ZONE_RECOUNT", "TRANSFER_SHORT")
        return [
            "/", "/inbox", *(self.conflict(code) for code in codes), "/stock", "/stock/A/11001", "/stock/A/11006",
            "/findings",
            "/nodes", "/nodes/invite", f"/nodes/{self.chain.a1.signer.node}", "/locations", "/policies",
            "/policies/edit?category=drinks", "/accounts", "/accounts/new", "/accounts/of/lin", "/accounts/tokens/new",
            "/acts", "/account",
        ]  # fmt: skip


@pytest.fixture
def shop(hub: Hub) -> Iterator[Shop]:
    with serving(hub) as url, httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        yield Shop(hub, url, client)


def test_a_wrong_password_is_said_beside_the_form_and_the_right_one_opens_the_desk(
    browser: Browser, shop: Shop
) -> None:
    with opened_page(browser, shop.url, login=None) as page:
        page.goto("/inbox")
        page.fill("#login", "lin")
        page.fill("#password", "not the password")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("Login or password is wrong")
        expect(page.locator("#login")).to_have_value("lin")
        page.fill("#password", "correct horse battery")
        page.keyboard.press("Enter")
        page.wait_for_url("**/inbox")
        expect(page.get_by_role("heading", level=1)).to_have_text("Inbox")


def test_every_kind_of_conflict_is_settled_by_a_key_or_a_click(browser: Browser, shop: Shop) -> None:
    assert shop.open_conflicts() == 5
    with opened_page(browser, shop.url) as page:
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto(shop.conflict("COUNT_DISAGREE"))
        page.keyboard.press("2")
        expect(page.locator(".notice").first).to_contain_text("Settled")
        page.goto(shop.conflict("AMBIGUOUS_ORDER"))
        page.keyboard.press("a")
        expect(page.locator(".notice").first).to_contain_text("Settled")
        page.goto(shop.conflict("ZONE_RECOUNT"))
        page.get_by_role("button", name=re.compile("Take out the count of 9")).first.click()
        expect(page.locator(".notice").first).to_contain_text("Settled")
        page.goto(shop.conflict("TRANSFER_SHORT"))
        received = page.locator(".paper", has_text="Received")
        received.get_by_label("Really arrived").fill("10")
        received.get_by_role("button", name="Correct the paper").click()
        expect(page.locator(".notice").first).to_contain_text("Settled")
        page.goto(shop.conflict("NEGATIVE_STOCK"))
        page.get_by_text("A count told by telephone").click()
        page.get_by_label("Quantity").fill("5")
        page.get_by_role("button", name="Record the count").click()
        expect(page.locator(".notice").first).to_contain_text("The count is recorded")
    assert shop.open_conflicts() == 0


def test_a_recount_is_asked_for_by_one_key_and_the_next_conflict_follows(browser: Browser, shop: Shop) -> None:
    with opened_page(browser, shop.url) as page:
        first = shop.conflict("NEGATIVE_STOCK")
        page.goto(first)
        page.keyboard.press("r")
        expect(page.locator(".notice").first).to_contain_text("asked to count again")
        assert first not in page.url
        page.goto(first)
        expect(page.get_by_text("no count has answered yet")).to_be_visible()


def test_filters_narrow_the_list_without_a_new_page_and_many_are_settled_at_once(browser: Browser, shop: Shop) -> None:
    with opened_page(browser, shop.url) as page:
        page.goto("/inbox")
        page.evaluate("window.stayed = true")
        page.get_by_label("Kind").select_option("COUNT_DISAGREE")
        expect(page.locator("tbody tr")).to_have_count(1)
        assert "code=COUNT_DISAGREE" in page.url
        page.get_by_label("Kind").select_option("")
        expect(page.locator("tbody tr")).to_have_count(5)
        page.locator("input[type=search]").fill("可")
        expect(page.locator("tbody tr")).to_have_count(1)
        page.locator("input[type=search]").fill("")
        expect(page.locator("tbody tr")).to_have_count(5)
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_label("Choose all").check()
        page.get_by_role("button", name="Chosen: accept the rule's choice").click()
        expect(page.locator(".notice").first).to_contain_text("settled")
        expect(page.locator("tbody tr")).to_have_count(3)
        assert page.evaluate("window.stayed")
    assert shop.open_conflicts() == 3


def test_the_overview_brings_itself_up_to_date(browser: Browser, shop: Shop) -> None:
    with opened_page(browser, shop.url) as page:
        page.goto("/")
        card = page.locator(".figure", has_text="Open conflicts")
        expect(card).to_contain_text("5")
        page.evaluate("document.querySelector('#now').dataset.poll = '1'")
        shop.chain.negative("11004")
        expect(card).to_contain_text("6", timeout=30_000)


def test_a_rule_is_tried_on_the_last_days_and_then_saved(browser: Browser, shop: Shop) -> None:
    with opened_page(browser, shop.url) as page:
        page.goto("/policies")
        page.get_by_role("row", name=re.compile("default rule")).get_by_role("link", name="Change").click()
        page.get_by_label("Tolerance (quantity)").fill("5")
        page.get_by_role("button", name="See what the last 30 days would have been").click()
        expect(page.get_by_text("Conflicts that waited for a person")).to_be_visible(timeout=30_000)
        expect(page.locator(".figure", has_text="Conflicts that waited")).to_contain_text(re.compile(r"\d+ → \d+"))
        page.get_by_role("button", name="Save this rule").click()
        expect(page.locator(".notice").first).to_contain_text("The rule is saved")
    # Counts that differ by three agree within five, and doubts of three are within the tolerance.
    with shop.hub.store.snapshot() as replica:
        codes = {row.conflict.code.value for row in list_inbox(replica, InboxFilter(), 0, 50)}
    assert codes == {"NEGATIVE_STOCK", "TRANSFER_SHORT"}


def test_an_invitation_is_shown_with_its_picture_and_takes_a_node_in(browser: Browser, shop: Shop) -> None:
    with opened_page(browser, shop.url) as page:
        page.goto("/nodes/invite")
        page.get_by_label("Name", exact=True).fill("二号收银")
        till = page.get_by_label("Till code").input_value()
        page.get_by_role("button", name="Make the invitation").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("The invitation is ready")
        assert page.locator(".qr svg").bounding_box()
        code = page.locator("pre").inner_text().split()[-1]
        picture = page.locator(".qr").screenshot()
        page.goto("/nodes/invite")
        assert page.get_by_label("Till code").input_value() == till  # only joining takes it
    import io

    import zxingcpp
    from PIL import Image

    (read,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(picture)))
    assert read.text.split()[-1] == code


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_pages_are_accessible_and_fit_their_width(
    browser: Browser, shop: Shop, language: str, size: tuple[int, int]
) -> None:
    with opened_page(browser, shop.url, size=size, language=language) as page:
        page.goto(f"/account?lang={language}")
        for path in shop.pages():
            page.goto(path)
            _check(page, path)


def _check(page: Page, path: str) -> None:
    assert page.get_by_role("heading", level=1).count() == 1, path
    assert serious_findings(page) == [], path
    assert not is_too_wide(page), path
    assert "�" not in page.content()
    # A name of a text where its words should be is a hole.
    assert not re.search(r"\b(?:code|state|reason|ground|policy|role|act)\.[A-Za-z_]+\b", page.inner_text("main")), path


def test_the_menu_opens_on_a_phone(browser: Browser, shop: Shop) -> None:
    with opened_page(browser, shop.url, size=PHONE) as page:
        page.goto("/")
        assert not page.get_by_role("link", name="Inbox").is_visible()
        page.get_by_label("Menu").check(force=True)
        page.get_by_role("link", name="Inbox").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Inbox")


def test_a_browser_that_does_not_know_the_hub_can_go_on_and_read_how_it_comes_to_know_it(
    browser: Browser, hub: Hub
) -> None:
    make_account(hub)
    with serving(hub, plain=False) as url:
        context = browser.new_context(base_url=url, locale="en-GB")
        page = context.new_page()
        with pytest.raises(Error, match="ERR_CERT_AUTHORITY_INVALID"):
            page.goto("/sign-in")
        page.click("#details-button")
        page.click("#proceed-link")
        page.get_by_role("link", name="Does the browser say that this is not secure?").click()
        expect(page.locator("main")).to_contain_text(hub.identity.browser_fingerprint)
        with page.expect_download() as fetched:
            page.get_by_role("link", name="Download the root certificate").click()
        assert fetched.value.path().read_text("ascii") == hub.identity.browser_pem
        context.close()


def test_everything_works_without_the_script(browser: Browser, shop: Shop) -> None:
    context = browser.new_context(base_url=shop.url, java_script_enabled=False, locale="en-GB")
    page = context.new_page()
    page.goto("/sign-in")
    page.fill("#login", "lin")
    page.fill("#password", "correct horse battery")
    page.click("main button[type=submit]")
    page.goto("/inbox")
    page.get_by_label("Kind").select_option("COUNT_DISAGREE")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.goto(shop.conflict("COUNT_DISAGREE"))
    page.get_by_role("button", name=re.compile("Believe the count of 12")).click()
    expect(page.locator(".notice").first).to_contain_text("Settled")
    context.close()
    assert shop.open_conflicts() == 4


def test_the_accessibility_check_finds_what_it_should(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content("<main><input><img src='data:,'><p style='color:#ccc;background:#fff'>pale</p></main>")
    found = " ".join(serious_findings(page))
    page.close()
    assert "label" in found
    assert "color-contrast" in found
