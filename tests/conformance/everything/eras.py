"""Gates in front of the fixture server that make it live in one era only, as a real server of that era would."""

import json
from typing import Literal

from mcp_types import INVALID_REQUEST, UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

Json = dict[str, object]
Era = Literal["legacy", "modern", "both"]


def _error(identifier: object, code: int, message: str, data: Json | None = None) -> JSONResponse:
    error: Json = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return JSONResponse({"jsonrpc": "2.0", "id": identifier, "error": error}, status_code=400)


class LegacyOnly:
    """Refuse a version it never heard of, in the words of the SDK's 1.x server."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            version = Request(scope).headers.get("mcp-protocol-version")
            if version is not None and version not in HANDSHAKE_PROTOCOL_VERSIONS:
                known = ", ".join(HANDSHAKE_PROTOCOL_VERSIONS)
                message = f"Bad Request: Unsupported protocol version: {version}. Supported versions: {known}"
                await _error("server-error", INVALID_REQUEST, message)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class ModernOnly:
    """Refuse the handshake and everything of its era with -32022; GET and DELETE do not exist (405)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope, receive)
            if request.method != "POST":
                await Response(status_code=405, headers={"Allow": "POST"})(scope, receive, send)
                return
            version = request.headers.get("mcp-protocol-version")
            if version is None or version in HANDSHAKE_PROTOCOL_VERSIONS:
                await (await _unsupported(request, version))(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _unsupported(request: Request, version: str | None) -> JSONResponse:
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = {}
    message = body if isinstance(body, dict) else {}
    params = message.get("params")
    asked = params.get("protocolVersion") if isinstance(params, dict) else None
    data: Json = {"supported": list(MODERN_PROTOCOL_VERSIONS), "requested": version or asked or "2025-03-26"}
    return _error(message.get("id"), UNSUPPORTED_PROTOCOL_VERSION, "Unsupported protocol version", data)


def gate(app: ASGIApp, era: Era) -> ASGIApp:
    """The app as a server of this era shows it."""
    if era == "legacy":
        return LegacyOnly(app)
    return ModernOnly(app) if era == "modern" else app
