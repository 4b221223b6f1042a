"""How the OAuth server's endpoints answer: JSON that nobody keeps, and one table for every way to say no.

Scripts of any site may ask: nothing here looks at cookies, so a browser lends nobody anything (CORS, Fetch standard).
"""

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from portkey_mcp.errors import StoreDown
from portkey_mcp.oauth.refusal import INVALID_CLIENT, OAuthRefusal
from portkey_mcp.wire import dumps

NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff"}
ANYBODY: Final = {"Access-Control-Allow-Origin": "*"}
PREFLIGHT: Final = {
    **ANYBODY,
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, MCP-Protocol-Version",
    "Access-Control-Max-Age": "600",
}
PAUSE: Final = 5
"""Seconds after which to try again while the store is down."""


def told(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer that nobody keeps."""
    return Response(dumps(content), status, {**NO_STORE, **ANYBODY, **(headers or {})}, "application/json")


def public(content: Any, seconds: int = 300) -> Response:
    """A JSON document that anybody may keep for a while."""
    headers = {**ANYBODY, "Cache-Control": f"public, max-age={seconds}", "X-Content-Type-Options": "nosniff"}
    return Response(dumps(content), 200, headers, "application/json")


def preflight() -> Response:
    """Yes, scripts may ask."""
    return Response(status_code=204, headers=PREFLIGHT)


def nothing_here() -> Response:
    """For what does not exist: never a page, which clients would try to read (oauth.md 4.1)."""
    return told({"error": "not_found", "error_description": "there is nothing here"}, 404)


def refused(error: OAuthRefusal | StoreDown, *, basic: bool = False) -> Response:
    """The answer to a request that is refused; `basic` says that the client used HTTP Basic (RFC 6749, section 5.2)."""
    if isinstance(error, StoreDown):
        words = "the gateway cannot reach its records just now; try again"
        return told({"error": "server_error", "error_description": words}, 503, {"Retry-After": str(PAUSE)})
    headers: dict[str, str] = {}
    if error.error == INVALID_CLIENT and basic:
        headers["WWW-Authenticate"] = 'Basic realm="portkey-mcp"'
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return told({"error": error.error, "error_description": str(error)}, error.status, headers)
