"""Owns the same till in a browser: on the loopback alone, for pages of its own, with nothing fetched from outside."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from aiohttp import web
from textual_serve.server import Server

if TYPE_CHECKING:
    from pos_tui.launch import LaunchOptions

HOST: Final = "127.0.0.1"
PAGE: Final = Path(__file__).parent / "page"
POLICY: Final = (
    "default-src 'self'; connect-src 'self' ws://127.0.0.1:* ws://localhost:*; img-src 'self' data:;"
    " style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; font-src 'self' data:"
)
"""The page may load what this server has and nothing else; its terminal writes styles of its own."""


def command_line(options: LaunchOptions) -> str:
    """Return the command that opens the till for one browser."""
    words = [sys.executable, "-c", "from schema.command_line import main; main()", "till"]
    words += ["--directory", str(options.directory.resolve())]
    for name, value in (("--language", options.language), ("--theme", options.theme)):
        words += [name, value] if value else []
    words += ["--demo"] if options.demo else []
    words += ["--location", options.location] if options.location else []
    words += [] if options.syncs else ["--no-sync"]
    return shlex.join(words)


class TillServer(Server):
    """Serves the till's page and its terminal to this machine's browser."""

    def __init__(self, options: LaunchOptions) -> None:
        super().__init__(
            command_line(options), host=HOST, port=options.port, title="edgetill", templates_path=str(PAGE)
        )

    def is_own(self, request: web.Request) -> bool:
        """Tell whether a request comes from this server's page: another site's page may not drive the till."""
        hosts = {f"{name}:{self.port}" for name in (HOST, "localhost")}
        origin = request.headers.get("Origin")
        return request.host in hosts and (origin is None or urlsplit(origin).netloc in hosts)

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()

        @web.middleware
        async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
            is_terminal = request.path == "/ws"
            if not self.is_own(request) or (is_terminal and "Origin" not in request.headers):
                raise web.HTTPForbidden(text="this till is for its own page only")
            response: web.StreamResponse = await handler(request)
            if not response.prepared:
                response.headers["Content-Security-Policy"] = POLICY
                response.headers["X-Frame-Options"] = "DENY"
            return response

        app.middlewares.append(guard)
        return app

    async def handle_index(self, request: web.Request) -> web.StreamResponse:
        """Serve the page, its addresses as the browser wrote this server's."""
        self.public_url = f"http://{request.host}"
        page: web.StreamResponse = await super().handle_index(request)
        return page

    async def on_startup(self, app: web.Application) -> None:
        """Say where the till is."""
        del app
        sys.stdout.write(f"the till is at http://{HOST}:{self.port}/ (this machine only); Ctrl-C ends it\n")
        sys.stdout.flush()


def serve(options: LaunchOptions) -> None:
    """Serve the till until it is interrupted."""
    TillServer(options).serve()
