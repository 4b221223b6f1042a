"""Switched off, tracing records nothing, costs no object, and lets trace context through as it came."""

from portkey_mcp.model import Endpoint, McpServer, Principal, Visit, Workspace
from portkey_mcp.telemetry.spans import SILENT, meta_of

VISIT = Visit(Principal("p", "P", "local"), Endpoint("hub", Workspace("demo", "Demo", {}, {})))


class Leg:
    server = McpServer("demo", "files", "stdio")
    era = "modern"
    version = "2026-07-28"


def test_trace_context_passes_through_untouched() -> None:
    meta = {"traceparent": "t", "tracestate": 5, "baggage": None}
    with SILENT.server(method="ping", params={"_meta": meta}, visit=VISIT, era="modern", version="") as span:
        span.result({"isError": True})
        span.error(-1, "x")
        with SILENT.client("ping", None, Leg()) as leg:
            assert leg is span
            assert leg.inject(meta) is meta
    assert meta == {"traceparent": "t", "tracestate": 5, "baggage": None}


def test_meta_is_read_only_where_it_is_an_object() -> None:
    assert meta_of(None) == meta_of({}) == meta_of({"_meta": None}) == meta_of({"_meta": [1]}) == {}
    assert meta_of({"_meta": {"a": 1}}) == {"a": 1}
