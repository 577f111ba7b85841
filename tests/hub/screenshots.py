"""Makes the pictures of the desk: `python -m tests.hub.screenshots FOLDER` serves a small chain and photographs it.

Each page is taken at laptop and phone width, in Chinese and English.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import httpx

from hub.own_log import parse_location
from hub.service import init_hub, open_hub, serving
from hub.summaries import refresh_summaries
from tests.hub.browsers import LAPTOP, PHONE, chromium, opened_page
from tests.hub.conflicting import Chain
from tests.hub.desk import make_account

PLACES = ("A:河边店:shop", "B:老城店:shop", "W:总仓:warehouse")


def pages(chain: Chain) -> dict[str, str]:
    """Return the pages to photograph by the pictures' names."""
    with chain.hub.store.snapshot() as replica:
        rows = replica.connection.execute(
            "SELECT s.scope, i.conflict, i.code FROM inbox i JOIN scope s ON s.scope_no = i.scope_no"
            " WHERE i.state = 'OPEN' ORDER BY i.code"
        ).fetchall()
    found = {
        "overview": "/", "inbox": "/inbox", "stock": "/stock", "why": "/stock/A/11006", "why-doubt": "/stock/A/11002",
        "nodes": "/nodes", "node": f"/nodes/{chain.a1.signer.node}", "invite": "/nodes/invite",
        "policies": "/policies", "policy": "/policies/edit?category=drinks", "accounts": "/accounts",
        "account-new": "/accounts/new", "acts": "/acts", "locations": "/locations", "products": "/products",
        "product": "/products/11001", "product-edit": "/products/11001/edit", "reports": "/reports/sales",
        "settings": "/settings", "receipt": "/settings/receipt", "imports": "/imports", "token": "/accounts/tokens/new",
        "promotion": "/promotion-new", "operator": "/operator-new",
    }  # fmt: skip
    for scope, conflict, code in rows:
        found[f"conflict-{str(code).lower()}"] = f"/inbox/{str(scope)[4:]}/{conflict}"
    return found


def take(folder: Path, only: str = "") -> list[Path]:
    """Take every picture whose name holds `only`; returns their files."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = []
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "hub"
        init_hub(directory, name="灯笼超市", locations=[parse_location(text) for text in PLACES])
        hub = open_hub(directory)
        make_account(hub, name="林老板")
        with serving(hub) as url, httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            chain = Chain(hub, client)
            chain.day_of_trade()
            chain.everything()
            refresh_summaries(hub.store, hub.now_ms())
            wanted = {name: path for name, path in pages(chain).items() if only in name}
            with chromium() as browser:
                for language in ("zh", "en"):
                    for size, width in ((LAPTOP, "laptop"), (PHONE, "phone")):
                        with opened_page(browser, url, size=size, language=language) as page:
                            page.goto(f"/account?lang={language}")
                            for name, path in wanted.items():
                                page.goto(path)
                                file = folder / f"{name}-{width}-{language}.png"
                                page.screenshot(path=str(file), full_page=True)
                                taken.append(file)
        hub.close()
    return taken


if __name__ == "__main__":
    for made in take(Path(sys.argv[1]), *sys.argv[2:3]):
        sys.stdout.write(f"{made}\n")
