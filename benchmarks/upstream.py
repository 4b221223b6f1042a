"""The upstream: an MCP server of one era on bare asyncio and httptools, so that it costs as little as can be.

`python -m benchmarks.upstream PORT legacy|modern`. JSON replies only; answers what `messages.answer` knows.
"""

import asyncio
import json
import sys
from typing import cast

import httptools
import uvloop

from benchmarks.messages import Era, answer

SESSION = "benchmark-session"


class Upstream(asyncio.Protocol):
    """One connection. Requests may be pipelined; each is answered at once."""

    def __init__(self, era: Era) -> None:
        self._era = era
        self._parser = httptools.HttpRequestParser(self)
        self._body = bytearray()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own does not inherit from it

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_message_begin(self) -> None:
        self._body.clear()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._parser.get_method() != b"POST":
            self._send(b"405 Method Not Allowed", b"")
            return
        message = json.loads(bytes(self._body))
        reply = answer(message, self._era)
        if reply is None:
            self._send(b"202 Accepted", b"")
            return
        extra = b"mcp-session-id: %b\r\n" % SESSION.encode() if message["method"] == "initialize" else b""
        known = self._era == "legacy" or b'"error":' not in reply[:64]
        self._send(b"200 OK" if known else b"404 Not Found", reply, extra)

    def _send(self, status: bytes, body: bytes, extra: bytes = b"") -> None:
        self._transport.write(
            b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%b\r\n%b"
            % (status, len(body), extra, body)
        )


async def serve(port: int, era: Era) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(lambda: Upstream(era), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), "legacy" if sys.argv[2] == "legacy" else "modern"))
