"""The upstream: an MCP server of one era on bare asyncio and httptools, so that it costs as little as can be.

`python -m benchmarks.upstream PORT legacy|modern` serves HTTP, `python -m benchmarks.upstream --stdio legacy|modern` a
pipe. Answers what `messages.answer` knows, as JSON; a path that begins with `/hub/` is one of the hub's servers. A
listen or GET stream stays open and says nothing more.
"""

import asyncio
import itertools
import json
import sys
from typing import Any, cast

import httptools
import uvloop

from benchmarks.messages import ERAS, Era, acknowledgement, answer, delay

_sessions = itertools.count(1)


class Upstream(asyncio.Protocol):
    """One connection. Requests may be pipelined; each is answered at once."""

    def __init__(self, era: Era) -> None:
        self._era = era
        self._parser = httptools.HttpRequestParser(self)
        self._body = bytearray()
        self._path = b""
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
        self._path = b""

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        method = self._parser.get_method()
        if method == b"GET" and self._path.endswith(b"/mcp") and self._era == "legacy":
            self._stream(b": open\n\n")
        elif method == b"POST":
            self._message(json.loads(bytes(self._body)))
        else:
            self._send(b"200 OK" if method == b"DELETE" else b"405 Method Not Allowed", b"")

    def _message(self, message: dict[str, Any]) -> None:
        if message.get("method") == "subscriptions/listen" and self._era == "modern":
            self._stream(acknowledgement(message))
            return
        reply = answer(message, self._era, hub=self._path.startswith(b"/hub/"))
        if reply is None:
            self._send(b"202 Accepted", b"")
            return
        extra = b"mcp-session-id: benchmark-%d\r\n" % next(_sessions) if message["method"] == "initialize" else b""
        known = self._era == "legacy" or b'"error":' not in reply[:64]
        status = b"200 OK" if known else b"404 Not Found"
        if seconds := delay(message):
            asyncio.get_running_loop().call_later(seconds, self._send, status, reply)
        else:
            self._send(status, reply, extra)

    def _send(self, status: bytes, body: bytes, extra: bytes = b"") -> None:
        self._transport.write(
            b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%b\r\n%b"
            % (status, len(body), extra, body)
        )

    def _stream(self, event: bytes) -> None:
        """Begin a stream that stays open until the other side leaves."""
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n"
            % (len(event), event)
        )


async def serve(port: int, era: Era) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(lambda: Upstream(era), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


def pipe(era: Era) -> None:
    """Answer JSON lines on stdin with JSON lines on stdout, until stdin ends."""
    for line in sys.stdin.buffer:
        if (reply := answer(json.loads(line), era)) is not None:
            sys.stdout.buffer.write(reply + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    where, spoken = sys.argv[1:]
    era = next(era for era in ERAS if era == spoken)
    if where == "--stdio":
        pipe(era)
    else:
        uvloop.run(serve(int(where), era))
