"""The connections of one process to all its upstreams, and which of them are free for the next request."""

import asyncio
import ssl
from types import TracebackType
from typing import Final, Self

from portkey_mcp.upstream.address import Address
from portkey_mcp.upstream.connection import Connection
from portkey_mcp.upstream.reaching import reach
from portkey_mcp.upstream.response import Broken, Response
from portkey_mcp.upstream.secure import Resuming

CONNECT_TIMEOUT: Final = 10.0
"""Seconds for name, TCP and TLS: a reachable host needs well under one, a dropped SYN is sent again after 1, 3, 7."""
KEEP_ALIVE: Final = 4.0
"""Seconds an idle connection is kept: below the 5 after which uvicorn and Node close theirs, or a POST would now and
then meet a connection that is just being closed, and could not be repeated."""
GOODBYE: Final = 2.0
"""Seconds to wait at the end for sockets to be closed."""

Origin = tuple[str, str, int]


class Unreachable(Exception):
    """There is no connection, so nothing was sent."""


class Connections:
    """An async context manager; its end closes all of them. No number is too large: the callers' own is the limit.

    No cookies (they would cross principals), no proxies and no netrc.
    """

    def __init__(self) -> None:
        self._free: dict[Origin, list[Connection]] = {}
        self._all: set[Connection] = set()
        self._tls: Resuming | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._is_over = False
        self._none_left = asyncio.Event()
        self._now = asyncio.get_running_loop().time

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all of them, and fail whoever waits for an answer."""
        self._is_over = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in list(self._all):
            connection.end("the gateway is shutting down")
        if self._all:
            try:
                async with asyncio.timeout(GOODBYE):
                    await self._none_left.wait()
            except TimeoutError:
                pass

    async def ask(self, address: Address, request: bytes, *, repeatable: bool = False) -> Response:
        """Send one request on a free connection or a new one; returns when the head of the answer is there.

        A repeatable request is sent again where a connection that was free turns out to have been closed.

        Raises:
            Unreachable: nothing was sent.
            Broken, NotHttp, BadEncoding: see `Connection.ask`.
        """
        while (connection := self._take(address.origin)) is not None:
            try:
                return await connection.ask(request)
            except Broken as error:
                if not repeatable or not error.unanswered:
                    raise
        fresh = await self._connect(address)
        return await fresh.ask(request)

    def free(self, origin: Origin) -> int:
        """How many connections wait for a request."""
        return len(self._free.get(origin, ()))

    def _take(self, origin: Origin) -> Connection | None:
        """The one that was used last: the others may then age and be closed."""
        free = self._free.get(origin)
        while free:
            connection = free.pop()
            if connection.is_usable and self._now() - connection.free_since < KEEP_ALIVE:
                return connection
            connection.abort()
        return None

    def _give_back(self, connection: Connection) -> None:
        if self._is_over:
            connection.abort()
            return
        if not connection.free_since and self._tls is not None:
            made = connection.transport.get_extra_info("ssl_object")
            if made is not None:
                self._tls.keep(made)
        connection.free_since = self._now()
        free = self._free.get(connection.origin)
        if free is None:
            free = self._free[connection.origin] = []
        free.append(connection)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(KEEP_ALIVE, self._sweep)

    def _sweep(self) -> None:
        """Close what has been free for too long, and come again while there are any."""
        now = self._now()
        for origin, free in list(self._free.items()):
            kept = [one for one in free if one.is_usable and now - one.free_since < KEEP_ALIVE]
            for one in set(free).difference(kept):
                one.abort()
            free[:] = kept
            if not kept:
                del self._free[origin]
        loop = asyncio.get_running_loop()
        self._sweeping = loop.call_later(KEEP_ALIVE, self._sweep) if self._free else None

    def _lost(self, connection: Connection) -> None:
        self._all.discard(connection)
        if not self._all:
            self._none_left.set()

    async def _connect(self, address: Address) -> Connection:
        if self._is_over:
            raise Unreachable("the gateway is shutting down")
        scheme, host, port = address.origin
        context = self._context() if scheme == "https" else None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                connection = await self._open(address.origin, context)
        except TimeoutError:
            raise Unreachable(f"no connection within {CONNECT_TIMEOUT:.0f} s") from None
        except OSError as error:
            raise Unreachable(f"{host}:{port}: {error.strerror or str(error) or type(error).__name__}") from error
        if self._is_over or not connection.is_usable:
            connection.abort()
            raise Unreachable("the connection was closed at once")
        self._all.add(connection)
        self._none_left.clear()
        return connection

    async def _open(self, origin: Origin, context: ssl.SSLContext | None) -> Connection:
        _, host, port = origin
        reached = await reach(host, port)
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(origin, self._give_back, self._lost),
                sock=reached,
                ssl=context,
                server_hostname=host if context is not None else None,
            )
        except BaseException:
            reached.close()
            raise
        return connection

    def _context(self) -> Resuming:
        if self._tls is None:
            self._tls = Resuming()
        return self._tls
