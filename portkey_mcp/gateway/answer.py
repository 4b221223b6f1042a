"""Every refusal and failure, turned into what the client sees. The one table; nothing else maps errors.

| raised | a tool call | any other request | HTTP, modern era | HTTP, legacy era |
|---|---|---|---|---|
| BadMessage (no usable message) | error, its code | error, its code | 400, 404 | 400 |
| InvalidRequest | error, its code | error, its code | by code | 200 |
| Refused (by policy) | result, `isError` | error 1001 | 200 | 200 |
| ConnectNeeded (an account) | result, `isError` | error 1001 | 200 | 200 |
| ConnectNeeded, to a legacy client that opens URLs | error -32042 | error -32042 | | 200 |
| UpstreamError | error, as it came | error, as it came | by code | 200 |
| UpstreamDown, UpstreamTimeout | result, `isError` | error -32603 | 200 | 200 |
| NotFound | | | 404 | 404 |
| Unauthenticated / Forbidden | | | 401 / 403 | 401 / 403 |
| Mistake (a reference that cannot be resolved) | as UpstreamDown | | | |
| anything else | error -32603, no details; the log has them | | 200 | 200 |
"""

import logging
from typing import Final

from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS
from mcp_types import INTERNAL_ERROR, URL_ELICITATION_REQUIRED

from portkey_mcp.errors import (
    ConnectNeeded,
    Forbidden,
    InvalidRequest,
    Mistake,
    NotFound,
    Refused,
    Unauthenticated,
    UpstreamDown,
    UpstreamError,
)
from portkey_mcp.gateway.inbound import BadMessage
from portkey_mcp.gateway.wanting import Told, said
from portkey_mcp.model import Era
from portkey_mcp.wire import Json

log = logging.getLogger(__name__)

ERROR_META: Final = "com.portkey-mcp/error"
"""`_meta` member of a failed call's result: what a program needs beside the text a model reads."""

REFUSED: Final = 1001
"""The code of what policy refuses where there is no tool result to say it in: of no protocol's, as protocols advise."""


def outcome_of(error: Exception, method: str, era: Era) -> Json:
    """The JSON-RPC outcome of a request that failed: `{"error": …}`, or `{"result": …}` with `isError`."""
    if isinstance(error, InvalidRequest):
        return {"error": rpc_error(error.code, error.message, error.data)}
    if isinstance(error, UpstreamError):
        return {"error": error.error}
    if isinstance(error, Refused):
        return _refused(error, method, era)
    if isinstance(error, ConnectNeeded):
        return _unconnected(error, method, era)
    if isinstance(error, UpstreamDown):
        return _down(error, method, era)
    if isinstance(error, Mistake):
        return _down(UpstreamDown("", f"its registration is not usable: {error.what}"), method, era)
    log.error("a %s call failed unexpectedly", method[:64], exc_info=error)
    return {"error": rpc_error(INTERNAL_ERROR, "Internal error of the gateway; its log says more")}


def _down(error: UpstreamDown, method: str, era: Era) -> Json:
    facts: Json = {"server": error.server, "reason": error.reason}
    if error.retry_after is not None:
        facts["retryAfterSeconds"] = round(error.retry_after, 1)
    text = f"{error}."
    if error.sent:
        text += " The call may have run; check before you repeat it."
    elif error.retry_after is not None:
        text += f" Try again in {max(1, round(error.retry_after))} s."
    return _said(text, INTERNAL_ERROR, facts, method, era)


def _refused(refused: Refused, method: str, era: Era) -> Json:
    facts: Json = {"reason": refused.reason, **refused.data}
    if refused.retry_after is not None:
        facts["retryAfterSeconds"] = round(refused.retry_after, 1)
    return _said(refused.text, REFUSED, facts, method, era)


def _unconnected(needed: ConnectNeeded, method: str, era: Era) -> Json:
    if isinstance(needed, Told) and needed.elicitation:
        asked = {"mode": "url", "elicitationId": needed.elicitation, "url": needed.url, "message": needed.text}
        return {"error": rpc_error(URL_ELICITATION_REQUIRED, needed.text, {"elicitations": [asked]})}
    facts: Json = {"reason": "account", "server": needed.server, **({"url": needed.url} if needed.url else {})}
    return _said(said(needed), REFUSED, facts, method, era)


def _said(text: str, code: int, facts: Json, method: str, era: Era) -> Json:
    """A failure that a model can read where it called a tool (2026-07-28 tools, Error Handling), else an error."""
    if method != "tools/call":
        return {"error": rpc_error(code, text, facts)}
    result: Json = {"content": [{"type": "text", "text": text}], "isError": True, "_meta": {ERROR_META: facts}}
    return {"result": {"resultType": "complete", **result} if era == "modern" else result}


def rpc_error(code: int, message: str, data: object = None) -> Json:
    """A JSON-RPC error object; data is left out when there is none."""
    return {"code": code, "message": message, **({} if data is None else {"data": data})}


def status_of(outcome: Json, era: Era) -> int:
    """The HTTP status of an outcome that was not streamed (2026-07-28 streamable-http; legacy answers are 200)."""
    if era == "legacy" or "error" not in outcome:
        return 200
    code = outcome["error"].get("code")
    return ERROR_CODE_HTTP_STATUS.get(code, 200) if isinstance(code, int) else 200


def http_status(error: Exception) -> int:
    """The HTTP status of a request that was turned away before it became a call."""
    if isinstance(error, BadMessage):
        return ERROR_CODE_HTTP_STATUS.get(error.code, 400)
    for kind, status in ((NotFound, 404), (Unauthenticated, 401), (Forbidden, 403)):
        if isinstance(error, kind):
            return status
    return 500
