"""A server with sign-in that is not ours: the SDK's own authorization server, with a page to consent on.

The clients of these stories are tried on it, so that a story that fails on the gateway tells of the gateway.
"""

import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tests.stories.browser import Browser
from tests.stories.gateway import serving

SCOPE = "mcp"
FOREVER = 2**31
PAGE = """<!doctype html><html lang=en><link rel=icon href="data:,"><title>Consent</title>
<h1>Consent</h1><form method=post><button>Allow</button></form></html>"""


class Provider(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    """Keeps everything in memory, and never lets anything expire. `events` says what happened, in order."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self._clients: dict[str, OAuthClientInformationFull] = {}
        self._asked: dict[str, tuple[str, AuthorizationParams]] = {}
        self._codes: dict[str, AuthorizationCode] = {}
        self._refresh: dict[str, RefreshToken] = {}
        self._access: dict[str, AccessToken] = {}

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self._clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        self.events.append("registered")
        self._clients[str(client_info.client_id)] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        ticket = secrets.token_urlsafe()
        self._asked[ticket] = str(client.client_id), params
        return f"/consent?ticket={ticket}"

    async def consent(self, request: Request) -> Response:
        """The page, and what its button does."""
        client_id, params = self._asked[request.query_params["ticket"]]
        if request.method == "GET":
            return HTMLResponse(PAGE)
        self.events.append("consented")
        code = AuthorizationCode(
            code=secrets.token_urlsafe(),
            scopes=params.scopes or [SCOPE],
            expires_at=FOREVER,
            client_id=client_id,
            **params.model_dump(
                include={"code_challenge", "redirect_uri", "redirect_uri_provided_explicitly", "resource"}
            ),
        )
        self._codes[code.code] = code
        back = construct_redirect_uri(str(params.redirect_uri), code=code.code, state=params.state)
        return RedirectResponse(back, 302)

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        return self._codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        del self._codes[authorization_code.code]
        return self._issue(authorization_code, authorization_code.scopes)

    async def load_refresh_token(self, client: OAuthClientInformationFull, refresh_token: str) -> RefreshToken | None:
        return self._refresh.get(refresh_token)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        self.events.append("refreshed")
        del self._refresh[refresh_token.token]
        return self._issue(refresh_token, scopes)

    async def load_access_token(self, token: str) -> AccessToken | None:
        return self._access.get(token)

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        self.events.append("revoked")
        self._access.pop(token.token, None)
        self._refresh.pop(token.token, None)

    def _issue(self, given: AuthorizationCode | RefreshToken, scopes: list[str]) -> OAuthToken:
        access, refresh = secrets.token_urlsafe(), secrets.token_urlsafe()
        about = {"client_id": given.client_id, "scopes": scopes, "resource": given.resource}
        self._access[access] = AccessToken(token=access, **about)
        self._refresh[refresh] = RefreshToken(token=refresh, **about)
        return OAuthToken(access_token=access, refresh_token=refresh, expires_in=3600, scope=" ".join(scopes))


@dataclass(frozen=True)
class Elsewhere:
    """One that is ready. `url` is its endpoint; its one tool is `add(a, b)`."""

    origin: str
    url: str
    provider: Provider

    async def consent(self, browser: Browser, url: str) -> None:
        """Allow what the authorization URL asks for, in the browser."""
        await browser.visit(url)
        await browser.press("Allow")


@asynccontextmanager
async def elsewhere() -> AsyncIterator[Elsewhere]:
    """Serve it until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
    provider = Provider()
    settings = AuthSettings(
        issuer_url=origin,
        resource_server_url=f"{origin}/mcp",
        required_scopes=[SCOPE],
        client_registration_options=ClientRegistrationOptions(enabled=True, valid_scopes=[SCOPE]),
        revocation_options=RevocationOptions(enabled=True),
        validate_token_resource=True,
    )
    server = MCPServer("elsewhere", auth_server_provider=provider, auth=settings, log_level="WARNING")
    server.tool("add")(_add)
    server.custom_route("/consent", methods=["GET", "POST"])(provider.consent)
    async with serving(server.streamable_http_app(), listener):
        yield Elsewhere(origin, f"{origin}/mcp", provider)


def _add(a: int, b: int) -> int:
    return a + b
