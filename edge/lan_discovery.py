"""Where neighbours are: those that announce themselves by multicast DNS, and those that the node's settings list.

An announcement is only a hint of an address; who answers there is proven by the certificate that it shows.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schema.errors import RefusalError

if TYPE_CHECKING:
    from zeroconf import Zeroconf
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

SERVICE: Final = "_edgetill._tcp.local."
FOUND_MAX: Final = 64
"""So many announced addresses are followed: a flood of announcements costs no more than that."""
RESOLVE_MS: Final = 3_000


class Address(NamedTuple):
    """Where a neighbour may answer."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str, port: int) -> Address:
        """Read `host:port`, `host` or `[address]:port`; raises RefusalError `peer_malformed`."""
        host, colon, digits = text.strip().rpartition(":")
        if not colon or (host.count(":") > 0 and not host.endswith("]")):
            host, digits = text.strip(), str(port)
        host = host.strip("[]")
        if not host or not digits.isdecimal() or not 0 < int(digits) < 65_536:
            raise RefusalError("peer_malformed", f"{text!r} is no neighbour: write host:port")
        return cls(host, int(digits))


class Announcement(NamedTuple):
    """What a node tells of itself: of which organisation and location it is, so that others need not ask."""

    node: str
    hub: str
    location: str
    instance: str
    port: int


class Discovery:
    """Announces this node and tells of others as they come and go; `found` is called in the event loop."""

    def __init__(self, announcement: Announcement, found: Callable[[str, Address | None], None]) -> None:
        self._announcement = announcement
        self._found = found
        self._zeroconf: AsyncZeroconf | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._names: set[str] = set()

    async def start(self, *, is_announced: bool = True) -> None:
        """Begin, telling of oneself or only listening; raises OSError on a machine without a network for it."""
        from zeroconf import IPVersion
        from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

        mine = self._announcement
        self._zeroconf = AsyncZeroconf(ip_version=IPVersion.V4Only)
        info = AsyncServiceInfo(
            SERVICE,
            f"{mine.node}-{mine.instance[:8]}.{SERVICE}",
            addresses=[socket.inet_aton(address) for address in own_addresses()],
            port=mine.port,
            properties={"hub": mine.hub, "location": mine.location, "instance": mine.instance},
        )
        if is_announced:
            await self._zeroconf.async_register_service(info)
        self._browser = AsyncServiceBrowser(self._zeroconf.zeroconf, SERVICE, handlers=[self._changed])

    def _changed(self, zeroconf: Zeroconf, service_type: str, name: str, state_change: Any) -> None:
        from zeroconf import ServiceStateChange

        if state_change is ServiceStateChange.Removed:
            self._names.discard(name)
            self._found(name, None)
        elif len(self._names) < FOUND_MAX or name in self._names:
            self._names.add(name)
            task = asyncio.ensure_future(self._resolve(zeroconf, service_type, name))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _resolve(self, zeroconf: Zeroconf, service_type: str, name: str) -> None:
        from zeroconf.asyncio import AsyncServiceInfo

        info = AsyncServiceInfo(service_type, name)
        if not await info.async_request(zeroconf, RESOLVE_MS):
            return
        told = {key.decode("utf-8", "replace"): (value or b"").decode("utf-8", "replace")
                for key, value in info.properties.items()}  # fmt: skip
        if told.get("hub") != self._announcement.hub or told.get("instance") == self._announcement.instance:
            return
        address = _reachable(info)
        if address is not None:
            self._found(name, address)

    async def stop(self) -> None:
        """Take the announcement back."""
        for task in list(self._tasks):
            task.cancel()
        if self._zeroconf is not None:
            await self._zeroconf.async_unregister_all_services()
            await self._zeroconf.async_close()


def _reachable(info: AsyncServiceInfo) -> Address | None:
    addresses = info.parsed_addresses()
    return Address(addresses[0], info.port) if addresses and info.port else None


def own_addresses() -> list[str]:
    """Return this machine's IPv4 addresses, the loopback only where it has no other."""
    import ifaddr

    found = [
        str(ip.ip)
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
        if ip.is_IPv4 and str(ip.ip) != "0.0.0.0"  # noqa: S104
    ]
    return [ip for ip in found if not ip.startswith("127.")] or ["127.0.0.1"]
