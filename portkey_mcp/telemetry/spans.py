"""The seam between the corridor and tracing: one SERVER span for a message received, one CLIENT span for one sent.

`Spans` and `Span` themselves record nothing and cost next to nothing: that is telemetry switched off, and then trace
context passes through untouched. `telemetry/recording.py` has those that record.

    with spans.server(method=…, params=…, visit=…, era=…, version=…, request_id=…, carrier=headers) as span:
        with spans.client(method, params, link) as leg:
            result = await send({**params, "_meta": leg.inject(meta)})
            leg.result(result)
        span.result(result)

A CLIENT span is the child of the SERVER span that is open in the same task, or in the task that started it. Arguments,
results, tokens and principals are never recorded.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from portkey_mcp.model import Era, McpServer, Visit
from portkey_mcp.wire import Json


class Leg(Protocol):
    """What is asked about the way to an upstream; a `Link` is one."""

    server: McpServer
    era: Era
    version: str


class Span:
    """One span, or, as here, none. A context manager; an exception that leaves it is recorded as the failure."""

    __slots__ = ()
    injects = False
    """Whether `inject` changes anything: without, nobody need copy a `_meta` for it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        return None

    def result(self, result: Json) -> None:
        """Note the outcome: a tool's result with `isError: true` is an error of the type `tool_error`."""

    def error(self, code: object, message: object) -> None:
        """Note a JSON-RPC error sent (SERVER) or received (CLIENT), as it is: an upstream may have sent anything."""

    def inject(self, meta: Json) -> Json:
        """The `_meta` to send on: never changes `meta`, and may return it as it is."""
        return meta


_NONE = Span()


class Spans:
    """Makes spans; as here, of the kind that records nothing."""

    def server(
        self,
        *,
        method: str,
        params: Json | None,
        visit: Visit,
        era: Era,
        version: str,
        request_id: str | int | None = None,
        session: str = "",
        carrier: Mapping[str, str] | None = None,
    ) -> Span:
        """A SERVER span: a message received from a client.

        `params` are raw, None when absent; `request_id` is None for a notification. `session` is what names the legacy
        session in records, never the sealed token the client holds. `carrier` are the HTTP headers in lower case.
        """
        return _NONE

    def client(self, method: str, params: Json | None, leg: Leg, request_id: str | int | None = None) -> Span:
        """A CLIENT span: a message sent to an upstream, with the upstream's own names in `params`."""
        return _NONE


SILENT = Spans()
"""Telemetry switched off."""


def meta_of(params: Json | None) -> Mapping[str, Any]:
    """`params._meta`, or an empty mapping where it is absent or no object."""
    meta = params.get("_meta") if params else None
    return meta if isinstance(meta, dict) else {}
