"""Spans really arrive at a collector, ours and no others; without an endpoint nothing is even started."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.text import TextReceiveStream
from mcp.shared._otel import otel_span
from opentelemetry.trace import SpanKind, get_tracer

from portkey_mcp.errors import Mistake, UpstreamError
from portkey_mcp.model import Endpoint, McpServer, Principal, Visit, Workspace
from portkey_mcp.telemetry.setup import start
from portkey_mcp.telemetry.spans import SILENT, Spans
from portkey_mcp.wire import Json

pytestmark = pytest.mark.anyio

SERVER = McpServer("demo", "files", "http", url="http://127.0.0.1:9/mcp")
VISIT = Visit(
    Principal("p1", "Ada", "person", workspaces={"demo": "member"}),
    Endpoint("server", Workspace("demo", "Demo", {"files": SERVER}, {}), "files"),
)
PARENT = "00-11111111111111111111111111111111-2222222222222222-01"
PARAMS: Json = {"name": "echo", "arguments": {"secret": "hush"}, "_meta": {"traceparent": PARENT, "tracestate": "a=1"}}


class Leg:
    server = SERVER
    era = "legacy"
    version = "2025-11-25"


@pytest.fixture(autouse=True)
def no_otel_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENDPOINT", "TRACES_ENDPOINT", "PROTOCOL", "TRACES_PROTOCOL"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}", raising=False)
    for name in ("COMPRESSION", "TRACES_COMPRESSION", "HEADERS", "TRACES_HEADERS"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}", raising=False)
    for name in ("SDK_DISABLED", "TRACES_EXPORTER", "SERVICE_NAME", "RESOURCE_ATTRIBUTES", "TRACES_SAMPLER"):
        monkeypatch.delenv(f"OTEL_{name}", raising=False)


class Lines:
    """The lines a program prints, one at a time."""

    def __init__(self, stream: TextReceiveStream) -> None:
        self._stream, self._rest = stream, ""

    async def next(self) -> str:
        with anyio.fail_after(30):
            while "\n" not in self._rest:
                self._rest += await self._stream.receive()
        line, _, self._rest = self._rest.partition("\n")
        return line


@asynccontextmanager
async def collector(protocol: str) -> AsyncIterator[tuple[str, Lines]]:
    program = [sys.executable, str(Path(__file__).with_name("collector.py")), protocol]
    async with await anyio.open_process(program, stderr=sys.stderr) as process:
        assert process.stdout is not None
        lines = Lines(TextReceiveStream(process.stdout))
        try:
            yield f"http://127.0.0.1:{await lines.next()}", lines
        finally:
            process.kill()


def attributes(span: dict[str, Any]) -> dict[str, str]:
    return {item["key"]: next(iter(item["value"].values())) for item in span["attributes"]}


def fail_a_call(spans: Spans) -> Json:
    """One call, refused by its upstream, with a span of the SDK's own inside. Returns the `_meta` sent upstream."""
    sent = {}

    def call() -> None:
        with (
            spans.server(
                method="tools/call", params=PARAMS, visit=VISIT, era="modern", version="2026-07-28", request_id=7
            ),
            spans.client("tools/call", PARAMS, Leg()) as leg,
            otel_span("MCP send tools/call echo", kind=SpanKind.CLIENT),
        ):
            sent.update(leg.inject(PARAMS["_meta"]))
            raise UpstreamError({"code": -32603, "message": "hush: what it was called with"})

    with pytest.raises(UpstreamError):
        call()
    return sent


@pytest.mark.parametrize(("protocol", "variable"), [("http", ""), ("http", "http/protobuf"), ("grpc", "grpc")])
async def test_a_call_arrives_as_exactly_two_spans_in_the_callers_trace(
    protocol: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collector(protocol) as (endpoint, lines):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        if variable:
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", variable)
        telemetry = start("1.2.3")
        sent = fail_a_call(telemetry.spans)
        await anyio.to_thread.run_sync(telemetry.close)
        [batch] = json.loads(await lines.next())["resourceSpans"]

    resource = attributes(batch["resource"])
    assert (resource["service.name"], resource["service.version"]) == ("portkey-mcp", "1.2.3")
    [scope] = batch["scopeSpans"]
    assert scope["scope"] == {"name": "portkey_mcp", "version": "1.2.3"}
    client, server = sorted(scope["spans"], key=lambda span: span["kind"])
    assert (server["kind"], client["kind"]) == ("SPAN_KIND_SERVER", "SPAN_KIND_CLIENT")
    assert server["name"] == client["name"] == "tools/call echo"
    assert client["parentSpanId"] == server["spanId"]
    assert server["traceId"] == client["traceId"] != ""
    assert server["traceState"] == client["traceState"] == "a=1"
    assert sent["tracestate"] == "a=1"
    assert sent["traceparent"].split("-")[1] == "1" * 32
    assert attributes(client)["error.type"] == "-32603"
    assert client["status"] == {"code": "STATUS_CODE_ERROR"}
    assert "hush" not in json.dumps(batch)


async def test_the_service_name_may_be_set_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with collector("http") as (endpoint, lines):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{endpoint}/v1/traces")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "our-gateway")
        telemetry = start("1")
        with telemetry.spans.client("tools/list", None, Leg()):
            pass
        await anyio.to_thread.run_sync(telemetry.close)
        [batch] = json.loads(await lines.next())["resourceSpans"]
    assert attributes(batch["resource"])["service.name"] == "our-gateway"


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize(
    ("variable", "value", "kept"),
    [
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", 9),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2", 2),
        ("OTEL_TRACES_SAMPLER", "traceidratio", 9),
    ],
)
async def test_what_the_environment_says_of_sending_limits_and_sampling_holds(
    protocol: str, variable: str, value: str, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collector(protocol) as (endpoint, lines):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", {"http": "http/protobuf", "grpc": "grpc"}[protocol])
        monkeypatch.setenv(variable, value)
        telemetry = start("1")
        with telemetry.spans.client("tools/list", None, Leg()):
            pass
        await anyio.to_thread.run_sync(telemetry.close)
        [batch] = json.loads(await lines.next())["resourceSpans"]
    [span] = batch["scopeSpans"][0]["spans"]
    assert (len(span["attributes"]), span.get("droppedAttributesCount", 0)) == (kept, 9 - kept)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
    ],
)
async def test_without_a_collector_nothing_is_started(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    telemetry = start("1")
    assert telemetry.spans is SILENT
    assert telemetry.processor is None
    telemetry.close()


async def test_a_protocol_that_does_not_exist_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
    with pytest.raises(Mistake, match=r"OTEL_EXPORTER_OTLP_PROTOCOL is 'http/json'"):
        start("1")


async def test_a_collector_that_is_gone_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async with collector("http") as (endpoint, _):
        pass
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    telemetry = start("1")
    with telemetry.spans.client("tools/list", None, Leg()):
        pass
    with anyio.fail_after(30):
        await anyio.to_thread.run_sync(telemetry.close)


async def test_the_sdk_finds_no_provider_of_ours_to_export_its_own_spans_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    telemetry = start("1")
    assert not get_tracer("mcp-python-sdk").start_span("tools/call echo").is_recording()
    await anyio.to_thread.run_sync(telemetry.close)
