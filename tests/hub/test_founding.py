"""A new user's first minutes: `edgetill hub serve` on an empty folder, one page, and the hub stands."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import httpx

from tests import processes
from tests.hub.desk import BROWSER, PASSWORD, at_the_desk, text_of

WAIT_S = 60


def read_until(running: subprocess.Popen[str], words: str) -> str:
    """Return the first line that the process writes which holds these words."""
    assert running.stdout is not None
    for line in running.stdout:
        if words in line:
            return line
    raise AssertionError(f"it ended without {words!r}: {running.stderr.read() if running.stderr else ''}")


def fields(page: str, **values: str) -> dict[str, str]:
    hidden = dict(re.findall(r'name="(csrf|code)" value="([^"]*)"', page))
    return {
        "organisation": "灯笼超市", "locations": "A:河边店:shop\nB:老城店:shop", "address": "127.0.0.1:8443",
        "currency": "CNY", "time_zone": "Asia/Shanghai", "name": "林老板", "login": "lin", "password": PASSWORD,
        "again": PASSWORD, **hidden, **values,
    }  # fmt: skip


def test_an_empty_folder_becomes_a_hub_by_one_page_and_its_owner_signs_in(tmp_path: Path) -> None:
    directory = tmp_path / "hub"
    with processes.started("hub", "serve", "--port", "0", "--plain", EDGETILL_HUB=str(directory)) as running:
        url = re.search(r"http://\S+", read_until(running, "found it at"))
        assert url
        base = url[0].partition("/first-run")[0]
        with httpx.Client(base_url=base, trust_env=False, timeout=30, headers=BROWSER) as stranger:
            assert stranger.get("/").headers["location"] == "/first-run"
            page = stranger.get(url[0]).text
            guessed = stranger.post("/first-run", data=fields(page, code="guess"))
            assert (guessed.status_code, "link that the hub printed" in text_of(guessed)) == (422, True)
            wrong = stranger.post("/first-run", data=fields(page, again="other", locations="nonsense"))
            assert (wrong.status_code, 'value="灯笼超市"' in wrong.text) == (422, True)
            assert "CODE:NAME:TYPE" in text_of(wrong)
            assert not directory.exists()
            done = stranger.post("/first-run", data=fields(page))
            assert (done.status_code, "It is founded" in text_of(done)) == (200, True)
        listening = re.search(r"http://\S+", read_until(running, "listening on"))
        assert listening
        assert listening[0] == base
        with at_the_desk(base) as desk:
            overview = text_of(desk.get("/"))
            assert "林老板" in overview
            assert "No node has joined yet" in overview
        running.send_signal(signal.SIGTERM)
        assert running.wait(WAIT_S) == 0


def test_the_sample_chain_is_offered_and_comes_with_goods(tmp_path: Path) -> None:
    directory = tmp_path / "hub"
    with processes.started("hub", "serve", "--port", "0", "--plain", EDGETILL_HUB=str(directory)) as running:
        url = re.search(r"http://\S+", read_until(running, "found it at"))
        assert url
        base = url[0].partition("/first-run")[0]
        with httpx.Client(base_url=base, trust_env=False, timeout=WAIT_S, headers=BROWSER) as stranger:
            done = stranger.post("/first-run", data=fields(stranger.get(url[0]).text, sample="1"))
            assert done.status_code == 200, text_of(done)
        read_until(running, "listening on")
        with at_the_desk(base) as desk:
            assert "Warehouse" in text_of(desk.get("/"))
            assert len(re.findall(r"<tr>", desk.get("/stock").text)) > 20
