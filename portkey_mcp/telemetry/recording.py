"""Spans that are recorded, by the conventions for MCP (protocol notes: semantic conventions for generative AI, MCP)."""

from collections.abc import Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Final, Self

from opentelemetry.trace import Link, SpanContext

from portkey_mcp.errors import InvalidRequest, UpstreamError
from portkey_mcp.model import Era, Visit
from portkey_mcp.telemetry import names
from portkey_mcp.telemetry.context import extract, inject
from portkey_mcp.telemetry.recorder import ERROR, Recorded, Recorder
from portkey_mcp.telemetry.shapes import Shape, clean, client_shape, own, server_shape
from portkey_mcp.telemetry.spans import Leg, Span, Spans, meta_of
from portkey_mcp.wire import Json

CALLERS_MISTAKES: Final = frozenset({-32700, -32600, -32601, -32602, -32002})
"""JSON-RPC codes that are no failure of the server that answers them: its SERVER span stays without error."""

ALL_COUNT: Final[frozenset[int]] = frozenset()
"""On a CLIENT span every code is a failure."""

NO_CODE: Final = "_OTHER"
"""Stands for the code of an error that has no number for one; OpenTelemetry's word for what it has no word for."""

_open: ContextVar[SpanContext | None] = ContextVar("portkey_mcp_open_span", default=None)
"""The innermost open span of this task. Not OpenTelemetry's own: the SDK would inject that one by itself."""


class Recording(Spans):
    """Makes spans that `recorder` records. `baggage` names the members of a client's baggage that go upstream."""

    def __init__(self, recorder: Recorder, baggage: frozenset[str] = frozenset()) -> None:
        self._recorder = recorder
        self._baggage = baggage

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
        # The message's own context is the parent, that of the HTTP request around it only a link (SEP-414).
        parent, around = extract(meta_of(params)), extract(carrier) if carrier else None
        links = (Link(around),) if parent is not None and around is not None and parent != around else ()
        return _Open(
            self._recorder,
            server_shape(visit, era, version, method, params),
            own(method, params, request_id, session),
            parent or around,
            links,
            quiet=CALLERS_MISTAKES,
            baggage=self._baggage,
        )

    def client(self, method: str, params: Json | None, leg: Leg, request_id: str | int | None = None) -> Span:
        return _Open(
            self._recorder,
            client_shape(leg.server, leg.era, leg.version, method, params),
            own(method, params, request_id),
            _open.get(),
            quiet=ALL_COUNT,
            baggage=self._baggage,
        )


class _Open(Recorded, Span):
    """A span being recorded. The first failure noted is the one that stands."""

    __slots__ = ("_baggage", "_before", "_quiet", "_settled")
    injects = True

    def __init__(
        self,
        recorder: Recorder,
        shape: Shape,
        own: dict[str, str],
        parent: SpanContext | None,
        links: tuple[Link, ...] = (),
        *,
        quiet: frozenset[int],
        baggage: frozenset[str],
    ) -> None:
        super().__init__(recorder, shape, own, parent, links)
        self._quiet, self._baggage = quiet, baggage
        self._settled = False
        self._before: SpanContext | None = None

    def __enter__(self) -> Self:
        self._before = _open.get()
        _open.set(self.context)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _open.set(self._before)
        if isinstance(error, UpstreamError):
            self.error(error.error.get("code"), error.error.get("message"))
        elif isinstance(error, InvalidRequest):
            self.error(error.code, error.message)
        elif kind is not None:
            self._fail(f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."))
        self._settled = True
        self.end()

    def result(self, result: Json) -> None:
        if isinstance(result, dict) and result.get("isError") is True:
            self._fail(names.TOOL_ERROR)

    def error(self, code: object, message: object) -> None:
        if self._settled:
            return
        kind = clean(str(code)) if isinstance(code, int) else NO_CODE
        self.own[names.STATUS_CODE] = kind
        if not isinstance(code, int) or code not in self._quiet:
            self._fail(kind)
        self._settled = True

    def inject(self, meta: Json) -> Json:
        return inject(meta, self.context, self._baggage)

    def _fail(self, kind: str) -> None:
        """The status gets no description: conventions want the error's message there, which may quote arguments."""
        if not self._settled:
            self._settled = True
            self.own[names.ERROR_TYPE] = kind
            self.status = ERROR
