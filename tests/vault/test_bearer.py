"""A token proves an account: from memory, refreshed, once more when refused; never where it was not given for."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import anyio
import pytest
from fastapi.responses import JSONResponse

from portkey_mcp.addresses import canonical
from portkey_mcp.errors import ConnectNeeded, UpstreamDown
from portkey_mcp.model import McpServer, Principal
from portkey_mcp.proof import AccountAuth, OAuthClient
from portkey_mcp.vault.bearer import MOST_IN_A_ROW, Bearer, Means
from portkey_mcp.vault.connection import Client, Connection, Credential, Endpoint, Place, Tokens
from portkey_mcp.vault.discovery import Discovery
from portkey_mcp.vault.refreshing import Refreshing
from portkey_mcp.vault.token_requests import TokenRequests
from tests.vault.conftest import ADA, Keeping
from tests.vault.outside_server import Heard, OutsideServer, outside_server, reaching

pytestmark = pytest.mark.anyio

WHO = Principal(ADA.subject, "Ada", "person", {ADA.workspace: "member"})
PAGE = "https://gateway.example/connect/here"
NEW = {"access_token": "a-2", "token_type": "Bearer", "expires_in": 300, "refresh_token": "r-2"}


@dataclass
class Desk:
    """One process; `server` stands for the MCP server and its authorization server, both real."""

    keeping: Keeping
    outside: OutsideServer
    means: Means
    server: McpServer

    def bearer(self) -> Bearer:
        return Bearer(self.means, self.server, ADA, WHO)

    async def keep(self, **other: Any) -> Connection:
        endpoint = Endpoint(self.outside.origin, f"{self.outside.origin}/token")
        good = Credential(
            canonical(self.outside.url),
            Tokens("a-1", refresh="r-1"),
            endpoint,
            Client("me"),
            ("read",),
            asked=self.outside.url,
        )
        return await self.keeping.connections.keep(ADA, replace(good, **other), "ada")

    @property
    def forms(self) -> list[dict[str, str]]:
        """What the token endpoint was asked."""
        return [one.form for one in self.outside.heard if one.path == "/token"]


@pytest.fixture
async def desk(keeping: Keeping) -> AsyncIterator[Desk]:
    async with outside_server() as outside, anyio.create_task_group() as tasks:
        outside.serve()
        outside.answers["/token"] = dict(NEW)
        server = McpServer(ADA.workspace, ADA.server, "http", url=outside.url, title="Linear", auth=AccountAuth())

        async def resolved(one: McpServer) -> tuple[str, Any]:
            return one.url, one.auth

        reach = reaching()
        means = Means(
            keeping.connections,
            Refreshing(keeping.connections, tasks, keeping.clock),
            TokenRequests(reach, keeping.clock),
            Discovery(reach),
            None,  # type: ignore[arg-type] # no machine's account here
            resolved,
            lambda server, who: PAGE,
            lambda provider: f"https://gateway.example/sign-in/{provider}",
        )
        yield Desk(keeping, outside, means, server)


def challenged(error: str, scope: str = "") -> dict[str, str]:
    said = f'Bearer error="{error}"' + (f', scope="{scope}"' if scope else "")
    return {"www-authenticate": said}


async def test_a_token_is_at_hand_once_it_was_read(desk: Desk) -> None:
    await desk.keep()
    bearer = desk.bearer()
    assert bearer.ready("POST", desk.outside.url) is None
    assert await bearer.lines("POST", desk.outside.url) == b"Authorization: Bearer a-1\r\n"
    assert bearer.ready("POST", desk.outside.url) == b"Authorization: Bearer a-1\r\n"
    assert desk.forms == []


async def test_a29_without_an_account_the_person_is_told_where_to_connect_one(desk: Desk) -> None:
    with pytest.raises(ConnectNeeded) as needed:
        await desk.bearer().lines("POST", desk.outside.url)
    assert needed.value.url == PAGE
    assert str(needed.value) == (
        f"Linear cannot be used: it needs an account of yours. Open {PAGE} in a browser and connect it, then try again."
    )


async def test_a28_a_refused_token_is_refreshed_once_with_its_resource_and_the_request_sent_again(desk: Desk) -> None:
    await desk.keep()
    bearer = desk.bearer()
    lines = await bearer.lines("POST", desk.outside.url)
    assert await bearer.refused(lines, 401, challenged("invalid_token"))
    assert await bearer.lines("POST", desk.outside.url) == b"Authorization: Bearer a-2\r\n"
    assert await bearer.refused(lines, 401, challenged("invalid_token")), "another call that had sent the old token"
    assert desk.forms == [
        {
            "grant_type": "refresh_token",
            "refresh_token": "r-1",
            "resource": desk.outside.url,
            "client_id": "me",
        }
    ]


async def test_a_fresh_token_that_is_refused_is_not_refreshed_again_and_again(desk: Desk) -> None:
    await desk.keep()
    bearer = desk.bearer()
    for _ in range(MOST_IN_A_ROW):
        assert await bearer.refused(await bearer.lines("POST", desk.outside.url), 401, {})
    fresh = await bearer.lines("POST", desk.outside.url)
    for _ in range(3):
        with pytest.raises(ConnectNeeded, match="refuses a token that it was just given"):
            await bearer.refused(fresh, 401, {})
    assert len(desk.forms) == MOST_IN_A_ROW


async def test_withdrawn_access_ends_the_account_and_says_so(desk: Desk) -> None:
    await desk.keep()
    desk.outside.answers["/token"] = JSONResponse({"error": "invalid_grant"}, 400)
    bearer = desk.bearer()
    lines = await bearer.lines("POST", desk.outside.url)
    with pytest.raises(ConnectNeeded, match="withdrawn or has expired"):
        await bearer.refused(lines, 401, {})
    with pytest.raises(ConnectNeeded, match="withdrawn or has expired"):
        await bearer.lines("POST", desk.outside.url)


async def test_an_authorization_server_that_is_down_takes_no_account_away(desk: Desk) -> None:
    await desk.keep()
    desk.outside.answers["/token"] = JSONResponse({}, 503)
    bearer = desk.bearer()
    lines = await bearer.lines("POST", desk.outside.url)
    with pytest.raises(UpstreamDown, match="no token for it is to be had just now"):
        await bearer.refused(lines, 401, {})
    found = await desk.keeping.connections.find(ADA)
    assert found is not None
    assert found.state == "good"


async def test_a25_what_another_authorization_server_gave_is_never_given_to_the_new_one(desk: Desk) -> None:
    await desk.keep(endpoint=Endpoint("https://old.example", f"{desk.outside.origin}/token"))
    bearer = desk.bearer()
    lines = await bearer.lines("POST", desk.outside.url)
    with pytest.raises(ConnectNeeded, match="moved to another authorization server"):
        await bearer.refused(lines, 401, {})
    assert desk.forms == []
    found = await desk.keeping.connections.find(ADA)
    assert found is not None
    assert found.state == "ended"


async def test_a28_a_token_is_never_sent_to_another_url_than_it_was_given_for(desk: Desk) -> None:
    await desk.keep(resource="https://elsewhere.example/mcp")
    bearer = desk.bearer()
    with pytest.raises(ConnectNeeded, match="another address of the server"):
        await bearer.lines("POST", desk.outside.url)
    assert bearer.ready("POST", desk.outside.url) is None


async def test_a26_scopes_that_are_lacking_are_wanted_beside_those_it_has(desk: Desk) -> None:
    await desk.keep()
    bearer = desk.bearer()
    lines = await bearer.lines("POST", desk.outside.url)
    with pytest.raises(ConnectNeeded, match="asks for more than the account allows so far: write"):
        await bearer.refused(lines, 403, challenged("insufficient_scope", "write"))
    found = await desk.keeping.connections.find(ADA)
    assert found is not None
    assert set(found.wanted) == {"write"}
    assert found.state == "good", "what it is allowed goes on"


async def test_a26_scopes_that_it_has_are_not_asked_for_again(desk: Desk) -> None:
    await desk.keep()
    bearer = desk.bearer()
    lines = await bearer.lines("POST", desk.outside.url)
    assert not await bearer.refused(lines, 403, challenged("insufficient_scope", "read"))
    assert not await bearer.refused(lines, 403, challenged("invalid_token"))
    assert not await bearer.refused(lines, 403, {})


async def test_who_stepped_up_meanwhile_is_served_with_the_newer_token(desk: Desk) -> None:
    await desk.keep()
    bearer = desk.bearer()
    lines = await bearer.lines("POST", desk.outside.url)
    await desk.keep(scopes=("read", "write"), tokens=Tokens("a-9"))
    assert await bearer.refused(lines, 403, challenged("insufficient_scope", "write"))
    assert await bearer.lines("POST", desk.outside.url) == b"Authorization: Bearer a-9\r\n"


async def test_a_client_secret_that_was_changed_in_the_file_is_used_at_once(desk: Desk) -> None:
    await desk.keep(client=Client("me", "client_secret_post", "old"))
    desk.server = replace(desk.server, auth=AccountAuth(client=OAuthClient("me", "new", method="client_secret_post")))
    bearer = desk.bearer()
    assert await bearer.refused(await bearer.lines("POST", desk.outside.url), 401, {})
    assert desk.forms[0]["client_secret"] == "new"


async def test_a33_a_token_bound_to_a_key_goes_with_a_proof_for_each_request_and_the_servers_nonce(desk: Desk) -> None:
    from_key: list[Heard] = []

    def give(heard: Heard) -> dict[str, Any]:
        from_key.append(heard)
        return {**NEW, "token_type": "DPoP"}

    desk.outside.answers["/token"] = give
    endpoint = Endpoint(desk.outside.origin, f"{desk.outside.origin}/token", dpop=("ES256",))
    await desk.keep(endpoint=endpoint)
    bearer = desk.bearer()
    assert await bearer.refused(await bearer.lines("POST", desk.outside.url), 401, {})
    one, other = [await bearer.lines("POST", desk.outside.url) for _ in range(2)]
    assert one.startswith(b"Authorization: DPoP a-2\r\nDPoP: ey")
    assert one != other, "a proof is good for one request"
    wants = {"www-authenticate": 'DPoP error="use_dpop_nonce"', "dpop-nonce": "n-1"}
    assert await bearer.refused(one, 401, wants)
    assert len(from_key) == 1, "a nonce is no reason for another token"
    assert from_key[0].headers["dpop"]


async def test_two_places_of_one_server_never_share_a_token(desk: Desk) -> None:
    await desk.keep()
    bob = Place(ADA.workspace, ADA.server, "bob")
    with pytest.raises(ConnectNeeded):
        await Bearer(desk.means, desk.server, bob, replace(WHO, id="bob")).lines("POST", desk.outside.url)
