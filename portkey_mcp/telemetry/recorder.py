"""Spans as they are recorded: what OpenTelemetry's own tracer does, at a fifth of its cost.

Sampler, ids, resource, limits and processor are OpenTelemetry's; only the object that lives while a call runs is ours,
since the SDK's carries locks, bounded copies and events that no span here has use for. What has ended can be read like
a `ReadableSpan`, by processors and exporters.
"""

from collections.abc import Callable, Mapping
from time import time_ns
from typing import Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, DEFAULT_OFF, DEFAULT_ON, Decision, Sampler
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from portkey_mcp.telemetry.context import FLAGS, NO_STATE, below
from portkey_mcp.telemetry.shapes import Shape

MOST: Final = 18
"""More attributes than any span here can have: a higher limit on them never applies."""

PLAIN: Final[Mapping[Sampler, tuple[bool, bool, bool]]] = {
    ALWAYS_ON: (True, True, True),
    ALWAYS_OFF: (False, False, False),
    DEFAULT_ON: (True, True, False),
    DEFAULT_OFF: (False, True, False),
}
"""Samplers that need not be asked: what they say to a span without parent, of a sampled parent, of one that is not."""

SAMPLED: Final = 1
RANDOM: Final = 2
"""Bits of a trace's flags (W3C Trace Context, level 2)."""

UNSET: Final = Status(StatusCode.UNSET)
ERROR: Final = Status(StatusCode.ERROR)


def binding_limits() -> SpanLimits | None:
    """The OTEL_ limits of the environment where they can apply to a span of ours, else None."""
    limits = SpanLimits()
    attributes, length = limits.max_span_attributes, limits.max_span_attribute_length
    binding = (attributes is not None and attributes < MOST) or length is not None or limits.max_links == 0
    return limits if binding else None


class Recorder:
    """Where spans begin and end. One per process; `processor` is given what has ended and is sampled."""

    def __init__(
        self,
        provider: TracerProvider,
        scope: InstrumentationScope,
        processor: SpanProcessor,
        limits: SpanLimits | None = None,
    ) -> None:
        self.scope, self.resource, self.limits = scope, provider.resource, limits
        self._ids, self._sampler = provider.id_generator, provider.sampler
        self._random = RANDOM if provider.id_generator.is_trace_id_random() else 0
        self._plain = PLAIN.get(provider.sampler)
        # The queue itself, where the processor has one: what comes here is known to be sampled.
        queue = getattr(processor, "_batch_processor", None)
        self.hand_on: Callable[[Any], None] = getattr(queue, "emit", processor.on_end)

    def begin(
        self, shape: Shape, own: Mapping[str, str], parent: SpanContext | None, links: tuple[Link, ...]
    ) -> SpanContext:
        """Who a new span is, and whether it is sampled."""
        ids, state = self._ids, NO_STATE
        if parent is None:
            trace, flags, place = ids.generate_trace_id(), self._random, 0
        else:
            trace, _, _, given, state, _ = parent
            flags, place = given & RANDOM, 1 if given & SAMPLED else 2
        if self._plain is not None:
            sampled = self._plain[place]
        else:
            attributes: dict[str, AttributeValue] = {**shape.attributes, **own}
            said = self._sampler.should_sample(below(parent), trace, shape.name, shape.kind, attributes, links)
            sampled, state = said.decision is Decision.RECORD_AND_SAMPLE, said.trace_state or NO_STATE
        # What the class itself makes of these, without its checks; tests compare the two.
        return tuple.__new__(SpanContext, (trace, ids.generate_span_id(), False, FLAGS[flags | sampled], state, True))


class Recorded:
    """One span. Has the attributes of a `ReadableSpan`; has no events, and a status without description.

    `own` are the attributes it shares with no other; what has ended is not changed any more, since another thread
    reads it.
    """

    __slots__ = ("_links", "context", "end_time", "own", "parent", "recorder", "shape", "start_time", "status")

    events = ()
    dropped_events = 0

    def __init__(
        self,
        recorder: Recorder,
        shape: Shape,
        own: dict[str, str],
        parent: SpanContext | None,
        links: tuple[Link, ...] = (),
    ) -> None:
        self.recorder, self.shape, self.own, self.parent, self._links = recorder, shape, own, parent, links
        self.status = UNSET
        self.context = recorder.begin(shape, own, parent, links)
        self.start_time = time_ns()
        self.end_time: int | None = None

    def end(self) -> None:
        """Hand the span on. Its attributes are final."""
        self.end_time = time_ns()
        if self.context[3] & SAMPLED:
            self.recorder.hand_on(self)

    @property
    def attributes(self) -> Mapping[str, AttributeValue]:
        attributes: dict[str, AttributeValue] = {**self.shape.attributes, **self.own}
        limits = self.recorder.limits
        if limits is None:
            return attributes
        return BoundedAttributes(limits.max_span_attributes, attributes, max_value_len=limits.max_span_attribute_length)

    @property
    def dropped_attributes(self) -> int:
        limits = self.recorder.limits
        if limits is None or limits.max_span_attributes is None:
            return 0
        return max(0, len(self.shape.attributes) + len(self.own) - limits.max_span_attributes)

    @property
    def links(self) -> tuple[Link, ...]:
        limits = self.recorder.limits
        return self._links if limits is None else self._links[: limits.max_links]

    @property
    def dropped_links(self) -> int:
        return len(self._links) - len(self.links)

    @property
    def name(self) -> str:
        return self.shape.name

    @property
    def kind(self) -> SpanKind:
        return self.shape.kind

    @property
    def resource(self) -> Resource:
        return self.recorder.resource

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        return self.recorder.scope

    def get_span_context(self) -> SpanContext:
        return self.context
