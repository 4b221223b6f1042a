"""What is recorded: exact names, attributes, parents and errors, by the conventions for MCP."""

import asyncio
import json
from typing import Any

import anyio.lowlevel
import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanKind, StatusCode

from portkey_mcp.errors import InvalidRequest, UpstreamError, UpstreamTimeout
from portkey_mcp.model import Endpoint, EndpointKind, McpServer, Principal, Visit, Workspace
from portkey_mcp.telemetry.encoding import Encoder
from portkey_mcp.telemetry.recorder import Recorder
from portkey_mcp.telemetry.recording import CALLERS_MISTAKES, Recording
from portkey_mcp.telemetry.shapes import LONGEST
from portkey_mcp.telemetry.spans import Span

PRINCIPAL = Principal("p1", "Ada", "person", workspaces={"demo": "member"})
PARENT = "00-11111111111111111111111111111111-2222222222222222-01"
AROUND = "00-33333333333333333333333333333333-4444444444444444-01"


class Leg:
    era = "legacy"
    version = "2025-11-25"

    def __init__(self, url: str = "https://files.example.com/mcp", transport: Any = "http") -> None:
        self.server = McpServer("demo", "files", transport, url=url)


class Kept:
    def __init__(self, baggage: frozenset[str] = frozenset()) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        recorder = Recorder(provider, InstrumentationScope("test"), SimpleSpanProcessor(self.exporter))
        self.spans = Recording(recorder, baggage)

    def server(self, method: str = "tools/call", params: Any = None, **more: Any) -> Span:
        kind: EndpointKind = more.pop("kind", "server")
        endpoint = Endpoint(kind, Workspace("demo", "Demo", {}, {}), "files" if kind == "server" else "")
        given = {"visit": Visit(PRINCIPAL, endpoint), "era": "modern", "version": "2026-07-28", **more}
        return self.spans.server(method=method, params=params, **given)

    @property
    def done(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())


@pytest.fixture
def recorder() -> Kept:
    return Kept()


def test_a_tool_call_has_exactly_these_attributes_on_both_legs(recorder: Kept) -> None:
    params = {"name": "echo", "arguments": {"text": "secret"}}
    with (
        recorder.server(params=params, request_id=7, session="s1", era="legacy", version="2025-06-18"),
        recorder.spans.client("tools/call", params, Leg(), "c1"),
    ):
        pass
    client, server = recorder.done
    common = {
        "mcp.method.name": "tools/call",
        "gen_ai.tool.name": "echo",
        "gen_ai.operation.name": "execute_tool",
        "network.transport": "tcp",
        "network.protocol.name": "http",
        "portkey_mcp.workspace": "demo",
        "portkey_mcp.server": "files",
        "portkey_mcp.era": "legacy",
    }
    assert dict(server.attributes or {}) == common | {
        "jsonrpc.request.id": "7",
        "mcp.session.id": "s1",
        "mcp.protocol.version": "2025-06-18",
        "portkey_mcp.endpoint": "demo/files",
    }
    assert dict(client.attributes or {}) == common | {
        "jsonrpc.request.id": "c1",
        "mcp.protocol.version": "2025-11-25",
        "server.address": "files.example.com",
        "server.port": 443,
    }
    assert (server.name, server.kind) == ("tools/call echo", SpanKind.SERVER)
    assert (client.name, client.kind) == ("tools/call echo", SpanKind.CLIENT)
    assert server.status.status_code is client.status.status_code is StatusCode.UNSET
    assert not server.events
    assert not client.events


@pytest.mark.parametrize(
    ("method", "params", "name", "extra"),
    [
        ("prompts/get", {"name": "review"}, "prompts/get review", {"gen_ai.prompt.name": "review"}),
        ("resources/read", {"uri": "demo://a/b"}, "resources/read", {"mcp.resource.uri": "demo://a/b"}),
        (
            "resources/subscribe",
            {"uri": "https://me:pass@h/p?token=x#y"},
            "resources/subscribe",
            {"mcp.resource.uri": "https://h/p"},
        ),
        ("tools/list", {"name": "x", "uri": "demo://x"}, "tools/list", {}),
        ("vendor/thing", None, "vendor/thing", {}),
        (
            "tools/call",
            {"name": 3},
            "tools/call",
            {"gen_ai.operation.name": "execute_tool"},
        ),
    ],
)
def test_the_name_is_method_and_target_and_never_a_uri(
    recorder: Kept, method: str, params: Any, name: str, extra: dict[str, str]
) -> None:
    with recorder.server(method, params, kind="hub", version=""):
        pass
    [span] = recorder.done
    assert span.name == name
    assert dict(span.attributes or {}) == {
        "mcp.method.name": method,
        "network.transport": "tcp",
        "network.protocol.name": "http",
        "portkey_mcp.workspace": "demo",
        "portkey_mcp.endpoint": "demo",
        "portkey_mcp.era": "modern",
        **extra,
    }


@pytest.mark.parametrize(
    ("leg", "where"),
    [
        (Leg("http://127.0.0.1:8123/mcp"), ("tcp", "127.0.0.1", 8123)),
        (Leg("http://h/mcp", "sse"), ("tcp", "h", 80)),
        (Leg("https://${env:HOST}/mcp"), ("tcp", None, None)),
        (Leg("http://h:notaport/"), ("tcp", None, None)),
        (Leg("", "stdio"), ("pipe", None, None)),
    ],
)
def test_a_client_span_says_where_its_server_is(recorder: Kept, leg: Leg, where: tuple[Any, ...]) -> None:
    with recorder.spans.client("ping", None, leg):
        pass
    [span] = recorder.done
    found = span.attributes or {}
    assert (found.get("network.transport"), found.get("server.address"), found.get("server.port")) == where


@pytest.mark.parametrize("code", [*sorted(CALLERS_MISTAKES), -32603, -32000, -32020, 1001])
def test_a_code_is_an_error_on_a_client_span_and_on_a_server_span_unless_the_caller_erred(
    recorder: Kept, code: int
) -> None:
    with recorder.server(), recorder.spans.client("tools/call", None, Leg()) as leg:
        leg.error(code, "why")
    with recorder.server() as span:
        span.error(code, "why")
    client, _, server = recorder.done
    assert (client.attributes or {})["error.type"] == str(code)
    assert (client.status.status_code, client.status.description) == (StatusCode.ERROR, None)
    assert (server.attributes or {})["rpc.response.status_code"] == str(code)
    erred = code not in CALLERS_MISTAKES
    assert ("error.type" in (server.attributes or {})) is erred
    assert server.status.status_code is (StatusCode.ERROR if erred else StatusCode.UNSET)


def test_a_tool_error_is_one_on_both_spans(recorder: Kept) -> None:
    with recorder.server() as span, recorder.spans.client("tools/call", None, Leg()) as leg:
        leg.result({"content": [], "isError": True})
        span.result({"content": [], "isError": True})
    for done in recorder.done:
        assert (done.attributes or {})["error.type"] == "tool_error"
        assert "rpc.response.status_code" not in (done.attributes or {})
        assert done.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize("result", [{}, {"isError": False}, {"isError": "true"}, {"resultType": "input_required"}])
def test_other_results_are_no_errors(recorder: Kept, result: dict[str, Any]) -> None:
    with recorder.server() as span:
        span.result(result)
    assert recorder.done[0].status.status_code is StatusCode.UNSET


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UpstreamError({"code": -1, "message": "no"}), "-1"),
        (UpstreamError({"code": -1, "message": {}}), "-1"),
        (InvalidRequest(-32022, "version"), "-32022"),
        (UpstreamTimeout("files", "secret"), "portkey_mcp.errors.UpstreamTimeout"),
        (ValueError("secret"), "ValueError"),
        (asyncio.CancelledError(), "asyncio.exceptions.CancelledError"),
    ],
)
def test_an_exception_that_leaves_a_span_is_its_failure_without_its_words(
    recorder: Kept, error: BaseException, kind: str
) -> None:
    with pytest.raises(type(error)), recorder.server():
        raise error
    [span] = recorder.done
    assert (span.attributes or {})["error.type"] == kind
    assert span.status.description is None
    assert not span.events


@pytest.mark.parametrize("code", [None, "5", {}, [1], 1.5])
def test_an_error_without_a_code_is_one_all_the_same(recorder: Kept, code: Any) -> None:
    with recorder.server() as span:
        span.error(code, {"not": "text"})
    [done] = recorder.done
    assert (done.attributes or {})["error.type"] == "_OTHER"
    assert done.status.status_code is StatusCode.ERROR


def test_the_first_failure_noted_stands(recorder: Kept) -> None:
    with recorder.server() as span:
        span.error(-32602, "first")
        span.error(-32603, "second")
        span.result({"isError": True})
    [done] = recorder.done
    assert (done.attributes or {})["rpc.response.status_code"] == "-32602"
    assert done.status.status_code is StatusCode.UNSET


def test_what_is_noted_after_the_end_changes_nothing(recorder: Kept) -> None:
    with recorder.server() as span:
        pass
    before = encode_spans(recorder.done)
    span.error(-32603, "late")
    span.result({"isError": True})
    assert encode_spans(recorder.done) == before


def test_the_messages_own_context_is_the_parent_and_that_of_http_a_link(recorder: Kept) -> None:
    with recorder.server(params={"_meta": {"traceparent": PARENT}}, carrier={"traceparent": AROUND}):
        pass
    with recorder.server(params={"_meta": {"traceparent": "nonsense"}}, carrier={"traceparent": AROUND}):
        pass
    with recorder.server(params={"_meta": {"traceparent": PARENT}}, carrier={"traceparent": PARENT}):
        pass
    with recorder.server(params={"_meta": 5}):
        pass
    linked, http, same, root = recorder.done
    assert linked.parent is not None
    assert f"{linked.parent.span_id:016x}" == "2" * 16
    assert [f"{link.context.span_id:016x}" for link in linked.links] == ["4" * 16]
    assert http.parent is not None
    assert f"{http.parent.span_id:016x}" == "4" * 16
    assert not http.links
    assert not same.links
    assert root.parent is None


def test_the_upstream_sees_the_client_span_as_its_parent(recorder: Kept) -> None:
    meta = {"traceparent": PARENT, "tracestate": "a=1,b=2", "baggage": "k=v", "progressToken": None}
    with recorder.server(params={"_meta": meta}) as span, recorder.spans.client("tools/call", None, Leg()) as leg:
        sent = leg.inject(meta)
        assert span.inject({}) != leg.inject({})
    client, server = recorder.done
    assert client.parent == server.context
    assert client.context is not None
    assert sent == {
        "traceparent": f"00-{'1' * 32}-{client.context.span_id:016x}-01",
        "tracestate": "a=1,b=2",
        "progressToken": None,
    }
    assert meta["baggage"] == "k=v"


def test_only_named_members_of_the_baggage_travel_on() -> None:
    recorder = Kept(frozenset({"tenant"}))
    with recorder.spans.client("ping", None, Leg()) as leg:
        assert leg.inject({"baggage": "user=me, tenant=t1;p=1,x"})["baggage"] == "tenant=t1;p=1"
        assert "baggage" not in leg.inject({"baggage": "user=me"})
        assert "baggage" not in leg.inject({"baggage": "tenant=a\r\nx: y"})
        assert "baggage" not in leg.inject({"baggage": 4})


def test_an_unsampled_caller_is_not_recorded_and_its_trace_goes_on_unsampled(recorder: Kept) -> None:
    with (
        recorder.server(params={"_meta": {"traceparent": PARENT[:-1] + "0"}}),
        recorder.spans.client("tools/call", None, Leg()) as leg,
    ):
        sent = leg.inject({})
    assert recorder.done == []
    assert sent["traceparent"].startswith(f"00-{'1' * 32}-")
    assert sent["traceparent"].endswith("-00")


def test_spans_side_by_side_do_not_become_each_others_parents(recorder: Kept) -> None:
    async def call(number: int) -> None:
        with recorder.server(request_id=number):
            await anyio.lowlevel.checkpoint()
            with recorder.spans.client("tools/call", None, Leg(), number):
                await anyio.lowlevel.checkpoint()

    async def calls() -> None:
        await asyncio.gather(*map(call, range(5)))
        with recorder.spans.client("ping", None, Leg()):
            pass

    asyncio.run(calls())
    servers = {(s.attributes or {})["jsonrpc.request.id"]: s for s in recorder.done if s.kind is SpanKind.SERVER}
    clients = [s for s in recorder.done if s.kind is SpanKind.CLIENT and "jsonrpc.request.id" in (s.attributes or {})]
    assert len(servers) == len(clients) == 5
    assert all(c.parent == servers[(c.attributes or {})["jsonrpc.request.id"]].context for c in clients)
    assert recorder.done[-1].parent is None


def test_no_message_can_make_a_span_that_cannot_be_encoded(recorder: Kept) -> None:
    odd = "\ud800" + "x" * 10_000
    params = {"name": odd, "uri": odd, "_meta": {"traceparent": odd, "tracestate": odd, "baggage": odd}}
    for method in ("tools/call", "resources/read", odd):
        with recorder.server(method, params, version=odd, request_id=odd, session=odd) as span:
            span.error(5, odd)
        with recorder.spans.client(method, params, Leg()) as leg:
            json.dumps(leg.inject(params["_meta"])).encode()
    encode = Encoder(recorder.done[0].resource, InstrumentationScope("test"))
    assert encode(recorder.done) == encode_spans(recorder.done)
    assert encode(recorder.done).SerializeToString()
    for done in recorder.done:
        assert all(len(str(value)) <= LONGEST for value in (done.attributes or {}).values())
        assert len(done.name) <= 2 * LONGEST + 1
