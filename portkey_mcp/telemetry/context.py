"""Trace context in `params._meta` and in HTTP headers: W3C `traceparent`, `tracestate` and `baggage` (SEP-414).

Knows the three keys and their formats; starts no span. What is malformed is as good as absent.
"""

from collections.abc import Mapping
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from portkey_mcp.wire import Json

PARENT, STATE, BAGGAGE = "traceparent", "tracestate", "baggage"

_w3c = TraceContextTextMapPropagator()


def extract(carrier: Mapping[str, Any]) -> SpanContext | None:
    """The context a carrier names, or None. `carrier` is a `_meta` or a mapping of lower-case headers."""
    parent = carrier.get(PARENT)
    if not isinstance(parent, str):
        return None
    found = {PARENT: parent}
    state = carrier.get(STATE)
    if isinstance(state, str):
        found[STATE] = state
    context = get_current_span(_w3c.extract(found, Context())).get_span_context()
    return context if context.is_valid else None


def below(parent: SpanContext | None) -> Context:
    """A context whose spans are children of `parent`; of nobody where it is None, whatever is ambient."""
    return Context() if parent is None else set_span_in_context(NonRecordingSpan(parent), Context())


def inject(meta: Json, span: SpanContext, baggage: frozenset[str]) -> Json:
    """A copy of `meta` that names `span` as the parent, with only the members of the baggage named in `baggage`."""
    found = {key: value for key, value in meta.items() if key not in (PARENT, STATE, BAGGAGE)}
    found[PARENT] = f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
    if span.trace_state:
        found[STATE] = span.trace_state.to_header()
    kept = _allowed(meta.get(BAGGAGE), baggage) if baggage else ""
    if kept:
        found[BAGGAGE] = kept
    return found


def _allowed(value: Any, names: frozenset[str]) -> str:
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        return ""
    return ",".join(member.strip() for member in value.split(",") if member.partition("=")[0].strip() in names)
