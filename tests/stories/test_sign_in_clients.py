"""Real clients add a connector URL: somebody signs in on real pages, allows it, and the tools work, also after a while.

The same clients on a server that is not ours are in `test_oauth_elsewhere`.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.stories.browser import Browser, browser
from tests.stories.inspector import inspector
from tests.stories.oauth_clients import Consent, Kept, mcp_remote, sdk_client, typescript_client
from tests.stories.sign_in_house import CALL, House, agree, house

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_chromium"), pytest.mark.outside("chromium")]

ALL = "mcp:read mcp:call offline_access"
PLACES = [("blue", "files"), ("blue",)]
SAYS = '{"say": "hello"}'


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path / "data") as running:
        yield running


@pytest.fixture
async def person(home: House) -> AsyncIterator[Browser]:
    async with browser(home.origin) as opened:
        yield opened


def names(place: tuple[str, ...], workspace: str = "blue") -> list[str]:
    """What the tools are called at an endpoint."""
    if len(place) == 2:
        return ["echo"]
    return ["files__echo", "notes__echo"] if workspace == "blue" else ["mail__echo"]


def consenting(person: Browser, asked: list[str], workspace: str = "", name: str = "ada") -> Consent:
    """Somebody who allows it; `asked` keeps each URL that was opened."""

    async def allow(url: str) -> None:
        asked.append(url)
        await agree(person, url, name, workspace)

    return allow


@pytest.mark.parametrize("place", PLACES)
async def test_the_python_sdk_signs_in_once_and_refreshes(home: House, person: Browser, place: tuple[str, ...]) -> None:
    kept, asked = Kept(), list[str]()
    consent, first = consenting(person, asked), names(place)[0]
    async with sdk_client(home.at(*place), consent, kept) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == names(place)
        before = kept.tokens
        kept.expire()
        result = await client.call_tool(first, CALL["arguments"])
        assert result.content[0].text == SAYS  # type: ignore[union-attr]
    async with sdk_client(home.at(*place), consent, kept) as client:
        assert (await client.call_tool(first, CALL["arguments"])).content == result.content

    assert len(asked) == 1
    assert before is not None
    assert kept.tokens is not None
    assert kept.tokens.refresh_token not in (None, before.refresh_token)
    assert kept.tokens.access_token != before.access_token
    assert set((kept.tokens.scope or "").split()) <= set(ALL.split())


@pytest.mark.outside("node", "mcp-inspector")
@pytest.mark.parametrize(("place", "sdk"), [(PLACES[0], 2), (PLACES[1], 2), (PLACES[0], 1)])
async def test_the_typescript_sdk_signs_in_once_and_refreshes(
    home: House, person: Browser, tmp_path: Path, place: tuple[str, ...], sdk: int
) -> None:
    asked, first = list[str](), names(place)[0]
    arguments = CALL["arguments"]
    seen = await typescript_client(home.at(*place), consenting(person, asked), first, arguments, home=tmp_path, sdk=sdk)

    assert seen["tools"] == names(place)
    assert seen["result"]["content"][0]["text"] == SAYS
    assert (seen["refreshed"], seen["rotated"]) == (True, True)
    assert set(seen["sent"]) == {"code", "state", "iss"}
    assert len(asked) == 1


@pytest.mark.outside("mcp-remote")
@pytest.mark.parametrize(("place", "era"), [(PLACES[0], "legacy"), (PLACES[1], "auto")])
async def test_mcp_remote_signs_in_once(
    home: House, person: Browser, tmp_path: Path, place: tuple[str, ...], era: str
) -> None:
    asked, first = list[str](), names(place)[0]
    for _ in range(2):
        async with mcp_remote(home.at(*place), consenting(person, asked), home=tmp_path / "home", era=era) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == names(place)
            result = await client.call_tool(first, CALL["arguments"])
            assert result.content[0].text == SAYS  # type: ignore[union-attr]

    assert len(asked) == 1


@pytest.mark.outside("mcp-inspector")
@pytest.mark.parametrize(("place", "era"), [(PLACES[0], "legacy"), (PLACES[1], "auto")])
async def test_the_inspector_signs_in_on_its_own_pages(
    home: House, person: Browser, tmp_path: Path, place: tuple[str, ...], era: str
) -> None:
    async def allow(url: str) -> None:
        await agree(person, url)

    async with inspector(home.at(*place), person, home=tmp_path, era=era) as shown:
        await shown.connect(allow)
        assert await shown.tools() == names(place)
        assert "hello" in await shown.call(names(place)[0], {"Say": "hello"})


@pytest.mark.parametrize("workspace", ["blue", "red"])
async def test_at_the_root_hub_somebody_in_two_workspaces_chooses_one(
    home: House, person: Browser, workspace: str
) -> None:
    kept, asked = Kept(), list[str]()
    async with sdk_client(home.at(), consenting(person, asked, workspace), kept) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == names((), workspace)
        kept.expire()
        result = await client.call_tool(names((), workspace)[0], CALL["arguments"])
        assert result.content[0].text == SAYS  # type: ignore[union-attr]

    assert len(asked) == 1


async def test_at_the_root_hub_somebody_in_one_workspace_has_nothing_to_choose(home: House, person: Browser) -> None:
    kept, asked = Kept(), list[str]()
    async with sdk_client(home.at(), consenting(person, asked, name="eve"), kept) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == names((), "red")


async def test_the_pages_work_without_scripts_on_a_narrow_screen(home: House) -> None:
    kept, asked = Kept(), list[str]()
    async with (
        browser(home.origin, width=320, javascript=False) as person,
        sdk_client(home.at("blue", "files"), consenting(person, asked), kept) as client,
    ):
        assert [tool.name for tool in (await client.list_tools()).tools] == ["echo"]
