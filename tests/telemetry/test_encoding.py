"""What is sent is, message for message, what OpenTelemetry's own encoder makes of the same spans."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind
from opentelemetry.trace.span import TraceState

from portkey_mcp.telemetry.context import FLAGS
from portkey_mcp.telemetry.encoding import Encoder, swift
from portkey_mcp.telemetry.recorder import ERROR, UNSET, Recorded, Recorder
from portkey_mcp.telemetry.shapes import Shape

RESOURCE = Resource({"service.name": "gateway", "host": "h", "numbers": (1, 2)}, "https://schema.example.com/1")
SCOPE = InstrumentationScope("portkey_mcp", "1.2.3", "https://schema.example.com/2", {"a": True})
KEPT = InMemorySpanExporter()
RECORDER = Recorder(TracerProvider(resource=RESOURCE, shutdown_on_exit=False), SCOPE, SimpleSpanProcessor(KEPT))

TEXT = st.text(st.characters(codec="utf-8"), max_size=300)
NUMBER = st.integers(-(2**63), 2**63 - 1)
VALUES = TEXT | NUMBER | st.booleans() | st.floats(allow_nan=False) | st.lists(TEXT, max_size=3)
STATES = st.lists(st.sampled_from(["a=1", "b=x y", "c@d=~"]), unique=True).map(lambda pairs: ",".join(pairs))
CONTEXTS = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.sampled_from(FLAGS),
    STATES.map(lambda state: TraceState.from_header([state])),
)
SHAPES = st.builds(
    Shape,
    TEXT,
    st.sampled_from([SpanKind.SERVER, SpanKind.CLIENT]),
    st.dictionaries(TEXT.filter(bool), VALUES, max_size=8),
)

PING = Shape("ping", SpanKind.SERVER, {})
NANOS = st.integers(0, 2**64 - 1)
LINKS = st.lists(CONTEXTS.map(Link), max_size=2).map(tuple)
SPANS = st.fixed_dictionaries(
    {
        "own": st.dictionaries(TEXT.map("own.".__add__), TEXT, max_size=4),
        "parent": st.none() | CONTEXTS,
        "links": LINKS,
        "times": st.tuples(NANOS, NANOS),
        "status": st.sampled_from([UNSET, ERROR]),
    }
)


def span(shape: Shape, **given: Any) -> Recorded:
    span = Recorded(RECORDER, shape, given.get("own", {}), given.get("parent"), given.get("links", ()))
    span.start_time, span.end_time = given.get("times", (1, 2))
    span.status = given.get("status", UNSET)
    return span


@given(SHAPES, st.lists(SPANS, min_size=1, max_size=5))
def test_every_span_is_encoded_as_opentelemetry_encodes_it(shape: Shape, given: list[dict[str, Any]]) -> None:
    spans = [span(shape, **one) for one in given] + [span(PING)]
    encode = Encoder(RESOURCE, SCOPE)
    assert encode(spans) == encode(spans) == encode_spans(spans)


def test_opentelemetrys_http_exporter_is_still_made_so_that_our_encoder_fits() -> None:
    exporter = HttpExporter("http://127.0.0.1:9/v1/traces")
    fitted = swift(exporter, RESOURCE, SCOPE)
    assert fitted is not exporter
    assert fitted.shutdown == exporter.shutdown
    fitted.shutdown()


def test_opentelemetrys_grpc_exporter_is_still_made_so_that_our_encoder_fits() -> None:
    assert callable(GrpcExporter._translate_data)
    exporter = swift(GrpcExporter("http://127.0.0.1:9"), RESOURCE, SCOPE)
    assert isinstance(exporter, GrpcExporter)
    assert exporter._translate_data([span(PING)]).resource_spans[0].scope_spans[0].spans[0].name == "ping"
    exporter.shutdown()


def test_an_exporter_that_is_made_otherwise_stays_as_it_is() -> None:
    assert swift(KEPT, RESOURCE, SCOPE) is KEPT


def test_a_batch_that_could_not_be_sent_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    exporter = swift(HttpExporter("http://127.0.0.1:9/v1/traces", timeout=0.1), RESOURCE, SCOPE)
    assert exporter.export([span(PING)]) is SpanExportResult.FAILURE
    assert "Failed to export spans batch" in caplog.text
    exporter.shutdown()
