"""One call is one SERVER and one CLIENT span at the collector, hung where they belong, with nothing secret in them."""

import base64
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.stories.gateway import Gateway, gateway
from tests.stories.hearing import PATIENCE
from tests.stories.house import open_house
from tests.stories.raw_client import Json, RawClient, raw_http
from tests.stories.upstreams import ROOT, lively, stdio

pytestmark = pytest.mark.anyio

COLLECTOR = ROOT / "tests" / "telemetry" / "collector.py"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
META: Json = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
SECRET = "hunter2"
VERSIONS = {"legacy": "2025-11-25", "modern": "2026-07-28"}


@dataclass
class Traced:
    """A gateway that exports; what it exported is complete once it has ended."""

    served: Gateway
    spans: list[Json] = field(default_factory=list)
    raw: str = ""

    def pair(self) -> tuple[Json, Json]:
        """The SERVER and the CLIENT span of the one call in the client's trace; no other span is in it."""
        mine = [span for span in self.spans if span["traceId"] == TRACE]
        assert sorted(span["kind"] for span in mine) == ["SPAN_KIND_CLIENT", "SPAN_KIND_SERVER"]
        client, server = sorted(mine, key=lambda span: str(span["kind"]))
        return server, client


@asynccontextmanager
async def traced(data: Path, monkeypatch: pytest.MonkeyPatch, **servers: Json) -> AsyncIterator[Traced]:
    """Run a gateway that exports to the suite's own collector."""
    async with await anyio.open_process([sys.executable, str(COLLECTOR), "http"], stderr=None) as collector:
        assert collector.stdout is not None
        said = b""
        with anyio.fail_after(PATIENCE):
            while b"\n" not in said:
                said += await collector.stdout.receive()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{said.split()[0].decode()}")
        try:
            async with gateway(open_house(**servers), data) as served:
                result = Traced(served)
                yield result
        finally:
            collector.terminate()  # whatever happened: who opened it waits for its end
        said = b"".join([said, *[chunk async for chunk in collector.stdout]])
    result.raw = said.partition(b"\n")[2].decode()
    for line in result.raw.splitlines():
        result.spans += spans_of(json.loads(line))


def spans_of(request: Json) -> list[Json]:
    """The spans of one export, with ids in hexadecimal and attributes as a mapping."""
    spans: list[Json] = [
        {**span, "scope": scope["scope"]["name"]}
        for one in request["resourceSpans"]
        for scope in one["scopeSpans"]
        for span in scope["spans"]
    ]
    for span in spans:
        span["attributes"] = {one["key"]: next(iter(one["value"].values())) for one in span.get("attributes", [])}
        for name in {"traceId", "spanId", "parentSpanId"} & span.keys():
            span[name] = base64.b64decode(span[name]).hex()
    return spans


async def call(traced: Traced, place: tuple[str, ...], era: str, name: str, **arguments: Any) -> Json:
    """Call a tool as a client that traces; gives the response message."""
    async with raw_http() as http:
        client = RawClient(http, traced.served.at(*place), era)
        await client.hello()
        heard = await client.call("tools/call", {"name": name, "arguments": arguments, "_meta": META}, ident=4711)
        return heard.answer


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("upstream", ["legacy", "modern"])
async def test_a_call_is_one_server_and_one_client_span_in_the_clients_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, era: str, upstream: str
) -> None:
    async with (
        lively("web", "--era", upstream) as web,
        traced(tmp_path, monkeypatch, web={"url": web.url}) as run,
    ):
        answer = await call(run, ("team", "web"), era, "meta")

    server, client = run.pair()
    assert (server["name"], client["name"]) == ("tools/call meta", "tools/call meta")
    assert (server["parentSpanId"], client["parentSpanId"]) == (PARENT, server["spanId"])
    assert answer["result"]["structuredContent"]["traceparent"] == f"00-{TRACE}-{client['spanId']}-01"
    assert answer["result"]["structuredContent"]["tracestate"] == "vendor=1"
    common = {
        "mcp.method.name": "tools/call",
        "gen_ai.tool.name": "meta",
        "gen_ai.operation.name": "execute_tool",
        "network.transport": "tcp",
        "network.protocol.name": "http",
        "portkey_mcp.workspace": "team",
        "portkey_mcp.server": "web",
    }
    assert common.items() <= server["attributes"].items()
    assert common.items() <= client["attributes"].items()
    assert server["attributes"]["jsonrpc.request.id"] == "4711"
    assert server["attributes"]["portkey_mcp.endpoint"] == "team/web"
    assert (server["attributes"]["portkey_mcp.era"], client["attributes"]["portkey_mcp.era"]) == (era, upstream)
    assert server["attributes"]["mcp.protocol.version"] == VERSIONS[era]
    assert client["attributes"]["mcp.protocol.version"] == VERSIONS[upstream]
    assert ("mcp.session.id" in server["attributes"]) == (era == "legacy")
    assert client["attributes"]["server.address"] == "127.0.0.1"
    assert client["attributes"]["server.port"] == web.url.split(":")[2].removesuffix("/mcp")
    assert "status" not in server or "code" not in server["status"]
    assert {span["scope"] for span in run.spans} == {"portkey_mcp"}


async def test_on_a_hub_the_client_span_has_the_servers_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with traced(tmp_path, monkeypatch, notes=stdio("notes")) as run:
        await call(run, ("team",), "modern", "notes__meta")

    server, client = run.pair()
    assert (server["name"], client["name"]) == ("tools/call notes__meta", "tools/call meta")
    assert "portkey_mcp.server" not in server["attributes"]
    assert client["attributes"]["portkey_mcp.server"] == "notes"
    assert client["attributes"]["network.transport"] == "pipe"


@pytest.mark.parametrize(
    ("tool", "error_type", "code", "server_fails"),
    [
        ("fail", "-31999", "-31999", True),
        ("fail/in words: every time, and with a name that is far too long for a hub", "tool_error", None, True),
        ("nobody", "-32602", "-32602", False),
    ],
)
async def test_failures_are_told_by_the_rules(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tool: str,
    error_type: str,
    code: str | None,
    server_fails: bool,
) -> None:
    async with traced(tmp_path, monkeypatch, notes=stdio("notes")) as run:
        await call(run, ("team", "notes"), "modern", tool)

    server, client = run.pair()
    for span, fails in ((server, server_fails), (client, True)):
        assert span["attributes"].get("error.type") == (error_type if fails else None)
        assert span["attributes"].get("rpc.response.status_code") == code
        assert span.get("status", {}).get("code") == ("STATUS_CODE_ERROR" if fails else None)


async def test_neither_arguments_nor_results_nor_session_ids_are_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with traced(tmp_path, monkeypatch, notes=stdio("notes")) as run, raw_http() as http:
        client = RawClient(http, run.served.at("team", "notes"), "legacy")
        await client.hello()
        session = client.session
        answer = (await client.call("tools/call", {"name": "echo", "arguments": {"text": SECRET}})).answer
        await client.call("prompts/get", {"name": "greet", "arguments": {"whom": SECRET}})
        await client.call("resources/read", {"uri": f"note://old/day?token={SECRET}"})
        await client.call("tools/call", {"name": "fail", "arguments": {"text": SECRET}})

    assert SECRET in answer["result"]["content"][0]["text"]
    assert {"tools/call echo", "prompts/get greet", "resources/read"} <= {span["name"] for span in run.spans}
    assert SECRET not in run.raw
    assert session not in run.raw
