"""The OpenID providers of these stories, with a client that is not ours: what they really say of a person."""

import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import httpx2
import pytest
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.stories.browser import browser
from tests.stories.callback import callback
from tests.stories.oidc_providers import OidcProvider, npm_oidc_provider, oidc_provider_mock

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.usefixtures("one_chromium"),
    pytest.mark.outside("chromium", "node", "mcp-inspector"),
]

Start = Callable[[str], AbstractAsyncContextManager[OidcProvider]]
PROVIDERS = [oidc_provider_mock, npm_oidc_provider]


async def asked(provider: OidcProvider, scope: str, redirect_uri: str) -> tuple[AsyncOAuth2Client, str, str, str]:
    """A client, the URL to open, the verifier, and the state."""
    async with httpx2.AsyncClient() as http:
        about = (await http.get(f"{provider.issuer}/.well-known/openid-configuration")).json()
    assert about["issuer"] == provider.issuer
    client = AsyncOAuth2Client(
        provider.client_id,
        provider.client_secret,
        scope=scope,
        redirect_uri=redirect_uri,
        code_challenge_method="S256",
        token_endpoint=about["token_endpoint"],
    )
    client.metadata |= {"jwks_uri": about["jwks_uri"]}
    verifier = secrets.token_urlsafe(48)
    url, state = client.create_authorization_url(about["authorization_endpoint"], code_verifier=verifier, nonce="once")
    return client, url, verifier, state


@pytest.mark.parametrize("start", PROVIDERS)
async def test_somebody_signs_in_and_the_provider_says_who(start: Start) -> None:
    async with callback() as waiting, start(waiting.url) as provider, browser() as person:
        scope = "openid email profile" + (" groups" if provider.kind == "npm" else "")
        client, url, verifier, state = await asked(provider, scope, waiting.url)
        await person.visit(url)
        await provider.sign_in(person, "ada-1815")
        answer = await waiting.answer()
        assert answer["state"] == state
        async with client:
            tokens = await client.fetch_token(code=answer["code"], code_verifier=verifier)
            keys = KeySet.import_key_set((await client.get(client.metadata["jwks_uri"])).json())
        claims = jwt.decode(tokens["id_token"], keys, algorithms=["RS256", "ES256"]).claims

    assert (claims["iss"], claims["sub"], claims["aud"]) in [
        (provider.issuer, "ada-1815", audience) for audience in (provider.client_id, [provider.client_id])
    ]
    assert (claims["email"], claims["groups"], claims["nonce"]) == ("ada@example.com", ["engineers"], "once")


@pytest.mark.parametrize("start", PROVIDERS)
async def test_somebody_does_not_want_to(start: Start) -> None:
    async with callback() as waiting, start(waiting.url) as provider, browser() as person:
        _, url, _, _ = await asked(provider, "openid email", waiting.url)
        await person.visit(url)
        await provider.refuse(person)
        assert (await waiting.answer())["error"] == "access_denied"
