"""An MCP server with an authorization server beside it, good as far as the doctor can see, and faults to switch on.

Its URL is what the Host header says: the test's own. It holds no state but the clients that registered.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from portkey_mcp.doctor.registering import CALLBACK, CLIENT_DOCUMENT

TOKEN = "a-token-that-is-good"
PATH = "/mcp"
Tool = dict[str, Any]


def tool(name: str) -> Tool:
    return {"name": name, "inputSchema": {"type": "object"}}


class Clinic:
    """The application. `faults` are names that the code below asks for; `prm` and `metadata` replace members."""

    def __init__(
        self,
        *faults: str,
        prm: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        tools: Iterable[Tool] = (tool("echo"), tool("add")),
        path: str = PATH,
        scheme: str = "http",
    ) -> None:
        self.faults, self.tools, self.path = set(faults), list(tools), path
        self._prm, self._metadata, self._scheme = prm or {}, metadata or {}, scheme
        self.clients: set[str] = {CLIENT_DOCUMENT}
        self.seen: list[tuple[str, str, str]] = []
        """Method, path and Authorization of every request."""
        self.app = Starlette(routes=[Route("/{path:path}", self._any, methods=["GET", "POST", "DELETE"])])

    async def _any(self, request: Request) -> Response:
        path = request.url.path
        self.seen.append((request.method, path, request.headers.get("authorization", "")))
        same = path if "slash" in self.faults else path.rstrip("/")
        same = same if "case" in self.faults else same.lower()
        if same == self.path:
            return await self._mcp(request)
        if path.startswith("/.well-known/"):
            return self._well_known(request, path)
        pages = {"/authorize": self._authorize, "/token": self._token, "/register": self._register}
        if path in pages:
            return await pages[path](request)
        return JSONResponse({"error": "not_found"}, 404)

    async def _mcp(self, request: Request) -> Response:
        origin, agent = self._origin(request), request.headers["user-agent"]
        if "redirect" in self.faults:
            return RedirectResponse(f"{origin}{self.path}/elsewhere", 307)
        if "waf" in self.faults and "Claude" in agent:
            return HTMLResponse("<!doctype html><title>Are you human?</title>", 403)
        for status in (403, 404, 405, 429, 503):
            if str(status) in self.faults:
                return JSONResponse({"error": "no"}, status)
        if "site" in self.faults:
            return HTMLResponse("<html>Welcome</html>")
        message = await request.json() if request.method == "POST" else {}
        lazy = "lazy" in self.faults and message.get("method") != "tools/list"
        wanted = not ("open" in self.faults or lazy)
        if wanted and request.headers.get("authorization") != f"Bearer {TOKEN}":
            return self._challenge(origin, request.headers.get("authorization", ""))
        if request.method != "POST":
            return Response(status_code=405)
        return self._answer(message)

    def _challenge(self, origin: str, sent: str) -> Response:
        if "iserror" in self.faults:
            result = {"isError": True, "content": [{"type": "text", "text": "Please sign in"}]}
            return JSONResponse({"jsonrpc": "2.0", "id": 1, "result": result})
        pointer = f"{origin}/.well-known/oauth-protected-resource{self.path}"
        said = f'Bearer resource_metadata="{pointer}", scope="tools"'
        if "no scope" in self.faults:
            said = f'Bearer resource_metadata="{pointer}"'
        if "error" in self.faults:
            said += ', error="invalid_token"'
        if "relative" in self.faults:
            said = 'Bearer resource_metadata="/.well-known/oauth-protected-resource", scope="tools"'
        if "no pointer" in self.faults:
            said = 'Bearer realm="mcp"'
        headers = {} if "no challenge" in self.faults else {"WWW-Authenticate": said}
        return JSONResponse(
            {"error": f"unauthorized: {sent}" if "repeats" in self.faults else "unauthorized"}, 401, headers
        )

    def _answer(self, message: dict[str, Any]) -> Response:
        method = message["method"]
        found: dict[str, Any] = {"tools": self.tools}
        if method == "server/discover" and "legacy" not in self.faults:
            found = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
        elif method == "initialize" and "modern" not in self.faults:
            info = {"name": "clinic", "version": "1"}
            found = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
        elif method.startswith("notifications/"):
            return Response(status_code=202)
        elif method != "tools/list":
            error = {"code": -32601, "message": "unknown method"}
            return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "error": error})
        headers = {"Mcp-Session-Id": "s1"} if method == "initialize" else {}
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": found}, headers=headers)

    def _well_known(self, request: Request, path: str) -> Response:
        origin = self._origin(request)
        if "spa" in self.faults:
            return HTMLResponse("<!DOCTYPE html><div id=root></div>")
        absent = JSONResponse({"error": "not_found"}, 404)
        if "open" in self.faults:
            return absent
        if path.startswith("/.well-known/oauth-protected-resource"):
            prm = {
                "resource": f"{origin}{self.path}",
                "authorization_servers": [origin],
                "scopes_supported": ["tools"],
                "bearer_methods_supported": ["header"],
            }
            return absent if "no prm" in self.faults else JSONResponse({**prm, **self._prm})
        if path != "/.well-known/oauth-authorization-server" or "no metadata" in self.faults:
            return absent
        metadata = {
            "issuer": origin,
            "authorization_endpoint": f"{origin}/authorize",
            "token_endpoint": f"{origin}/token",
            "registration_endpoint": f"{origin}/register",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_post"],
            "client_id_metadata_document_supported": True,
            "authorization_response_iss_parameter_supported": True,
            "scopes_supported": ["tools", "offline_access"],
        } | self._metadata
        if "issuer slash" in self.faults:
            metadata["issuer"] = f"{origin}/"
        return JSONResponse({name: value for name, value in metadata.items() if value is not None})

    async def _register(self, request: Request) -> Response:
        if "429" in self.faults or "register 429" in self.faults:
            return JSONResponse({"error": "too_many_requests"}, 429)
        sent = await request.json()
        self.clients.add("c-1")
        secret = {} if sent["token_endpoint_auth_method"] == "none" else {"client_secret": "never-shown"}
        return JSONResponse({**sent, "client_id": "c-1", **secret}, 201)

    async def _authorize(self, request: Request) -> Response:
        asked, issuer = request.query_params, self._origin(request)
        known = asked["client_id"] in self.clients and asked["redirect_uri"] == CALLBACK
        if not known and "open redirect" not in self.faults:
            return HTMLResponse("<html>Unknown client or redirect address</html>", 400)
        back: dict[str, str] = {}
        if "code" in self.faults:
            back = {"code": "given"}
        elif "code_challenge" not in asked and "no pkce" not in self.faults:
            back = {"error": "invalid_request", "error_description": "code_challenge is required"}
        elif "open redirect" in self.faults and not known:
            back = {"error": "access_denied"}
        if back:
            iss = {} if "no iss" in self.faults else {"iss": issuer}
            return RedirectResponse(
                f"{asked['redirect_uri']}?{urlencode({**back, **iss, 'state': asked['state']})}", 302
            )
        headers = {} if "framed" in self.faults else {"Content-Security-Policy": "frame-ancestors 'none'"}
        return HTMLResponse("<html>Sign in</html>", headers=headers)

    async def _token(self, request: Request) -> Response:
        headers = {} if "cached" in self.faults else {"Cache-Control": "no-store"}
        if "wants json" in self.faults:
            return JSONResponse({"detail": "Input should be a valid dictionary"}, 422)
        form = await request.form()
        if form["client_id"] not in self.clients and "lax token" not in self.faults:
            return JSONResponse({"error": "invalid_client"}, 401, headers)
        return JSONResponse({"error": "invalid_grant"}, 400, headers)

    def _origin(self, request: Request) -> str:
        return f"{self._scheme}://{request.headers['host']}"
