"""What is registered changes while people work: by the watched file, and by the command line in another process."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from portkey_mcp.gateway import snapshots
from tests.stories.gateway import Gateway, gateway
from tests.stories.hearing import PATIENCE, TOOLS, Heard, hears_of_tools
from tests.stories.house import document, open_house
from tests.stories.raw_client import RawClient, raw_http
from tests.stories.upstreams import lively, stdio
from tests.stories.watching import Watched, watching

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that came with a file are started by the first list, which does not wait long where cores are busy."""
    monkeypatch.setattr(snapshots, "PATIENCE", PATIENCE)


ECHO = {"text": "hi"}
MODES = ("legacy", "2026-07-28")


def text(result: Any) -> str:
    return str(result.content[0].text)


async def servers_of(client: Client) -> set[str]:
    """The servers whose tools the hub lists."""
    return {tool.name.split("__")[0] for tool in (await client.list_tools()).tools}


async def until_served(client: Client, wanted: set[str]) -> None:
    """Return when the hub lists the tools of exactly these servers."""
    with anyio.fail_after(PATIENCE):
        while await servers_of(client) != wanted:
            await anyio.lowlevel.checkpoint()


def edit(served: Gateway, text: str) -> None:
    """Save the watched file."""
    assert served.config is not None
    served.config.write_text(text)


@asynccontextmanager
async def busy(client: Client, server: str) -> AsyncIterator[None]:
    """A call of this server is under way all through the block, and succeeds after it."""
    begun, answers = anyio.Event(), []

    async def on_progress(*_: object) -> None:
        begun.set()

    async def call() -> None:
        answers.append(text(await client.call_tool(f"{server}__wait", progress_callback=on_progress)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        with anyio.fail_after(PATIENCE):
            await begun.wait()
        yield
        assert answers == []
        await client.call_tool(f"{server}__release")
    assert answers == [f"{server} was released"]


@pytest.mark.parametrize("mode", MODES)
async def test_servers_come_change_and_go_with_the_file_while_other_calls_go_on(tmp_path: Path, mode: str) -> None:
    async with (
        lively("web") as web,
        gateway(open_house(notes=stdio("notes")), tmp_path) as served,
        Client(served.at("team"), mode=mode, cache=None) as client,
        busy(client, "notes"),
    ):
        assert await servers_of(client) == {"notes"}

        edit(served, open_house(notes=stdio("notes"), files=stdio("files"), web={"url": web.url}))
        await until_served(client, {"notes", "files", "web"})
        assert text(await client.call_tool("files__echo", {"text": "hi"})) == "files: hi"
        assert text(await client.call_tool("web__echo", {"text": "hi"})) == "web: hi"

        edit(served, open_house(notes=stdio("notes"), files=stdio("papers"), web={"url": web.url}))
        with anyio.fail_after(PATIENCE):
            while text(await client.call_tool("files__echo", {"text": "hi"})) != "papers: hi":
                await anyio.lowlevel.checkpoint()

        edit(served, open_house(notes=stdio("notes")))
        await until_served(client, {"notes"})


@watching
async def test_a_removed_server_ends_whoever_still_listens_to_it(tmp_path: Path) -> None:
    async with gateway(open_house(notes=stdio("notes"), files=stdio("files")), tmp_path) as served:
        heard = Heard()
        async with (
            Client(served.at("team"), mode="legacy", cache=None, message_handler=heard) as client,
            hears_of_tools(client, heard, "files__grow"),
        ):
            found = (await client.call_tool("files__where")).structured_content
            assert isinstance(found, dict)
            process = Watched(found["pid"])

            edit(served, open_house(notes=stdio("notes")))

            await process.gone()
            await until_served(client, {"notes"})
            await heard.until(TOOLS)
            assert await status(served.at("team", "files")) == 404


async def status(url: str) -> int:
    """What a call of `echo` gets over HTTP."""
    async with raw_http() as http:
        return (await RawClient(http, url, "modern").call("tools/call", {"name": "echo", "arguments": ECHO})).status


@pytest.mark.parametrize("mode", MODES)
async def test_clients_of_a_hub_are_told_that_servers_came_and_went(tmp_path: Path, mode: str) -> None:
    one, two = open_house(notes=stdio("notes")), open_house(notes=stdio("notes"), files=stdio("files"))
    async with gateway(one, tmp_path) as served:
        heard = Heard()
        async with (
            Client(served.at("team"), mode=mode, cache=None, message_handler=heard) as client,
            hears_of_tools(client, heard, "notes__grow"),
        ):
            for document_, wanted in ((two, {"notes", "files"}), (one, {"notes"})):
                edit(served, document_)
                with anyio.fail_after(PATIENCE):
                    while True:
                        heard.forget()  # of one change may be told twice: what counts is that the last word is right
                        if await servers_of(client) == wanted:
                            break
                        await heard.until(TOOLS)


@pytest.mark.parametrize("mode", MODES)
async def test_news_of_a_server_that_came_later_reach_who_listened_before(tmp_path: Path, mode: str) -> None:
    async with gateway(open_house(notes=stdio("notes")), tmp_path) as served:
        heard = Heard()
        async with (
            Client(served.at("team"), mode=mode, cache=None, message_handler=heard) as client,
            hears_of_tools(client, heard, "notes__grow"),
        ):
            edit(served, open_house(notes=stdio("notes"), files=stdio("files")))
            await until_served(client, {"notes", "files"})
            await heard.until(TOOLS)
            heard.forget()

            await heard.after(lambda: client.call_tool("files__grow", {"name": "grown"}), TOOLS)


@pytest.mark.parametrize("mode", MODES)
async def test_clients_are_told_when_policy_hides_a_tool(tmp_path: Path, mode: str) -> None:
    hidden = {"version": 1, "rules": [{"match": "notes/link", "enabled": False}]}
    async with gateway(open_house(notes=stdio("notes")), tmp_path) as served:
        heard = Heard()
        async with (
            Client(served.at("team", "notes"), mode=mode, cache=None, message_handler=heard) as client,
            hears_of_tools(client, heard, "grow"),
        ):
            edit(served, document({"team": {"servers": {"notes": stdio("notes")}, "policy": hidden}}, auth="none"))

            await heard.until(TOOLS)
            assert "link" not in [tool.name for tool in (await client.list_tools()).tools]


async def test_a_broken_file_changes_nothing_and_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    house = open_house(notes=stdio("notes"))
    async with gateway(house, tmp_path) as served, Client(served.at("team"), cache=None) as client:
        edit(served, "version: 1\nworkspaces:\n  team:\n    servers:\n      files: {comand: [x]}\n")

        with anyio.fail_after(PATIENCE):
            while "was not applied" not in caplog.text:
                assert await servers_of(client) == {"notes"}
        assert f"{served.config}:5:" in caplog.text
        assert await servers_of(client) == {"notes"}
        assert text(await client.call_tool("notes__echo", {"text": "hi"})) == "notes: hi"

        edit(served, open_house(notes=stdio("notes"), files=stdio("files")))
        await until_served(client, {"notes", "files"})


async def test_what_the_command_line_adds_and_removes_in_another_process_is_noticed(tmp_path: Path) -> None:
    async with lively("web") as web, gateway(open_house(notes=stdio("notes")), tmp_path) as served:
        url = served.at("byhand", "web")
        assert await status(url) == 404

        await portkey_mcp("workspaces", "add", "byhand", "--data", tmp_path)
        await portkey_mcp("servers", "add", "web", "--url", web.url, "-w", "byhand", "--data", tmp_path)
        await until(url, 200)

        await portkey_mcp("servers", "remove", "web", "-w", "byhand", "--data", tmp_path)
        await until(url, 404)


async def until(url: str, wanted: int) -> None:
    with anyio.fail_after(PATIENCE):
        while await status(url) != wanted:
            await anyio.lowlevel.checkpoint()


async def portkey_mcp(*arguments: object) -> None:
    """Run the command line in a process of its own."""
    await anyio.run_process([sys.executable, "-m", "portkey_mcp", *map(str, arguments)])
