"""What one POST body is: a request, a notification or an answer, and of which era. Pure.

The ladder of the modern era is the SDK's `classify_inbound_request`; the legacy era is told by its absence. Bodies
decide, headers are only checked against them (SEP-2243, Trusting header values).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mcp.shared.inbound import (
    MCP_NAME_HEADER,
    MCP_PARAM_HEADER_PREFIX,
    MCP_PROTOCOL_VERSION_HEADER,
    InboundLadderRejection,
    InboundModernRoute,
    classify_inbound_request,
    decode_header_value,
    find_duplicated_routing_header,
    unsupported_protocol_version_rejection,
)
from mcp_types import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    PROTOCOL_VERSION_META_KEY,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from portkey_mcp.errors import InvalidRequest
from portkey_mcp.model import Era
from portkey_mcp.wire import Json, MalformedJson, dumps, loads

RequestId = str | int

DEFAULT_LEGACY_VERSION: Final = "2025-03-26"
"""What a legacy request without a version header speaks (2025-11-25 transports, Protocol Version Header)."""


LARGEST_INTRODUCTION: Final = 256 * 1024
"""Bytes of what a client says of itself, icons included: it is kept with every link that is opened for it."""

SMALL: Final = LARGEST_INTRODUCTION // 6
"""Bytes of a body that can hold no larger introduction, however its letters are escaped when it is measured."""

PARAM_PREFIX: Final = MCP_PARAM_HEADER_PREFIX.lower()


@dataclass
class BadMessage(InvalidRequest):
    """A body that is no MCP message. `id` is the request's id where one could be read, for the error's own id."""

    id: RequestId | None = None


@dataclass(slots=True)
class InRequest:
    """One request. `params` is raw; None when the member is absent.

    `version` is the envelope's (modern) or the header's (legacy). Capabilities and client info are the modern
    envelope's; a legacy request's are in its session.
    """

    id: RequestId
    method: str
    params: Json | None
    era: Era
    version: str
    capabilities: Json
    client_info: Json


@dataclass(frozen=True, slots=True)
class InNotification:
    """One notification; modern clients have none that mean anything over HTTP."""

    method: str
    params: Json | None
    era: Era


@dataclass(frozen=True, slots=True)
class InAnswer:
    """A legacy client's answer to a request of the server. `outcome` has `result` or `error`."""

    id: RequestId
    outcome: Json


Inbound = InRequest | InNotification | InAnswer


def read(body: bytes, headers: Mapping[str, str], raw_headers: Sequence[tuple[str, str]] = ()) -> Inbound:
    """Say what a POST body is. `headers` are keyed in lower case; `raw_headers` are needed where a name came twice.

    Raises:
        BadMessage: not JSON, a batch, no JSON-RPC message, or a modern request whose envelope or headers are wrong.
    """
    try:
        message = loads(body)
    except MalformedJson as error:
        raise BadMessage(PARSE_ERROR, f"Parse error: {error}") from None
    if isinstance(message, list):
        raise BadMessage(INVALID_REQUEST, "Batches are not part of MCP since 2025-06-18; send one message per POST")
    if not isinstance(message, dict):
        raise BadMessage(INVALID_REQUEST, "The body must be one JSON-RPC request, notification or response object")
    ident = _id_of(message)
    if message.get("jsonrpc") != "2.0":
        raise BadMessage(INVALID_REQUEST, 'The member "jsonrpc" must be "2.0"', id=ident)
    era = _era(message, headers)
    if "method" in message:
        call = _call(message, ident, era, headers, raw_headers)
        if isinstance(call, InRequest) and len(body) > SMALL:
            check_introduction([call.capabilities, call.client_info], call.id)
        return call
    if era == "modern" or ident is None or ("result" in message) == ("error" in message):
        raise BadMessage(INVALID_REQUEST, "Not a JSON-RPC request, notification or response", id=ident)
    return InAnswer(ident, {key: message[key] for key in ("result", "error") if key in message})


def _id_of(message: Json) -> RequestId | None:
    """The message's id, or None where it has none. A bool, null, float or container is not an id."""
    ident = message.get("id")
    return ident if isinstance(ident, str) or (isinstance(ident, int) and not isinstance(ident, bool)) else None


def _era(message: Json, headers: Mapping[str, str]) -> Era:
    """Modern when the header names no legacy version, or the body carries the modern envelope."""
    version = headers.get(MCP_PROTOCOL_VERSION_HEADER)
    if version is not None and version not in HANDSHAKE_PROTOCOL_VERSIONS:
        return "modern"
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    return "modern" if isinstance(meta, dict) and PROTOCOL_VERSION_META_KEY in meta else "legacy"


def _call(
    message: Json,
    ident: RequestId | None,
    era: Era,
    headers: Mapping[str, str],
    raw_headers: Sequence[tuple[str, str]],
) -> InRequest | InNotification:
    method, params = message["method"], message.get("params")
    if not isinstance(method, str):
        raise BadMessage(INVALID_REQUEST, 'The member "method" must be a string', id=ident)
    if "params" in message and not isinstance(params, dict):
        raise BadMessage(INVALID_PARAMS, 'The member "params" must be an object', id=ident)
    if "id" not in message:
        if era == "modern":
            _check_notification_version(headers)
        return InNotification(method, params, era)
    if ident is None:
        raise BadMessage(INVALID_REQUEST, 'The member "id" must be a string or an integer')
    if era == "legacy":
        version = headers.get(MCP_PROTOCOL_VERSION_HEADER, DEFAULT_LEGACY_VERSION)
        return InRequest(ident, method, params, era, version, {}, {})
    duplicated = raw_headers and (find_duplicated_routing_header(raw_headers) or _duplicated_param(raw_headers))
    if duplicated:
        raise BadMessage(HEADER_MISMATCH, f"{duplicated} header appears more than once", id=ident)
    try:
        route = classify_inbound_request(message, headers=headers)
        if isinstance(route, InboundModernRoute):
            _check_task_header(method, params or {}, headers, ident)
    except ValueError:
        # The SDK's decoder does not expect letters beyond ASCII in a base64 header value.
        raise BadMessage(HEADER_MISMATCH, f"{MCP_NAME_HEADER} header is not readable", id=ident) from None
    if isinstance(route, InboundLadderRejection):
        raise BadMessage(route.code, route.message, route.data, id=ident)
    if not isinstance(route.client_capabilities, dict):
        raise BadMessage(INVALID_PARAMS, "clientCapabilities must be an object", id=ident)
    info: Any = route.client_info
    return InRequest(
        ident,
        method,
        params,
        era,
        route.protocol_version,
        route.client_capabilities,
        info if isinstance(info, dict) else {},
    )


def check_introduction(said: Any, ident: RequestId) -> None:
    """Refuse a client that says too much of itself.

    Raises:
        BadMessage: -32602.
    """
    if len(dumps(said)) > LARGEST_INTRODUCTION:
        text = f"capabilities and clientInfo are larger than {LARGEST_INTRODUCTION} bytes"
        raise BadMessage(INVALID_PARAMS, text, id=ident)


def _duplicated_param(raw_headers: Sequence[tuple[str, str]]) -> str | None:
    """A `Mcp-Param-*` header that came more than once: readers would disagree about its value (SEP-2243)."""
    params = Counter(name.lower() for name, _ in raw_headers if name.lower().startswith(PARAM_PREFIX))
    return next((name for name, times in params.items() if times > 1), None)


def _check_task_header(method: str, params: Json, headers: Mapping[str, str], ident: RequestId) -> None:
    """The tasks extension routes by `Mcp-Name` too (SEP-2663, Routing headers), which the SDK's ladder leaves out."""
    name = headers.get(MCP_NAME_HEADER)
    if method.startswith("tasks/") and name is not None and decode_header_value(name) != params.get("taskId"):
        raise BadMessage(HEADER_MISMATCH, f"{MCP_NAME_HEADER} header does not match the body's task id", id=ident)


def _check_notification_version(headers: Mapping[str, str]) -> None:
    """A modern notification is accepted and dropped, at a version that is served (the headers are all there is)."""
    rejection = unsupported_protocol_version_rejection(headers.get(MCP_PROTOCOL_VERSION_HEADER, ""))
    if rejection is not None:
        raise BadMessage(rejection.code, rejection.message, rejection.data)
