"""An app that was let in to read asks for more when it wants to call a tool, and is told what that takes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.test_challenge import read
from tests.stories.raw_client import RawClient
from tests.stories.sign_in_house import CALL, House, allowed, house

pytestmark = pytest.mark.anyio


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path / "data") as running:
        yield running


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a3_b9_a_call_beyond_the_scope_is_answered_with_the_scopes_it_takes_before_anything_is_sent(
    home: House, era: str
) -> None:
    async with home.browser("ada") as browser:
        reading = await home.tokens(browser, await home.asked("blue", "files", scope="mcp:read"))
        assert reading["scope"] == "mcp:read"
        client = RawClient(home.http, home.at("blue", "files"), era, reading["access_token"])
        if era == "legacy":
            await client.hello()
        assert (await client.call("tools/list")).status == 200
        before = len(home.upstream.received)
        sent = await client.call("tools/call", CALL)
        told = read(sent.headers["www-authenticate"])

        assert (sent.status, told["error"], told["scope"]) == (403, "insufficient_scope", "mcp:read mcp:call")
        assert told["resource_metadata"].endswith("/.well-known/oauth-protected-resource/blue/files/mcp")
        assert len(home.upstream.received) == before
        more = await home.tokens(browser, await home.asked("blue", "files", scope=told["scope"]))
    assert (await home.heard(more["access_token"], "blue", "files", era=era, call=True)).status == 200


async def test_more_scopes_are_asked_about_again(home: House) -> None:
    async with home.browser("ada") as browser:
        asked = await home.asked("blue", "files", scope="mcp:read")
        await allowed(browser, asked)
        again = await home.asked("blue", "files", scope="mcp:read")
        assert (await browser.get(again.path())).status_code == 302, "the same is remembered"
        more = await home.asked("blue", "files", scope="mcp:read mcp:call")
        page = await browser.get(more.path())
        assert page.status_code == 200
        assert "call tools" in page.text
