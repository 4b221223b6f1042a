"""JSON-RPC messages of one hop: numbering a request, restoring its progress token, reading its answer. Pure."""

from dataclasses import dataclass
from typing import Any

from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp_types import CLIENT_CAPABILITIES_META_KEY, PROTOCOL_VERSION_META_KEY

from portkey_mcp.errors import UpstreamDown, UpstreamError
from portkey_mcp.wire import Json

PROGRESS = "notifications/progress"
CANCELLED = "notifications/cancelled"
PING = "ping"

INTERNAL_ERROR = -32603
METHOD_NOT_FOUND = -32601

_ABSENT: Any = object()


@dataclass(slots=True)
class Numbered:
    """A request as it goes out on this hop. `token` is the caller's own progress token, which `restore` puts back."""

    id: int
    message: Json
    token: Any = _ABSENT

    def restore(self, notification: Json) -> Json:
        """The notification with the caller's progress token, value and type; any other one as it is."""
        params = notification.get("params")
        if self.token is _ABSENT or notification.get("method") != PROGRESS or not isinstance(params, dict):
            return notification
        if not same_id(params.get("progressToken"), self.id):
            return notification
        return {**notification, "params": {**params, "progressToken": self.token}}

    def is_answered_by(self, message: Json) -> bool:
        """Whether a response that came on this request's own stream is its answer.

        An error without an id counts: the upstream could not read the id, and nothing else was asked there.
        """
        answered = message.get("id")
        if answered is None:
            return "error" in message
        return same_id(answered, self.id)


def number(call_id: int, method: str, params: Json | None) -> Numbered:
    """Make the request message; a progress token becomes the id, which is unique on the link."""
    message: Json = {"jsonrpc": "2.0", "id": call_id, "method": method}
    if params is None:
        return Numbered(call_id, message)
    meta = params.get("_meta")
    token = _ABSENT
    if isinstance(meta, dict) and "progressToken" in meta:
        token = meta["progressToken"]
        params = {**params, "_meta": {**meta, "progressToken": call_id}}
    message["params"] = params
    return Numbered(call_id, message, token)


def notification(method: str, params: Json | None) -> Json:
    """A notification message; None leaves `params` out."""
    return (
        {"jsonrpc": "2.0", "method": method}
        if params is None
        else {"jsonrpc": "2.0", "method": method, "params": params}
    )


def cancelled(call_id: int) -> Json:
    """The notification that cancels one request of ours."""
    return notification(CANCELLED, {"requestId": call_id, "reason": "the caller cancelled the request"})


def ended_subscription(call_id: int) -> Json:
    """The graceful end of a subscription, for servers that end it by a cancellation instead (protocol L2)."""
    result = {"resultType": "complete", "_meta": {SUBSCRIPTION_ID_META_KEY: call_id}}
    return {"jsonrpc": "2.0", "id": call_id, "result": result}


def with_envelope(params: Json | None, version: str) -> Json:
    """Stamp the modern envelope: this hop's protocol version, and empty capabilities only where there are none."""
    if not params:
        return {"_meta": {CLIENT_CAPABILITIES_META_KEY: {}, PROTOCOL_VERSION_META_KEY: version}}
    meta = params.get("_meta", {})
    if not isinstance(meta, dict):
        return params
    if CLIENT_CAPABILITIES_META_KEY in meta and meta.get(PROTOCOL_VERSION_META_KEY) == version:
        return params
    return {**params, "_meta": {CLIENT_CAPABILITIES_META_KEY: {}, **meta, PROTOCOL_VERSION_META_KEY: version}}


def bare(message: Json) -> Json:
    """A server's message as the corridor takes it: without what belongs to this hop."""
    return {name: value for name, value in message.items() if name not in ("jsonrpc", "id")}


def same_id(received: Any, ours: int) -> bool:
    """Whether an id that came back is ours; some upstreams turn numbers into strings."""
    return received == ours if isinstance(received, int) else received == str(ours)


def subscription_of(message: Json) -> Any:
    """The subscription id in a message's `params._meta`, None when it has none."""
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    return meta.get(SUBSCRIPTION_ID_META_KEY) if isinstance(meta, dict) else None


def result_of(message: Json, server: str) -> Json:
    """The result of a response.

    Raises:
        UpstreamError: it is an error response.
        UpstreamDown: it is neither a result object nor an error object.
    """
    result = message.get("result")
    if isinstance(result, dict):
        return result
    error = message.get("error")
    if isinstance(error, dict):
        raise UpstreamError(error)
    raise UpstreamDown(server, "it answered with something that is neither a result nor an error", sent=True)


def failure(code: int, text: str) -> Json:
    """The answer to a server's request that says no."""
    return {"error": {"code": code, "message": text}}
