"""What spans of the same kind share: calls of one tool at one endpoint differ only in ids, times and outcome.

A `Shape` is made once and kept while it is in use. Every string from a message is cut and made valid UTF-8: one that
the exporter cannot encode would cost the whole batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AttributeValue

from portkey_mcp.model import Era, McpServer, Transport, Visit
from portkey_mcp.telemetry import names
from portkey_mcp.wire import Json

LONGEST: Final = 256
"""Characters of a string kept from a message; twice the longest tool name the protocol advises."""

KEPT: Final = 1024
"""Shapes kept of each kind; clients choose the names in them. One takes about 3 KB, at most 10 KB."""

NAMED: Final = {"tools/call": names.TOOL, "prompts/get": names.PROMPT}
WITH_URI: Final = frozenset(
    {"resources/read", "resources/subscribe", "resources/unsubscribe", "notifications/resources/updated"}
)

_Attributes = dict[str, AttributeValue]


@dataclass(frozen=True, eq=False)
class Shape:
    """A span without its ids, times, outcome and what else is its own. Compared by identity."""

    name: str
    kind: SpanKind
    attributes: Mapping[str, AttributeValue]


def server_shape(visit: Visit, era: Era, version: str, method: str, params: Json | None) -> Shape:
    """The shape of a message received at `visit`'s endpoint."""
    endpoint = visit.endpoint
    server = endpoint.name if endpoint.kind == "server" else None
    target = _target(method, params)
    return _server(endpoint.workspace.slug, endpoint.path, server, era, version[:LONGEST], method[:LONGEST], target)


def client_shape(server: McpServer, era: Era, version: str, method: str, params: Json | None) -> Shape:
    """The shape of a message sent to `server`."""
    way = server.workspace, server.name, server.transport, server.url
    return _client(*way, era, version[:LONGEST], method[:LONGEST], _target(method, params))


def own(method: str, params: Json | None, request_id: str | int | None, session: str = "") -> dict[str, str]:
    """The attributes that a span shares with no other. Every value is a string."""
    found = {}
    if session:
        found[names.SESSION] = clean(session)
    if request_id is not None:
        found[names.REQUEST_ID] = str(request_id)[:LONGEST] if isinstance(request_id, int) else clean(request_id)
    if params and method in WITH_URI:
        uri = params.get("uri")
        if isinstance(uri, str):
            found[names.RESOURCE_URI] = clean(_without_secrets(uri))
    return found


def clean(text: str) -> str:
    """At most `LONGEST` characters, without lone surrogates."""
    text = text[:LONGEST]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _target(method: str, params: Json | None) -> str | None:
    target = params.get("name") if params and method in NAMED else None
    return target[:LONGEST] if isinstance(target, str) else None


@lru_cache(maxsize=KEPT)
def _server(
    workspace: str, path: str, server: str | None, era: Era, version: str, method: str, target: str | None
) -> Shape:
    attributes: _Attributes = {
        names.NETWORK_TRANSPORT: "tcp",
        names.NETWORK_PROTOCOL: "http",
        names.WORKSPACE: workspace,
        names.ENDPOINT: path,
        names.ERA: era,
    }
    if server is not None:
        attributes[names.SERVER] = server
    return _shape(SpanKind.SERVER, attributes, version, method, target)


@lru_cache(maxsize=KEPT)
def _client(
    workspace: str,
    server: str,
    transport: Transport,
    url: str,
    era: Era,
    version: str,
    method: str,
    target: str | None,
) -> Shape:
    attributes: _Attributes = {
        **_way(transport, url),
        names.WORKSPACE: workspace,
        names.SERVER: server,
        names.ERA: era,
    }
    return _shape(SpanKind.CLIENT, attributes, version, method, target)


def _shape(kind: SpanKind, attributes: _Attributes, version: str, method: str, target: str | None) -> Shape:
    """Add what a message says of itself; the span's name is the method and its target."""
    name = method = clean(method)
    attributes[names.METHOD] = method
    if version:
        attributes[names.PROTOCOL_VERSION] = clean(version)
    if method == "tools/call":
        attributes[names.OPERATION] = names.EXECUTE_TOOL
    if target is not None:
        attributes[NAMED[method]] = target = clean(target)
        name = f"{method} {target}"
    return Shape(name, kind, attributes)


def _without_secrets(uri: str) -> str:
    """Without user information, query and fragment: there go passwords, tokens and the arguments of a template."""
    uri = uri.partition("?")[0].partition("#")[0]
    scheme, mark, rest = uri.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{mark}{authority.rpartition('@')[2]}{slash}{path}"


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
