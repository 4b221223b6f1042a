"""A span is what OpenTelemetry's own tracer would have made of it: ids, sampling, limits."""

from itertools import count

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBasedTraceIdRatio, Sampler, TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind

from portkey_mcp.telemetry.context import FLAGS, below, extract
from portkey_mcp.telemetry.recorder import MOST, PLAIN, Recorded, Recorder, binding_limits
from portkey_mcp.telemetry.shapes import Shape

SHAPE = Shape("tools/call echo", SpanKind.SERVER, {"server.address": "files.example.com", "server.port": 443})
OWN = {"jsonrpc.request.id": "7", "error.type": "-32603"}
REMOTE = [extract({"traceparent": f"00-{'1' * 32}-{'2' * 16}-{flags}", "tracestate": "a=1"}) for flags in ("00", "03")]
LOCAL = [SpanContext(2**127, 5, False, FLAGS[flags]) for flags in (0, 1, 2)]
PARENTS = [None, *REMOTE, *LOCAL]
SAMPLERS = [*PLAIN, *(kind(rate) for kind in (TraceIdRatioBased, ParentBasedTraceIdRatio) for rate in (0.0, 0.5, 1.0))]


class Counting(IdGenerator):
    """Ids that are the same in every run; not random, unless said so."""

    def __init__(self, random: bool) -> None:
        self._next, self._random = count(1), random

    def generate_span_id(self) -> int:
        return next(self._next)

    def generate_trace_id(self) -> int:
        return next(self._next) << 62  # so that a ratio of one half keeps some and drops some

    def is_trace_id_random(self) -> bool:
        return self._random


class Both:
    """A recorder and OpenTelemetry's tracer, set up alike."""

    def __init__(self, sampler: Sampler = ALWAYS_ON, *, random: bool = True, limits: SpanLimits | None = None) -> None:
        def provider() -> TracerProvider:
            given = {"sampler": sampler, "resource": Resource({"service.name": "s"}), "id_generator": Counting(random)}
            return TracerProvider(**given, span_limits=limits, shutdown_on_exit=False)

        self.ours, self.theirs = InMemorySpanExporter(), InMemorySpanExporter()
        theirs = provider()
        theirs.add_span_processor(SimpleSpanProcessor(self.theirs))
        self.tracer = theirs.get_tracer("scope", "1")
        scope = InstrumentationScope("scope", "1")
        self.recorder = Recorder(provider(), scope, SimpleSpanProcessor(self.ours), limits)

    def span(self, parent: SpanContext | None, links: tuple[Link, ...] = ()) -> tuple[SpanContext, SpanContext]:
        ours = Recorded(self.recorder, SHAPE, dict(OWN), parent, links)
        ours.start_time = 1
        attributes = {**SHAPE.attributes, **OWN}
        theirs = self.tracer.start_span(SHAPE.name, below(parent), SHAPE.kind, attributes, links, start_time=1)
        ours.end()
        if ours.end_time is not None:
            theirs.end(ours.end_time)
        return ours.context, theirs.get_span_context()

    def exported(self) -> tuple[tuple[ReadableSpan, ...], tuple[ReadableSpan, ...]]:
        return self.ours.get_finished_spans(), self.theirs.get_finished_spans()


@pytest.mark.parametrize("random", [True, False])
@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.get_description())
def test_ids_flags_and_the_decision_are_those_of_opentelemetry(sampler: Sampler, random: bool) -> None:
    both = Both(sampler, random=random)
    for parent in PARENTS * 3:
        ours, theirs = both.span(parent)
        assert ours == theirs
    ours_exported, theirs_exported = both.exported()
    assert encode_spans(ours_exported) == encode_spans(theirs_exported)


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "3"},
        {"OTEL_ATTRIBUTE_COUNT_LIMIT": "0"},
        {"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "4"},
        {"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "0", "OTEL_SPAN_LINK_COUNT_LIMIT": "3"},
        {"OTEL_SPAN_LINK_COUNT_LIMIT": "0", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": ""},
    ],
)
def test_limits_of_the_environment_hold_as_they_do_in_opentelemetry(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    limits = binding_limits()
    assert limits is not None
    both = Both(limits=limits)
    assert REMOTE[1] is not None
    both.span(LOCAL[1], (Link(REMOTE[1]),))
    ours, theirs = both.exported()
    assert encode_spans(ours) == encode_spans(theirs)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": str(MOST)},
        {"OTEL_SPAN_LINK_COUNT_LIMIT": "1"},
        {"OTEL_SPAN_EVENT_COUNT_LIMIT": "0"},
    ],
)
def test_limits_that_no_span_of_ours_can_reach_cost_nothing(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert binding_limits() is None
