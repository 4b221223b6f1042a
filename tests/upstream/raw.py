"""A real server on a free port that says exactly the bytes a test gives it, and hears exactly those it is sent."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httptools

from portkey_mcp.upstream.address import Address
from portkey_mcp.upstream.address import read as address_of

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class Peer:
    """One connection, as the server has it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def request(self) -> bytes:
        """The next whole request, head and body; empty once the client has closed."""
        found, complete = bytearray(), []
        parser = httptools.HttpRequestParser(_Ends(complete))
        while not complete:
            data = await self.reader.read(65536)
            if not data:
                return b""
            found += data
            parser.feed_data(data)
        return bytes(found)

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def closed(self) -> None:
        """Return once the client has closed."""
        with anyio.fail_after(10):
            try:
                while await self.reader.read(65536):
                    pass
            except ConnectionError:
                pass

    def close(self) -> None:
        self.writer.close()


@dataclass
class _Ends:
    complete: list[bool]

    def on_message_complete(self) -> None:
        self.complete.append(True)


Script = Callable[[Peer], Awaitable[None]]


@dataclass
class RawServer:
    """The running server. `peers` are its connections in the order in which they came."""

    address: Address
    peers: list[Peer] = field(default_factory=list)


@asynccontextmanager
async def raw(
    script: Script, context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[RawServer]:
    """Run the script for each connection, and close the connection after it."""
    served: Any = None

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        served.peers.append(peer)
        try:
            await script(peer)
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, host, 0, ssl=context)
    shown = f"[{host}]" if ":" in host else host
    port = server.sockets[0].getsockname()[1]
    served = RawServer(address_of(f"{'https' if context else 'http'}://{shown}:{port}/mcp"))
    try:
        yield served
    finally:
        server.close()
        for peer in served.peers:
            peer.writer.transport.abort()
        with anyio.move_on_after(5):
            await server.wait_closed()
        await anyio.lowlevel.checkpoint()


def answering(*answers: bytes) -> Script:
    """Answer each request of a connection with the next of these, then close."""

    async def script(peer: Peer) -> None:
        for answer in answers:
            if not await peer.request():
                return
            await peer.say(answer)

    return script
