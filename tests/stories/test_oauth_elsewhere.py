"""The clients that sign in, on a server that is not ours: what a failure of theirs on the gateway is compared with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.stories.browser import Browser, browser
from tests.stories.inspector import inspector
from tests.stories.oauth_clients import Consent, Kept, mcp_remote, sdk_client, typescript_client
from tests.stories.oauth_elsewhere import Elsewhere, elsewhere

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_chromium"), pytest.mark.outside("chromium")]


@pytest.fixture
async def server() -> AsyncIterator[Elsewhere]:
    async with elsewhere() as served:
        yield served


@pytest.fixture
async def person(server: Elsewhere) -> AsyncIterator[Browser]:
    async with browser(server.origin) as opened:
        yield opened


@pytest.fixture
def consent(server: Elsewhere, person: Browser) -> Consent:
    async def allow(url: str) -> None:
        await server.consent(person, url)

    return allow


async def test_the_python_sdk_signs_in_once_and_refreshes(server: Elsewhere, consent: Consent) -> None:
    kept, add = Kept(), {"a": 1, "b": 2}
    async with sdk_client(server.url, consent, kept) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["add"]
        kept.expire()
        assert (await client.call_tool("add", add)).structured_content == {"result": 3}
    async with sdk_client(server.url, consent, kept) as client:
        assert (await client.call_tool("add", add)).structured_content == {"result": 3}

    assert server.provider.events == ["registered", "consented", "refreshed"]


@pytest.mark.outside("node", "mcp-inspector")
@pytest.mark.parametrize("sdk", [1, 2])
async def test_the_typescript_sdk_signs_in_once_and_refreshes(
    server: Elsewhere, consent: Consent, tmp_path: Path, sdk: int
) -> None:
    seen = await typescript_client(server.url, consent, "add", {"a": 1, "b": 2}, home=tmp_path, sdk=sdk)

    assert seen["tools"] == ["add"]
    assert seen["result"]["structuredContent"] == {"result": 3}
    assert seen["granted"] == "mcp"
    assert (seen["refreshed"], seen["rotated"]) == (True, True)
    assert server.provider.events == ["registered", "consented", "refreshed"]


@pytest.mark.outside("mcp-remote")
@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_mcp_remote_signs_in_once(server: Elsewhere, consent: Consent, tmp_path: Path, era: str) -> None:
    for _ in range(2):
        async with mcp_remote(server.url, consent, home=tmp_path / "home", era=era) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["add"]
            assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}

    assert server.provider.events == ["registered", "consented"]


@pytest.mark.outside("mcp-inspector")
@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_the_inspector_signs_in_on_its_own_pages(
    server: Elsewhere, person: Browser, tmp_path: Path, era: str
) -> None:
    async def allow(url: str) -> None:
        await person.press("Allow")

    async with inspector(server.url, person, home=tmp_path, era=era) as shown:
        await shown.connect(allow)
        assert await shown.tools() == ["add"]
        assert '"result": 3' in await shown.call("add", {"A": "1", "B": "2"})

    assert server.provider.events == ["registered", "consented"]
