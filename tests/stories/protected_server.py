"""An MCP server that wants tokens, as a fixture: RFC 9728 metadata, 401 and 403 with challenges, audience checked.

Tokens are JWTs of the one authorization server that it names; its keys are asked for once, so that it goes on while
that server is down.
"""

import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast, get_args

import anyio
import httpx2
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.lowlevel.server import Server
from mcp_types import RequestParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.conformance.everything.call import Call, Context, Json, tool
from tests.conformance.everything.content import result, text
from tests.conformance.everything.eras import Era, gate
from tests.stories.gateway import serving

BASIC, FURTHER = SCOPES = ("mcp:use", "mcp:publish")
METADATA = "/.well-known/oauth-protected-resource/mcp"
NEEDS: dict[str, str] = {"publish": FURTHER}
"""Tools that need more than `BASIC`."""


@dataclass
class Protected:
    """The server. `issuer` is its authorization server, to be set before anybody calls.

    `served` are the claims of the token of each request that was let in, `headers` the headers that came with it,
    `refused` how many requests were not, `keys` every `X-Api-Key` that came, let in or not. `banned` are the ids of
    tokens that are refused whatever they say.
    """

    issuer: str = ""
    url: str = ""
    served: list[Json] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    refused: int = 0
    banned: set[str] = field(default_factory=set)
    held: anyio.Event = field(default_factory=anyio.Event)
    released: anyio.Event = field(default_factory=anyio.Event)
    _keys: KeySet | None = None

    async def claims(self, token: str) -> Json | None:
        """What a token says, if it is one for this server that is good now."""
        keys = await self._keyset()
        try:
            claims: Json = jwt.decode(token, keys, algorithms=["ES256"]).claims
        except (JoseError, ValueError):
            return None
        audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        good = claims["iss"] == self.issuer and self.url in audience and claims["exp"] > time.time()
        return claims if good and claims["jti"] not in self.banned else None

    @property
    def tokens(self) -> set[str]:
        """The ids of all tokens that were let in so far."""
        return {claims["jti"] for claims in self.served}

    def ban(self) -> None:
        """Refuse all tokens that were let in so far, as if they had been revoked."""
        self.banned |= self.tokens

    async def _keyset(self) -> KeySet:
        if self._keys is None:
            async with httpx2.AsyncClient() as http:
                answer = await http.get(f"{self.issuer}/jwks")
            self._keys = KeySet.import_key_set(answer.raise_for_status().json())
        return self._keys

    def tools(self) -> dict[str, Any]:
        """Its tools by name."""
        made = [
            tool("whoami", "Says whose token it was called with", _whoami),
            tool("slow", "Waits until it is released", self._slow),
            tool("publish", "Needs a further scope", _whoami),
        ]
        return {one.name: one for one in made}

    async def _slow(self, call: Call) -> Json:
        self.held.set()
        await self.released.wait()
        return await _whoami(call)


async def _whoami(call: Call) -> Json:
    """The user of the token that came with this very request."""
    claims = call.ctx.request.scope["claims"]
    return {**result(text(claims["sub"])), "structuredContent": {"user": claims["sub"], "scope": claims["scope"]}}


class _Guarded:
    """The app behind the check of tokens, and the metadata before it."""

    def __init__(self, app: ASGIApp, server: Protected) -> None:
        self._app, self._server = app, server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        if request.url.path != "/mcp":
            await self._metadata(request.url.path)(scope, receive, send)
            return
        body = await request.body()
        answer = await self._refusal(request, body)
        if answer is None:
            await self._app(scope, _replay(body, receive), send)
        else:
            await answer(scope, receive, send)

    def _metadata(self, path: str) -> Response:
        if path != METADATA:
            return JSONResponse({"error": "not_found"}, status_code=404)
        server = self._server
        about = {"resource": server.url, "authorization_servers": [server.issuer], "scopes_supported": [BASIC]}
        return JSONResponse(about)

    async def _refusal(self, request: Request, body: bytes) -> Response | None:
        server = self._server
        server.keys |= set(request.headers.getlist("x-api-key"))
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        claims = await server.claims(token) if scheme.lower() == "bearer" else None
        if claims is None:
            server.refused += 1
            return self._challenge(401, BASIC, error="invalid_token" if token else "")
        needed = _needed(body)
        if needed not in str(claims.get("scope", "")).split():
            server.refused += 1
            return self._challenge(403, needed, error="insufficient_scope")
        request.scope["claims"] = claims
        server.served.append(claims)
        server.headers.append(dict(request.headers))
        return None

    def _challenge(self, status: int, scope: str, error: str) -> Response:
        said = {"error": error, "scope": scope, "resource_metadata": self._server.url.replace("/mcp", METADATA)}
        words = ", ".join(f'{name}="{value}"' for name, value in said.items() if value)
        return JSONResponse({"error": error}, status_code=status, headers={"WWW-Authenticate": f"Bearer {words}"})


def _needed(body: bytes) -> str:
    """The scope that a message takes."""
    message = json.loads(body) if body else {}
    named = (message.get("params") or {}).get("name") if message.get("method") == "tools/call" else None
    return NEEDS.get(str(named), BASIC)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body which was read already, then what comes after it."""
    told = False

    async def again() -> Any:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _typed(handle: Callable[[Call], Awaitable[Json]]) -> Callable[[Context, RequestParams], Awaitable[Json]]:
    async def handler(ctx: Context, _params: RequestParams) -> Json:
        call = Call(ctx)
        answer = await handle(call)
        return {"resultType": "complete", **answer} if call.modern else answer

    return handler


def _built(server: Protected) -> Server[Any]:
    tools = server.tools()

    async def list_tools(_call: Call) -> Json:
        return {"tools": [one.definition for one in tools.values()]}

    async def call_tool(call: Call) -> Json:
        answer: Json = await tools[call.params["name"]].run(call)
        return answer

    uncached = dict.fromkeys(get_args(CacheableMethod), CacheHint(ttl_ms=0, scope="private"))
    built: Server[Any] = Server("protected", version="1.0.0", cache_hints=uncached)
    built.add_request_handler("tools/list", RequestParams, _typed(list_tools))
    built.add_request_handler("tools/call", RequestParams, _typed(call_tool))
    return built


@asynccontextmanager
async def protected(era: str = "both") -> AsyncIterator[Protected]:
    """Serve it until the block ends, on a port of its own; `issuer` has to be set by whoever opens it."""
    server = Protected()
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    server.url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    app = gate(_built(server).streamable_http_app(), cast(Era, era))
    async with serving(_Guarded(app, server), listener):
        yield server
        server.released.set()
