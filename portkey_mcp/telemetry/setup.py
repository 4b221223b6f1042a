"""Tracing switched on or off, once per process; called only from app.py.

Nothing leaves unless OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set. All other OTEL_
variables are OpenTelemetry's own and mean what its specification says (sampling, headers, batching, resource).

No global tracer provider is ever set: the MCP SDK traces by itself under the scope `mcp-python-sdk`, finds none, and
so neither duplicates our spans nor reaches the exporter.
"""

import os
import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Final

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from portkey_mcp.errors import Mistake
from portkey_mcp.telemetry.encoding import swift
from portkey_mcp.telemetry.names import SCOPE, SERVICE
from portkey_mcp.telemetry.recorder import Recorder, binding_limits
from portkey_mcp.telemetry.recording import Recording
from portkey_mcp.telemetry.spans import SILENT, Spans

FLUSH_SECONDS: Final = 5.0
"""How long the last spans may take to leave when the gateway stops; a collector that is gone must not hold it up."""

EXPORTERS: Final = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
"""OTLP protocol -> OpenTelemetry's name of the exporter; loaded by that name, so that only the one in use is."""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Tracing as it runs: `spans` for the corridor, `close` for whoever ends the process."""

    spans: Spans
    processor: BatchSpanProcessor | None = None

    def close(self) -> None:
        """Send what is still queued and stop; spans ended later are dropped.

        Blocks for `FLUSH_SECONDS` at most, so call it from a thread where a loop still runs.
        """
        if self.processor is not None:
            # The exporter tries for longer than anybody waits; as daemons, its threads do not keep the process alive.
            flush = threading.Thread(target=self.processor.shutdown, daemon=True)
            flush.start()
            flush.join(FLUSH_SECONDS)


def start(version: str, baggage: Iterable[str] = ()) -> Telemetry:
    """Switch tracing on if the environment names a collector. `baggage`: members of a client's that may go upstream.

    Raises:
        Mistake: the environment asks for a protocol that does not exist.
    """
    if not _wanted():
        return Telemetry(SILENT)
    # Starts no span: it reads from the environment who samples, and has the resource and the maker of ids.
    provider = TracerProvider(resource=_resource(version), shutdown_on_exit=False)
    scope, limits, exporter = InstrumentationScope(SCOPE, version), binding_limits(), _exporter()
    processor = BatchSpanProcessor(exporter if limits else swift(exporter, provider.resource, scope))
    recorder = Recorder(provider, scope, processor, limits)
    return Telemetry(Recording(recorder, frozenset(baggage)), processor)


def _wanted() -> bool:
    endpoint = _variable("ENDPOINT")
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return bool(endpoint) and not disabled and os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip() != "none"


def _variable(name: str) -> str:
    """An OTLP setting: that for traces alone, or the general one."""
    return os.environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}") or ""


def _exporter() -> SpanExporter:
    protocol = _variable("PROTOCOL").strip() or "http/protobuf"
    if protocol not in EXPORTERS:
        raise Mistake(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}; it may be {' or '.join(EXPORTERS)}")
    [entry] = entry_points(group="opentelemetry_traces_exporter", name=EXPORTERS[protocol])
    exporter: SpanExporter = entry.load()()
    return exporter


def _resource(version: str) -> Resource:
    ours = {"service.name": SERVICE, "service.version": version, "service.instance.id": str(uuid.uuid4())}
    return Resource.create(ours).merge(OTELResourceDetector().detect())
