"""The receiver counts spans as they are on the wire."""

import asyncio
import gzip

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from benchmarks.receiver import Receiver, spans_in


def request(*scopes: int) -> bytes:
    spans = [
        ScopeSpans(spans=[Span(name="x" * 300, start_time_unix_nano=number + 1) for number in range(count)])
        for count in scopes
    ]
    resources = [ResourceSpans(scope_spans=spans), ResourceSpans()]
    return bytes(ExportTraceServiceRequest(resource_spans=resources).SerializeToString())


def test_spans_of_all_scopes_and_resources_count() -> None:
    assert spans_in(request(3, 0, 200)) == 203
    assert spans_in(b"") == 0


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises((IndexError, KeyError)):
        spans_in(b"\x0f\xff\xff")


@pytest.mark.anyio
async def test_requests_are_counted_plain_and_compressed_and_the_count_can_be_asked_for() -> None:
    counted = [0]
    server = await asyncio.get_running_loop().create_server(lambda: Receiver(counted), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for body in (request(2), gzip.compress(request(3))):
            writer.write(b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(1) == b"5"
        writer.close()
        await writer.wait_closed()
