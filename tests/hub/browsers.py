"""A real Chromium for tests of pages: signed in, at laptop or phone width, with axe-core at hand.

Any message on the console, a refused script or style included, fails the test that caused it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.hub.desk import PASSWORD

CHROMIUM: Final = Path("/usr/bin/chromium")
WAIT_MS: Final = 30_000
LAPTOP: Final = (1280, 800)
PHONE: Final = (390, 844)
_FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium; without one the test is skipped, which the skip policy judges."""
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed: make system-packages")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened_page(
    browser: Browser, url: str, *, size: tuple[int, int] = LAPTOP, language: str = "en", login: str | None = "lin"
) -> Iterator[Page]:
    """Open a page of the desk, signed in where a login is given; what the console says must be nothing."""
    said: list[str] = []
    context = browser.new_context(
        base_url=url,
        viewport={"width": size[0], "height": size[1]},
        locale={"en": "en-GB", "zh": "zh-CN"}[language],
        ignore_https_errors=True,
    )
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    expect.set_options(timeout=WAIT_MS)  # the page's own does not count for what is expected of it
    page.on("console", lambda message: said.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    try:
        if login is not None:
            sign_in(page, login)
        yield page
    finally:
        context.close()
    # A refused form is an answer with a status that the console mentions, too.
    assert [words for words in said if "status of 4" not in words] == []


def sign_in(page: Page, login: str, password: str = PASSWORD) -> None:
    """Sign in through the form."""
    page.goto("/sign-in")
    page.fill("#login", login)
    page.fill("#password", password)
    page.click("main button[type=submit]")
    page.wait_for_url(lambda url: "/sign-in" not in url)


def serious_findings(page: Page) -> list[str]:
    """Return what axe-core finds serious or critical on the page as it is shown."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['help']} at {[node['target'] for node in one['nodes']][:5]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]


def labels_outside(page: Page) -> list[str]:
    """Return the words of charts that are written beyond the box that the chart stands in."""
    found: list[str] = page.evaluate(
        """Array.from(document.querySelectorAll('main svg.chart text')).filter((words) => {
            const box = words.closest('.card, .scroll').getBoundingClientRect()
            const own = words.getBoundingClientRect()
            return own.width && (own.left < box.left || (own.right > box.right && !words.closest('.scroll')))
        }).map((words) => words.textContent)"""
    )
    return found


def broken_cells(page: Page) -> list[str]:
    """Return the cells of tables that are too narrow for their words: a letter or two a line, or a number in two."""
    found: list[str] = page.evaluate(
        """Array.from(document.querySelectorAll('main td, main th')).filter((cell) => {
            const words = cell.innerText.trim()
            const range = document.createRange()
            range.selectNodeContents(cell)
            const lines = range.getBoundingClientRect().height / parseFloat(getComputedStyle(cell).lineHeight)
            if (!words || words.includes('\\n') || cell.querySelector('input, button, .badge')) return false
            return /^[0-9A-Za-z.,]{1,8}$/.test(words) ? lines > 1.7 : lines > 2 && words.length / lines < 3.5
        }).map((cell) => cell.innerText.trim())"""
    )
    return found


def is_too_wide(page: Page) -> bool:
    """Tell whether the page scrolls sideways, which no phone should have to."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))
