"""Trace context in `params._meta` and in HTTP headers: W3C `traceparent`, `tracestate` and `baggage` (SEP-414).

Knows the three keys and their formats; starts no span. What is malformed is as good as absent. Reads exactly what
OpenTelemetry's own propagator reads, without the detour over its ambient context.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context
from opentelemetry.trace.span import TraceState

from portkey_mcp.wire import Json

PARENT, STATE, BAGGAGE = "traceparent", "tracestate", "baggage"

LONGEST_PARENT: Final = 512
LONGEST_STATE: Final = 8192
"""Characters beyond which OpenTelemetry does not read a `traceparent`, and a `tracestate`."""

NO_STATE: Final = TraceState.get_default()
"""The one empty state that OpenTelemetry gives all who have none."""

FLAGS: Final = tuple(map(TraceFlags, range(256)))
"""Every value a trace's flags can have; they are immutable, so one of each is enough."""

_FORMAT = re.compile(r"[ \t]*([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:(-.*)|[ \t]*)$")


def extract(carrier: Mapping[str, Any]) -> SpanContext | None:
    """The context a carrier names, or None. `carrier` is a `_meta` or a mapping of lower-case headers."""
    parent = carrier.get(PARENT)
    if not isinstance(parent, str) or len(parent) > LONGEST_PARENT:
        return None
    match = _FORMAT.match(parent)
    if match is None:
        return None
    version, trace, span, flags, more = match.groups()
    if version == "ff" or (version == "00" and more):
        return None
    found = carrier.get(STATE)
    state = _state(found) if isinstance(found, str) and len(found) <= LONGEST_STATE else None
    context = SpanContext(int(trace, 16), int(span, 16), True, FLAGS[int(flags, 16)], state)
    return context if context.is_valid else None


@lru_cache(maxsize=256)  # of at most `LONGEST_STATE` characters each
def _state(header: str) -> TraceState:
    return TraceState.from_header([header])


def below(parent: SpanContext | None) -> Context:
    """A context whose spans are children of `parent`; of nobody where it is None, whatever is ambient."""
    return Context() if parent is None else set_span_in_context(NonRecordingSpan(parent), Context())


def inject(meta: Json, span: SpanContext, baggage: frozenset[str]) -> Json:
    """A copy of `meta` that names `span` as the parent, with only the members of the baggage named in `baggage`."""
    found = {**meta}
    if found:
        for key in (PARENT, STATE, BAGGAGE):
            found.pop(key, None)
    trace, ident, _, flags, state, _ = span
    found[PARENT] = f"00-{trace:032x}-{ident:016x}-{flags:02x}"
    if state is not NO_STATE and state:
        found[STATE] = state.to_header()
    kept = _allowed(meta.get(BAGGAGE), baggage) if baggage else ""
    if kept:
        found[BAGGAGE] = kept
    return found


def _allowed(value: Any, names: frozenset[str]) -> str:
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        return ""
    return ",".join(member.strip() for member in value.split(",") if member.partition("=")[0].strip() in names)
