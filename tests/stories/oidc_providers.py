"""Two OpenID providers that companies might have, in processes of their own, and how a person signs in there."""

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from subprocess import PIPE
from typing import Any

import anyio
import httpx2

from tests.stories.browser import Browser
from tests.stories.node import PROGRAMS, TOOLS
from tests.stories.upstreams import READY, running

Claims = Mapping[str, Any]

ADA: Claims = {
    "sub": "ada-1815",
    "email": "ada@example.com",
    "email_verified": True,
    "name": "Ada Lovelace",
    "groups": ["engineers"],
}
BOB: Claims = {"sub": "bob-1", "email": "bob@elsewhere.test", "email_verified": True, "name": "Bob", "groups": []}
"""People the providers know unless a story names others."""

SECRET = "of-the-gateway-at-this-provider-0123456789"


@dataclass(frozen=True)
class OidcProvider:
    """One that is ready, with one confidential client (`client_secret_basic`) at it.

    Scopes `openid`, `email`, `profile`; the one from npm has `groups` as a scope too, the mock always tells them.
    """

    kind: str
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)

    async def sign_in(self, browser: Browser, sub: str) -> None:
        """On the provider's page that the browser shows, sign in as one of its people and allow everything."""
        page = browser.page
        if self.kind == "mock":
            await browser.press(sub)
            return
        await page.locator("input[name=login]").fill(sub)
        await page.locator("input[name=password]").fill("any")
        await browser.press("Sign-in")
        await browser.press("Continue")

    async def change(self, person: Claims) -> None:
        """Say of one of its people what these claims say from now on; `sub` names them."""
        claims = {name: value for name, value in person.items() if name != "sub"}
        where = "users" if self.kind == "mock" else "people"
        async with httpx2.AsyncClient() as http:
            (await http.put(f"{self.issuer}/{where}/{person['sub']}", json=claims)).raise_for_status()

    async def refuse(self, browser: Browser) -> None:
        """On the provider's page that the browser shows, do not sign in; the provider tells whoever sent us."""
        await browser.press("Deny" if self.kind == "mock" else "[ Cancel ]")


@asynccontextmanager
async def oidc_provider_mock(redirect_uri: str, *people: Claims) -> AsyncIterator[OidcProvider]:
    """PyPI's `oidc-provider-mock`: RS256, no PKCE of its own, claims in the ID token."""
    claims = [json.dumps(dict(one)) for one in people or (ADA, BOB)]
    async with running("tests.stories.programs.oidc_mock", *claims) as served, httpx2.AsyncClient() as http:
        answer = await http.post(f"{served.url}/oauth2/clients", json={"redirect_uris": [redirect_uri]})
        client = answer.raise_for_status().json()
        yield OidcProvider("mock", served.url, client["client_id"], client["client_secret"])


@asynccontextmanager
async def npm_oidc_provider(redirect_uri: str, *people: Claims) -> AsyncIterator[OidcProvider]:
    """npm's `oidc-provider`: ES256, PKCE required, `iss` in its answers (RFC 9207), rotating refresh tokens."""
    client = {"client_id": "gateway", "client_secret": SECRET, "redirect_uris": [redirect_uri]}
    known = {one["sub"]: {name: value for name, value in one.items() if name != "sub"} for one in people or (ADA, BOB)}
    command = ["node", str(PROGRAMS / "oidc_provider.mjs"), json.dumps(client), json.dumps(known)]
    environment = {**os.environ, "PORTKEY_MCP_TOOLS": str(TOOLS)}
    process = await anyio.open_process(command, env=environment, stdout=PIPE, stderr=None)
    try:
        assert process.stdout is not None
        said = b""
        with anyio.fail_after(READY):
            while b"\n" not in said:
                said += await process.stdout.receive()
        yield OidcProvider("npm", said.decode().split()[1], client["client_id"], SECRET)
    finally:
        process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()
