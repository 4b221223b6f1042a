"""The endpoints that programs ask: metadata wherever clients look for it, `/token`, `/register`, `/revoke`,
`/introspect`. JSON only, no cookies. `/authorize` is a page and lives with the pages.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from portkey_mcp.activity.acts import Act
from portkey_mcp.addresses import PROTECTED, place_of
from portkey_mcp.errors import StoreDown
from portkey_mcp.oauth.answers import nothing_here, preflight, public, refused, told
from portkey_mcp.oauth.authorization_request import Parameters, needed, one, parameters
from portkey_mcp.oauth.client import Client
from portkey_mcp.oauth.grants import Grant
from portkey_mcp.oauth.metadata import openid_metadata, resource_metadata, server_metadata
from portkey_mcp.oauth.refusal import OAuthRefusal
from portkey_mcp.oauth.server import OAuthServer
from portkey_mcp.oauth.token_endpoint import Assert, TokenEndpoint
from portkey_mcp.oauth.token_endpoint import Request as TokenRequest
from portkey_mcp.wire import MalformedJson, loads

LARGEST: Final = 64 * 1024
"""Bytes of a request body."""

WELL_KNOWN: Final = "/.well-known"
FORM: Final = "application/x-www-form-urlencoded"


def router(server: OAuthServer, assertions: Assert) -> APIRouter:
    """The routes. `assertions` exchanges assertions of enterprises for tokens."""
    desk = _Desk(server, TokenEndpoint(server, assertions))
    routes = APIRouter(include_in_schema=False)
    routes.add_api_route(f"{WELL_KNOWN}/{{rest:path}}", desk.well_known, methods=["GET", "HEAD", "OPTIONS"])
    routes.add_api_route(f"/{{place:path}}{WELL_KNOWN}/openid-configuration", desk.appended, methods=["GET", "HEAD"])
    for path, answer in (
        ("/token", desk.token),
        ("/register", desk.register),
        ("/revoke", desk.revoke),
        ("/introspect", desk.introspect),
    ):
        routes.add_api_route(path, _answering(answer), methods=["POST"])
        routes.add_api_route(path, _preflight, methods=["OPTIONS"])
        routes.add_api_route(path, _only_post, methods=["GET", "HEAD"])
    return routes


Answer = Callable[[Request], Awaitable[Response]]


def _answering(answer: Answer) -> Answer:
    """The same, with every refusal told by the letter."""

    async def answered(request: Request) -> Response:
        basic = request.headers.get("authorization", "").lower().startswith("basic ")
        try:
            return await answer(request)
        except (OAuthRefusal, StoreDown) as error:
            return refused(error, basic=basic)

    return answered


async def _preflight() -> Response:
    return preflight()


async def _only_post() -> Response:
    words = "send a POST request"
    return told({"error": "invalid_request", "error_description": words}, 405, {"Allow": "POST, OPTIONS"})


class _Desk:
    """Answers the requests."""

    def __init__(self, server: OAuthServer, tokens: TokenEndpoint) -> None:
        self._server = server
        self._tokens = tokens

    async def well_known(self, request: Request, rest: str) -> Response:
        """A metadata document. Clients look under the path of the endpoint, too; nothing here is ever a page."""
        if self._is_silent(request):
            return nothing_here()
        if request.method == "OPTIONS":
            return preflight()
        name, _, path = rest.partition("/")
        host, alias = request.headers.get("host", ""), self._alias(request)
        issuer, trust = self._server.issuer_at(host), self._server.trust()
        if f"{WELL_KNOWN}/{name}" == PROTECTED:
            return self._protected(f"/{path}" if path else "", issuer, alias)
        if not self._is_ours(path):
            return nothing_here()
        if name == "oauth-authorization-server":
            return public(server_metadata(issuer, trust))
        if name == "openid-configuration":
            return public(openid_metadata(issuer, trust))
        return nothing_here()

    async def appended(self, request: Request, place: str) -> Response:
        """The document of an OpenID provider behind the path of an endpoint, where some clients look last."""
        if self._is_silent(request) or not self._is_ours(place):
            return nothing_here()
        return public(openid_metadata(self._server.issuer_at(request.headers.get("host", "")), self._server.trust()))

    def _protected(self, path: str, issuer: str, alias: str) -> Response:
        """The document of one endpoint, or of the origin itself."""
        prefix = self._server.addresses.prefix
        below = path[len(prefix) :] if prefix and f"{path}/".lower().startswith(f"{prefix}/".lower()) else path
        if below in ("", "/"):
            return public(resource_metadata(issuer, issuer))
        if place_of(below) is None:
            return nothing_here()
        return public(resource_metadata(self._server.addresses.resource(below, alias), issuer))

    def _is_ours(self, path: str) -> bool:
        """Whether a document belongs under this path: the issuer's own, or that of an endpoint."""
        path = f"/{path.strip('/')}".lower()
        prefix = self._server.addresses.prefix.lower()
        return path in ("/", prefix) or place_of(path.removeprefix(prefix)) is not None

    def _is_silent(self, request: Request) -> bool:
        return self._server.is_silent(request.headers.get("host", ""))

    def _alias(self, request: Request) -> str:
        return self._server.alias_of(request.headers.get("host", ""))

    async def token(self, request: Request) -> Response:
        """Codes, refresh tokens and assertions for tokens."""
        client, given = await self._client(request)
        issuer = self._server.issuer_at(request.headers.get("host", ""))
        asked = TokenRequest(client, given, issuer, self._server.address_of(request.scope))
        return told(await self._tokens.issue(asked))

    async def register(self, request: Request) -> Response:
        """Take a client in (RFC 7591)."""
        self._refuse_silent(request)
        address = self._server.address_of(request.scope)
        try:
            said = loads(await _body(request))
        except MalformedJson as error:
            raise OAuthRefusal("invalid_client_metadata", "the body is not a JSON object") from error
        if not isinstance(said, dict):
            raise OAuthRefusal("invalid_client_metadata", "the body is not a JSON object")
        try:
            answer = await self._server.registration.register(said, address)
        except OAuthRefusal as refusal:
            self._server.note(Act("register", address=address, outcome="refused", why=str(refusal)))
            raise
        self._server.note(Act("register", address=address, client=answer["client_id"], subject=answer["client_name"]))
        return told(answer, 201)

    async def revoke(self, request: Request) -> Response:
        """End what a token hangs on (RFC 7009). Whoever has a public client's token may; one unknown is no error."""
        given = await self._form(request)
        identified = "client_id" in given or "authorization" in request.headers
        client = await self._server.clients.authenticated(given, request.headers) if identified else None
        good = await self._server.issuing.read(needed(given, "token"), replaced=True)
        if good is not None:
            granted = good.grant.granted
            if client is None:
                client = await self._server.clients.identified(granted.client)
            if client.id != granted.client or (not identified and not client.is_public):
                raise OAuthRefusal("invalid_grant", "the token is another client's")
            await self._server.grants.end(good.grant.id)
            self._note_end(request, good.grant)
        return told({})

    def _note_end(self, request: Request, grant: Grant) -> None:
        granted, address = grant.granted, self._server.address_of(request.scope)
        self._server.note(
            Act("revoke", None, granted.person, address, granted.workspace, grant.id, client=granted.client)
        )

    async def introspect(self, request: Request) -> Response:
        """What a token is good for (RFC 7662), for a client with a secret: its own, or any where it is declared."""
        client, given = await self._client(request)
        if client.is_public:
            raise OAuthRefusal("invalid_client", "introspection is for clients with a secret", status=401)
        good = await self._server.issuing.read(needed(given, "token"))
        if good is None or (client.kind != "declared" and good.grant.granted.client != client.id):
            return told({"active": False})
        if await self._server.tokens.owner(good) is None:
            return told({"active": False})
        granted = good.grant.granted
        facts: dict[str, Any] = {
            "active": True,
            "scope": " ".join(good.scopes),
            "client_id": granted.client,
            "token_type": "Bearer" if good.kind == "access" else "refresh_token",
            "sub": granted.person,
            "iss": granted.issuer,
            "iat": int(good.created.timestamp()),
            "exp": int(good.expires.timestamp()),
        }
        if granted.resource:
            facts["aud"] = granted.resource
        return told(facts)

    async def _client(self, request: Request) -> tuple[Client, Parameters]:
        given = await self._form(request)
        return await self._server.clients.authenticated(given, request.headers), given

    async def _form(self, request: Request) -> Parameters:
        """The form of a request, each parameter once (RFC 6749, section 3.2)."""
        self._refuse_silent(request)
        if not request.headers.get("content-type", "").lower().startswith(FORM):
            raise OAuthRefusal("invalid_request", f"send {FORM}")
        try:
            given = parameters((await _body(request)).decode())
        except UnicodeDecodeError:
            raise OAuthRefusal("invalid_request", "the form is not UTF-8") from None
        for name in given:
            if name != "resource":
                one(given, name)
        return given

    def _refuse_silent(self, request: Request) -> None:
        if self._is_silent(request):
            raise OAuthRefusal("not_found", "there is nothing here", status=404)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise OAuthRefusal("invalid_request", f"the body has more than {LARGEST} bytes", status=413)
    return bytes(body)
