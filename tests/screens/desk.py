"""The desk's pictures: a small chain in the evening, its overview, inbox, a conflict and catalogue, in a browser.

The clock is scripted and the chain is the tests' own on the sample shop's goods, so that the pictures change when the
pages do and not otherwise.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import os
import random
import tempfile
from pathlib import Path
from typing import Final

import httpx
from PIL import Image
from playwright.sync_api import Page

from hub.enrolment import Profile
from hub.operators import seal_for
from hub.own_log import parse_location
from hub.service import init_hub, open_hub, serving, wall_clock_ms
from hub.settings import record_setting
from hub.summaries import refresh_summaries
from schema import sample
from schema.identity import ORG
from schema.kinds.organisation import OperatorDefined
from schema.rehearsal import CLOCK_VARIABLE, monotonic_ms
from schema.settings import CategoryNames, write_setting
from sync.signing import SigningKey
from tests.hub import fleet
from tests.hub.browsers import chromium, opened_page
from tests.hub.conflicting import Chain
from tests.hub.desk import make_account
from tests.hub.fleet import FleetNode, join

AT: Final = "2026-11-22T20:10:00+08:00"
AT_MS: Final = int(datetime.datetime.fromisoformat(AT).timestamp() * 1000)
PLACES: Final = ("A:河边店:shop", "B:老城店:shop", "W:总仓:warehouse")
SIZE: Final = (1240, 780)
GOODS: Final = ("11007", "11009", "11012", "12010", "14002", "11008", "11010", "11014")


class EveningChain(Chain):
    """A chain whose tills sold all day and said how they are."""

    def enrol(self, location: str, till: str, profile: Profile = Profile.TILL) -> FleetNode:
        name = "总仓电脑" if profile is Profile.WAREHOUSE else f"{till[1:]} 号收银台"
        issued = self.hub.enrolment.invite(profile=profile, location=location, name=name, till=till)
        signer = SigningKey(hashlib.sha256(till.encode()).digest())
        return FleetNode(signer, join(self.client, issued.invitation, signer))

    def name_people(self) -> None:
        """Give the cashier of all entries a name."""
        with self.hub.store.transaction(ORG) as replica:
            sealed = seal_for(replica.connection, "o1", "王芳")
            self.hub.own_log.append(replica, ORG, OperatorDefined("o1", "1013", "cashier", ("A", "B"), sealed))

    def trade(self) -> None:
        """Sell through the day, busier at noon and in the evening, and receive what is sold."""
        luck = random.Random(22)
        for product in (*GOODS, "11006"):
            for node in (self.a1, self.b1):
                self.receive(node, product, 300, 840, luck.randrange(90, 400))
        for hour in range(12):
            for node, busy in ((self.a1, 4), (self.a2, 3), (self.b1, 3)):
                rush = 3 if hour in {0, 1, 2, 7, 8} else 0
                for _ in range(busy + rush + luck.randrange(3)):
                    minutes = hour * 60 + luck.randrange(2, 58)
                    self.sell(node, luck.choice(GOODS), minutes, lines=luck.randrange(1, 5))
        self.push(self.a1, self.a2, self.b1)

    def report(self) -> None:
        """Let each node say how it is: what waits, and its printer."""
        for node, printer in ((self.a1, "ok"), (self.a2, "printer.paper_out"), (self.b1, "ok"), (self.w1, "")):
            words = (("waiting", "0"), ("exchange_ms", str(AT_MS)), ("printer", printer), ("papers", "0"))
            node.exchange(self.client, node.request(status=words))
        self.hub.contacts.flush()


def take_desk(folder: Path) -> list[Path]:
    """Take the desk's pictures into a folder; returns their files."""
    taken = []
    os.environ[CLOCK_VARIABLE] = f"{AT}@{monotonic_ms()}"
    fleet.now_ms = wall_clock_ms
    with tempfile.TemporaryDirectory(prefix="edgetill-screens-") as place:
        directory = Path(place) / "hub"
        locations = [parse_location(text) for text in PLACES]
        init_hub(directory, name="灯笼超市", locations=locations)
        hub = open_hub(directory)
        make_account(hub, name="林老板")
        with hub.store.transaction(ORG) as replica:
            names = CategoryNames(names={one.code: one.name for one in sample.categories()})
            record_setting(replica, hub.own_log, *write_setting(names))
        with serving(hub) as url, httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            chain = EveningChain(hub, client, AT_MS, sample.catalogue())
            chain.name_people()
            chain.trade()
            chain.everything()
            chain.report()
            refresh_summaries(hub.store, hub.now_ms())
            with hub.store.snapshot() as replica:
                ((scope, conflict),) = replica.connection.execute(
                    "SELECT s.scope, i.conflict FROM inbox i JOIN scope s ON s.scope_no = i.scope_no"
                    " WHERE i.code = 'AMBIGUOUS_ORDER' AND i.state = 'OPEN'"
                ).fetchall()
            pages = {
                "overview": "/", "inbox": "/inbox", "conflict": f"/inbox/{str(scope)[4:]}/{conflict}",
                "catalogue": "/products?category=drinks",
            }  # fmt: skip
            with chromium() as browser:
                for language in ("zh", "en"):
                    with opened_page(browser, url, size=SIZE, language=language) as page:
                        page.goto(f"/account?lang={language}")
                        for name, path in pages.items():
                            page.goto(path)
                            taken.append(keep(page, folder / f"desk_{name}_{language}.png"))
        hub.close()
    return taken


def keep(page: Page, file: Path) -> Path:
    """Keep what the window shows."""
    Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(file, "PNG", optimize=True)
    return file
