"""Spans that are recorded, by the conventions for MCP (protocol notes: semantic conventions for generative AI, MCP).

Every string from a message is cut and made valid UTF-8: one that the exporter cannot encode would cost the whole batch.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from functools import lru_cache
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, Tracer
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.util.types import AttributeValue

from portkey_mcp.errors import InvalidRequest, UpstreamError
from portkey_mcp.model import Era, Transport, Visit
from portkey_mcp.telemetry import names
from portkey_mcp.telemetry.context import below, extract, inject
from portkey_mcp.telemetry.spans import Leg, Span, Spans, meta_of
from portkey_mcp.wire import Json

LONGEST: Final = 256
"""Characters of a string kept from a message; twice the longest tool name the protocol advises."""

CALLERS_MISTAKES: Final = frozenset({-32700, -32600, -32601, -32602, -32002})
"""JSON-RPC codes that are no failure of the server that answers them: its SERVER span stays without error."""

NO_CODE: Final = "_OTHER"
"""Stands for the code of an error that has no number for one; OpenTelemetry's word for what it has no word for."""

NAMED: Final = {"tools/call": names.TOOL, "prompts/get": names.PROMPT}
WITH_URI: Final = frozenset(
    {"resources/read", "resources/subscribe", "resources/unsubscribe", "notifications/resources/updated"}
)

_Attributes = dict[str, AttributeValue]

_open: ContextVar[SpanContext | None] = ContextVar("portkey_mcp_open_span", default=None)
"""The innermost open span of this task. Not OpenTelemetry's own: the SDK would inject that one by itself."""


class Recording(Spans):
    """Makes spans that are recorded by `tracer`. `baggage` names the members of a client's baggage that go upstream."""

    def __init__(self, tracer: Tracer, baggage: frozenset[str] = frozenset()) -> None:
        self._tracer = tracer
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
        endpoint = visit.endpoint
        attributes: _Attributes = {
            names.NETWORK_TRANSPORT: "tcp",
            names.NETWORK_PROTOCOL: "http",
            names.WORKSPACE: endpoint.workspace.slug,
            names.ENDPOINT: endpoint.path,
            names.ERA: era,
        }
        if endpoint.kind == "server":
            attributes[names.SERVER] = endpoint.name
        if session:
            attributes[names.SESSION] = clean(session)
        # The message's own context is the parent, that of the HTTP request around it only a link (SEP-414).
        parent, around = extract(meta_of(params)), extract(carrier or {})
        links = [Link(around)] if parent is not None and around is not None and parent != around else None
        name = _describe(attributes, method, params, version, request_id)
        span = self._tracer.start_span(
            name, below(parent or around), SpanKind.SERVER, attributes, links, record_exception=False
        )
        return _Recorded(span, CALLERS_MISTAKES, self._baggage)

    def client(self, method: str, params: Json | None, leg: Leg, request_id: str | int | None = None) -> Span:
        server = leg.server
        attributes: _Attributes = {
            **_way(server.transport, server.url),
            names.WORKSPACE: server.workspace,
            names.SERVER: server.name,
            names.ERA: leg.era,
        }
        name = _describe(attributes, method, params, leg.version, request_id)
        span = self._tracer.start_span(
            name, below(_open.get()), SpanKind.CLIENT, attributes, None, record_exception=False
        )
        return _Recorded(span, frozenset(), self._baggage)


class _Recorded(Span):
    """A span being recorded. The first failure noted is the one that stands."""

    __slots__ = ("_baggage", "_before", "_failed", "_quiet", "_span")

    def __init__(self, span: OtelSpan, quiet: frozenset[int], baggage: frozenset[str]) -> None:
        self._span, self._quiet, self._baggage = span, quiet, baggage
        self._failed = False
        self._before: SpanContext | None = None

    def __enter__(self) -> Self:
        self._before = _open.get()
        _open.set(self._span.get_span_context())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _open.set(self._before)
        if isinstance(error, UpstreamError):
            self.error(error.error.get("code"), error.error.get("message"))
        elif isinstance(error, InvalidRequest):
            self.error(error.code, error.message)
        elif kind is not None:
            self._fail(f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."))
        self._span.end()

    def result(self, result: Json) -> None:
        if isinstance(result, dict) and result.get("isError") is True:
            self._fail(names.TOOL_ERROR)

    def error(self, code: object, message: object) -> None:
        if self._failed:
            return
        kind = clean(str(code)) if isinstance(code, int) else NO_CODE
        self._span.set_attribute(names.STATUS_CODE, kind)
        if not isinstance(code, int) or code not in self._quiet:
            self._fail(kind)
        self._failed = True

    def inject(self, meta: Json) -> Json:
        return inject(meta, self._span.get_span_context(), self._baggage)

    def _fail(self, kind: str) -> None:
        """The status gets no description: conventions want the error's message there, which may quote arguments."""
        if not self._failed:
            self._failed = True
            self._span.set_attribute(names.ERROR_TYPE, kind)
            self._span.set_status(StatusCode.ERROR)


def clean(text: str) -> str:
    """At most `LONGEST` characters, without lone surrogates."""
    text = text[:LONGEST]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _describe(
    attributes: _Attributes, method: str, params: Json | None, version: str, request_id: str | int | None
) -> str:
    """Add what a message says of itself to `attributes` and return the span's name: the method and its target."""
    name = method = clean(method)
    attributes[names.METHOD] = method
    if version:
        attributes[names.PROTOCOL_VERSION] = clean(version)
    if request_id is not None:
        attributes[names.REQUEST_ID] = clean(str(request_id))
    if method == "tools/call":
        attributes[names.OPERATION] = names.EXECUTE_TOOL
    target = params.get("name") if params and method in NAMED else None
    if isinstance(target, str):
        attributes[NAMED[method]] = target = clean(target)
        name = f"{method} {target}"
    uri = params.get("uri") if params and method in WITH_URI else None
    if isinstance(uri, str):
        attributes[names.RESOURCE_URI] = clean(_without_secrets(uri))
    return name


def _without_secrets(uri: str) -> str:
    """Without user information, query and fragment: there go passwords, tokens and the arguments of a template."""
    uri = uri.partition("?")[0].partition("#")[0]
    scheme, mark, rest = uri.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{mark}{authority.rpartition('@')[2]}{slash}{path}"


@lru_cache(maxsize=1024)
def _way(transport: Transport, url: str) -> _Attributes:
    """How an upstream is reached. An address that is still a reference (`${…}`) is left out."""
    if transport == "stdio":
        return {names.NETWORK_TRANSPORT: "pipe"}
    way: _Attributes = {names.NETWORK_TRANSPORT: "tcp", names.NETWORK_PROTOCOL: "http"}
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return way
    if host and "${" not in parts.netloc:
        way[names.SERVER_ADDRESS] = host
        way[names.SERVER_PORT] = port or (443 if parts.scheme == "https" else 80)
    return way
