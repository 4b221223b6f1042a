"""Spans as OTLP messages: `encode_spans` of OpenTelemetry for what many spans share, once; by hand for the rest.

Sending stays with OpenTelemetry's exporters and their OTEL_EXPORTER_OTLP_ variables. They have no place to put another
encoder, so `swift` leans on one private member of each; where that is missing, the exporter stays as it is.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, cast

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2 as otlp
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import INVALID_SPAN_CONTEXT, SpanContext

from portkey_mcp.telemetry.context import NO_STATE
from portkey_mcp.telemetry.recorder import UNSET, Recorded
from portkey_mcp.telemetry.shapes import KEPT, Shape

LOCAL: Final = otlp.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
REMOTE: Final = LOCAL | otlp.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
"""`flags` of a span and a link: whether the other end is in this process."""


def swift(exporter: SpanExporter, resource: Resource, scope: InstrumentationScope) -> SpanExporter:
    """`exporter`, sending the same messages with a faster encoder; as it is where it is not made as we know it.

    All spans are `Recorded`, of one resource and one scope, and no limit applies to them.
    """
    encode = Encoder(resource, scope)
    if hasattr(exporter, "_translate_data"):  # gRPC: what makes a batch a request, asked again for every try
        exporter._translate_data = encode
        return exporter
    send = getattr(getattr(exporter, "_client", None), "export", None)  # HTTP: compresses, sends, tries again
    return exporter if send is None else _Http(exporter, send, encode)


class _Http(SpanExporter):
    """Sends by the client of OpenTelemetry's HTTP exporter."""

    def __init__(self, exporter: SpanExporter, send: Callable[[bytes], Any], encode: "Encoder") -> None:
        self._send, self._encode = send, encode
        self.shutdown = exporter.shutdown  # type: ignore[method-assign]

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        sent = self._send(self._encode(spans).SerializePartialToString())
        return SpanExportResult.SUCCESS if sent.success else SpanExportResult.FAILURE


class Encoder:
    """Encodes the spans of one resource and scope. Called in the thread that exports."""

    def __init__(self, resource: Resource, scope: InstrumentationScope) -> None:
        empty = ReadableSpan("", INVALID_SPAN_CONTEXT, resource=resource, instrumentation_scope=scope)
        self._envelope = encode_spans([empty])
        del self._envelope.resource_spans[0].scope_spans[0].spans[:]

    def __call__(self, spans: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
        """The request that `encode_spans` makes of the same spans, all of them `Recorded`."""
        request = ExportTraceServiceRequest()
        request.CopyFrom(self._envelope)
        add = request.resource_spans[0].scope_spans[0].spans.add
        for span in cast(Sequence[Recorded], spans):
            _write(span, add())
        return request


def _write(span: Recorded, message: otlp.Span) -> None:
    (trace, ident, _, _, state, _), parent = span.context, span.parent
    message.MergeFromString(_encoded(span.shape))
    message.trace_id = trace.to_bytes(16, "big")
    message.span_id = ident.to_bytes(8, "big")
    if state is not NO_STATE and state:
        message.trace_state = state.to_header()
    if parent is not None:
        message.parent_span_id = parent[1].to_bytes(8, "big")
    message.flags = _flags(parent)
    message.start_time_unix_nano = span.start_time
    message.end_time_unix_nano = span.end_time or 0
    for key, value in span.own.items():
        message.attributes.add(key=key).value.string_value = value
    if span.status is not UNSET:
        message.status.code = otlp.Status.STATUS_CODE_ERROR
    for link in span.links:
        other = link.context
        ids = other.trace_id.to_bytes(16, "big"), other.span_id.to_bytes(8, "big")
        message.links.add(trace_id=ids[0], span_id=ids[1], flags=_flags(other))


def _flags(other: SpanContext | None) -> int:
    return REMOTE if other is not None and other.is_remote else LOCAL


@lru_cache(maxsize=2 * KEPT)
def _encoded(shape: Shape) -> bytes:
    """What every span of a shape has, as the bytes of a `Span` message."""
    span = ReadableSpan(shape.name, INVALID_SPAN_CONTEXT, kind=shape.kind, attributes=shape.attributes)
    message = encode_spans([span]).resource_spans[0].scope_spans[0].spans[0]
    for own in ("trace_id", "span_id", "trace_state", "flags"):
        message.ClearField(own)
    encoded: bytes = message.SerializeToString()
    return encoded
