"""A live OTLP receiver over HTTP that counts the spans it is sent and keeps none of them.

`python -m benchmarks.receiver PORT`. `POST /v1/traces` counts, `GET /` says how many there were. It counts without
decoding: a request is walked by the lengths in it (protobuf wire format), down to one step for each span.
"""

import asyncio
import gzip
import sys
from collections.abc import Iterator
from typing import cast

import httptools
import uvloop

RESOURCE_SPANS, SCOPE_SPANS, SPANS = 1, 2, 2
"""Field numbers: ExportTraceServiceRequest.resource_spans, ResourceSpans.scope_spans, ScopeSpans.spans (opentelemetry
.proto.trace.v1)."""

GZIP = b"\x1f\x8b"
"""What a compressed request begins with; no protobuf message begins so (RFC 1952, 2.3.1)."""

_LENGTH_DELIMITED = 2
_FIXED = {1: 8, 5: 4}
"""Wire type -> bytes of the value."""


def spans_in(request: bytes) -> int:
    """How many spans an ExportTraceServiceRequest carries.

    Raises:
        IndexError, KeyError: it is no protobuf message.
    """
    view = memoryview(request)
    return sum(
        1
        for resource in _fields(view, RESOURCE_SPANS)
        for scope in _fields(resource, SCOPE_SPANS)
        for _ in _fields(scope, SPANS)
    )


def _fields(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """The length-delimited fields with one number."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 0:
            _, at = _varint(message, at)
        elif kind == _LENGTH_DELIMITED:
            length, at = _varint(message, at)
            if tag >> 3 == wanted:
                yield message[at : at + length]
            at += length
        else:
            at += _FIXED[kind]


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


class Receiver(asyncio.Protocol):
    """One connection; `counted` is shared by all of them."""

    def __init__(self, counted: list[int]) -> None:
        self._counted = counted
        self._parser = httptools.HttpRequestParser(self)
        self._body: list[bytes] = []
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_message_begin(self) -> None:
        self._body = []

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._parser.get_method() == b"POST":
            body = b"".join(self._body)
            self._counted[0] += spans_in(gzip.decompress(body) if body.startswith(GZIP) else body)
            self._send(b"application/x-protobuf", b"")
        else:
            self._send(b"text/plain", str(self._counted[0]).encode())

    def _send(self, kind: bytes, body: bytes) -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (kind, len(body), body)
        )


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    counted = [0]
    server = await asyncio.get_running_loop().create_server(lambda: Receiver(counted), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
