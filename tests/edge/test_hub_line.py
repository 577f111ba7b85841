"""A node survives whatever answers in its hub's place: each reply is a named refusal, and no reply fills its memory."""

from __future__ import annotations

import gzip
import http.server
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edge.hub_line import REPLY_BYTES_MAX, HubLine, meet, read_problem
from schema.errors import EdgetillError

Answering = Callable[[int, bytes, dict[str, str]], str]


@pytest.fixture
def answering() -> Iterator[Answering]:
    servers: list[http.server.HTTPServer] = []

    def serve(status: int, body: bytes, headers: dict[str, str]) -> str:
        class Stranger(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                self.send_response(status)
                for name, value in {"content-length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - the library asks for this name

            def log_message(self, *_: Any) -> None: ...

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "headers", "code"),
    [
        (200, b"x" * (REPLY_BYTES_MAX + 1), {}, "reply_too_large"),
        (200, b"half", {"content-length": "99"}, "hub_unreachable"),
        (500, b"", {}, "hub_failing"),
        (429, b"", {}, "hub_busy"),
        (404, b"\x92\xa1\xff\xa1\xff", {}, "hub_refused"),
        (403, bytes(range(256)) * 4, {}, "hub_refused"),
    ],
)
def test_a_reply_that_is_no_hubs_is_refused_by_name(
    answering: Answering, status: int, body: bytes, headers: dict[str, str], code: str
) -> None:
    address = answering(status, body, headers)
    line = HubLine(address, "")
    with pytest.raises(EdgetillError) as refused:
        line.post("/v1/sync", b"hello")
    line.close()
    assert refused.value.code == code
    with pytest.raises(EdgetillError):
        meet(address, "x" * 26)


def test_a_packed_reply_is_not_unpacked_on_the_line(answering: Answering) -> None:
    bomb = gzip.compress(bytes(REPLY_BYTES_MAX * 4))
    line = HubLine(answering(200, bomb, {"content-encoding": "gzip"}), "")
    assert line.post("/v1/sync", b"") == bomb
    assert read_problem(line.get("/x")).code == "hub_refused"
    line.close()
