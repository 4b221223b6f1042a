"""The protected upstream of the stories is a real one: the SDK's own OAuth client can use it, and only as it should."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.auth import OAuthClientMetadata
from pydantic import AnyUrl

from tests.stories.oauth_clients import Kept
from tests.stories.oauth_upstreams import OAuthUpstream, oauth_upstream, sign_in_without_browser
from tests.stories.protected_server import BASIC, FURTHER

pytestmark = [pytest.mark.anyio, pytest.mark.outside("node")]

REDIRECT = "http://127.0.0.1:9/callback"


class Person:
    """Who sits at the SDK's client: signs in upstream as `user` whenever it asks."""

    def __init__(self, user: str) -> None:
        self.user, self.kept, self.asked = user, Kept(), 0
        self._back: dict[str, str] = {}

    async def open(self, url: str) -> None:
        self.asked += 1
        self._back = dict(parse_qsl(urlsplit(await sign_in_without_browser(url, self.user)).query))

    async def came_back(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult(code=self._back["code"], state=self._back["state"], iss=self._back["iss"])

    @asynccontextmanager
    async def client(self, upstream: OAuthUpstream, mode: str = "auto") -> AsyncIterator[Client]:
        """Connected, having signed in."""
        about = OAuthClientMetadata(client_name="SDK", redirect_uris=[AnyUrl(REDIRECT)])
        auth = self.kept.auth = OAuthClientProvider(upstream.url, about, self.kept, self.open, self.came_back)
        async with create_mcp_http_client(auth=auth) as http:
            transport = streamable_http_client(upstream.url, http_client=http)
            async with Client(transport, mode=mode, cache=None) as client:
                yield client


async def who(client: Client, tool: str = "whoami") -> dict[str, Any]:
    """Whom the upstream takes the caller for."""
    answer = await client.call_tool(tool, {})
    assert not answer.is_error
    assert answer.structured_content is not None
    return answer.structured_content


@pytest.mark.parametrize(("era", "mode"), [("legacy", "legacy"), ("modern", "auto"), ("both", "auto")])
async def test_a_tool_knows_whose_token_it_was_called_with(tmp_path: Path, era: str, mode: str) -> None:
    async with oauth_upstream(tmp_path, era=era) as upstream:
        for user in ("upstream-ada", "upstream-bob"):
            async with Person(user).client(upstream, mode) as client:
                assert await who(client) == {"user": user, "scope": BASIC}

        seen = await upstream.authority.seen()
        assert (seen["granted"], seen["registered"]) == ({"authorization_code": 2}, 2)
        assert {claims["aud"] for claims in upstream.server.served} == {upstream.url}


async def test_a_tool_that_needs_more_is_refused_with_the_scope_it_needs(tmp_path: Path) -> None:
    ada = Person("upstream-ada")
    async with oauth_upstream(tmp_path) as upstream, ada.client(upstream) as client:
        await who(client)
        assert await who(client, "publish") == {"user": "upstream-ada", "scope": f"{BASIC} {FURTHER}"}
        assert ada.asked == 2


async def test_tokens_live_as_long_as_they_are_told_to_and_every_refresh_gives_another_refresh_token(
    tmp_path: Path,
) -> None:
    ada = Person("upstream-ada")
    async with oauth_upstream(tmp_path, access_seconds=5) as upstream, ada.client(upstream) as client:
        await who(client)
        assert ada.kept.tokens is not None
        assert ada.kept.tokens.expires_in == 5
        first = ada.kept.tokens.refresh_token
        ada.kept.expire()
        await who(client)
        assert ada.kept.tokens.refresh_token != first
        assert await upstream.authority.requests("refresh_token") == 1
        assert ada.asked == 1


async def refreshed(upstream: OAuthUpstream, ada: Person, token: str) -> httpx2.Response:
    """Use a refresh token as the client that has it would."""
    client, auth = ada.kept.client, httpx2.AsyncClient()
    assert client is not None
    form = {"grant_type": "refresh_token", "refresh_token": token, "resource": upstream.url}
    proof = (client.client_id, client.client_secret) if client.client_secret else None
    form |= {} if proof else {"client_id": client.client_id}
    async with auth as http:
        return await http.post(f"{upstream.authority.issuer}/token", data=form, auth=proof)  # type: ignore[arg-type]


async def test_a_refresh_token_that_is_used_again_ends_everything(tmp_path: Path) -> None:
    ada = Person("upstream-ada")
    async with oauth_upstream(tmp_path) as upstream:
        async with ada.client(upstream) as client:
            await who(client)
        assert ada.kept.tokens is not None
        first = ada.kept.tokens.refresh_token or ""
        second = (await refreshed(upstream, ada, first)).json()["refresh_token"]
        assert (await refreshed(upstream, ada, first)).json()["error"] == "invalid_grant"
        assert (await refreshed(upstream, ada, second)).json()["error"] == "invalid_grant"
        assert (await upstream.authority.seen())["refused"] == {"refresh_token": 2}


async def test_it_is_the_same_server_after_it_was_stopped_and_the_mcp_server_goes_on_meanwhile(tmp_path: Path) -> None:
    ada = Person("upstream-ada")
    async with oauth_upstream(tmp_path) as upstream:
        async with ada.client(upstream) as client:
            await who(client)
            issuer = upstream.authority.issuer
            await upstream.authority.stop()
            await who(client)
            with pytest.raises(httpx2.ConnectError):
                await upstream.authority.seen()
        await upstream.authority.start()
        assert upstream.authority.issuer == issuer
        assert ada.kept.tokens is not None
        answer = await refreshed(upstream, ada, ada.kept.tokens.refresh_token or "")
        assert answer.status_code == 200, answer.text
        assert await upstream.server.claims(answer.json()["access_token"])


async def test_a_pause_answers_nothing_until_it_ends(tmp_path: Path) -> None:
    async with oauth_upstream(tmp_path) as upstream, httpx2.AsyncClient(timeout=0.5) as http:
        upstream.authority.pause()
        with pytest.raises(httpx2.ReadTimeout):  # it connects all the same
            await http.get(f"{upstream.authority.issuer}/jwks")
        upstream.authority.go_on()
        assert (await upstream.authority.seen())["refused"] == {}


async def test_what_somebody_allowed_can_be_ended_and_their_tokens_refused(tmp_path: Path) -> None:
    ada = Person("upstream-ada")
    async with oauth_upstream(tmp_path) as upstream, ada.client(upstream) as client:
        await who(client)
        await upstream.authority.end_grants("upstream-ada")
        assert ada.kept.tokens is not None
        answer = await refreshed(upstream, ada, ada.kept.tokens.refresh_token or "")
        assert answer.json()["error"] == "invalid_grant"
        upstream.server.ban()
        assert await upstream.server.claims(ada.kept.tokens.access_token) is None


async def test_tokens_for_something_else_are_refused_and_so_is_a_request_for_them(tmp_path: Path) -> None:
    ada = Person("upstream-ada")
    async with oauth_upstream(tmp_path) as upstream, ada.client(upstream) as client:
        await who(client)
        assert ada.kept.tokens is not None
        token = ada.kept.tokens.access_token
        upstream.server.url = "http://127.0.0.1:1/mcp"
        assert await upstream.server.claims(token) is None
        assert await upstream.server.claims("no token") is None


async def test_refusing_upstream_is_told_to_the_client(tmp_path: Path) -> None:
    async with oauth_upstream(tmp_path) as upstream, httpx2.AsyncClient() as http:
        about = {"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none", "application_type": "native"}
        client = (await http.post(f"{upstream.authority.issuer}/reg", json=about)).json()["client_id"]
        asked = {"client_id": client, "response_type": "code", "redirect_uri": REDIRECT, "state": "s"}
        asked |= {"code_challenge": "c" * 43, "code_challenge_method": "S256", "scope": BASIC, "resource": upstream.url}
        url = str(httpx2.URL(f"{upstream.authority.issuer}/auth", params=asked))
        back = dict(parse_qsl(urlsplit(await sign_in_without_browser(url, "upstream-ada", decision="deny")).query))
        assert (back["error"], back["iss"]) == ("access_denied", upstream.authority.issuer)
        elsewhere = str(httpx2.URL(url).copy_merge_params({"resource": "http://127.0.0.1:1/mcp"}))
        assert "error=invalid_target" in await sign_in_without_browser(elsewhere, "upstream-ada")
