"""A hub of five servers, stdio and HTTP, of both eras, as clients of both eras use it."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp_types import PromptReference, ResourceTemplateReference

from tests.stories.five import LIVELY_ONES, five_servers
from tests.stories.gateway import Gateway
from tests.stories.raw_client import RawClient, raw_http

pytestmark = pytest.mark.anyio

MODES = ("legacy", "2026-07-28")
LONG = "fail/in words: every time, and with a name that is far too long for a hub"

HIDDEN = {"version": 1, "rules": [{"match": "files/grow", "enabled": False}]}
BUNDLES = {"reading": {"title": "Reading", "include": ["files/echo", "resource:files/*", "n*/e*", "prompt:web/*"]}}


@pytest.fixture(scope="module")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    choice = {"hosts": {"reading.example.com": "team/reading"}, "bundles": BUNDLES, "policy": HIDDEN}
    async with five_servers(tmp_path_factory.mktemp("hub"), **choice) as served:
        yield served


def text(result: Any) -> str:
    return str(result.content[0].text)


async def all_tools(client: Client) -> list[str]:
    names, cursor = [], None
    while True:
        page = await client.list_tools(cursor=cursor)
        names += [tool.name for tool in page.tools]
        cursor = page.next_cursor
        if cursor is None:
            return names


@pytest.mark.parametrize("mode", MODES)
async def test_every_tool_of_every_server_is_listed_once_in_a_fixed_order(hub: Gateway, mode: str) -> None:
    async with Client(hub.at("team"), mode=mode) as client:
        names = await all_tools(client)

        assert names == await all_tools(client)
        assert len(names) == len(set(names)) > 280
        assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in names)
        assert [name.split("__")[0] for name in names] == sorted(name.split("__")[0] for name in names)
        assert {f"notes__number_{index}" for index in range(250)} < set(names)


async def test_a_page_has_200_tools_and_leads_to_the_next(hub: Gateway) -> None:
    async with Client(hub.at("team")) as client:
        first = await client.list_tools()
        second = await client.list_tools(cursor=first.next_cursor)

        assert len(first.tools) == 200
        assert second.next_cursor is None
        assert not {tool.name for tool in first.tools} & {tool.name for tool in second.tools}


async def test_a_cursor_nobody_gave_out_is_an_error(hub: Gateway) -> None:
    async with Client(hub.at("team")) as client:
        with pytest.raises(MCPError) as wrong:
            await client.list_tools(cursor="bm9uc2Vuc2U=")
        assert wrong.value.error.code == -32602


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_reaches_the_server_in_its_name(hub: Gateway, mode: str) -> None:
    async with Client(hub.at("team"), mode=mode) as client:
        await all_tools(client)
        answers = [text(await client.call_tool(f"{name}__echo", {"text": "hi"})) for name in LIVELY_ONES]

        assert answers == [f"{name}: hi" for name in LIVELY_ONES]
        assert text(await client.call_tool("jobs__test_simple_text")).startswith("This is a simple text")


@pytest.mark.parametrize("mode", MODES)
async def test_a_name_that_is_long_and_odd_is_shortened_and_can_be_called(hub: Gateway, mode: str) -> None:
    async with Client(hub.at("team"), mode=mode) as client:
        [name] = [name for name in await all_tools(client) if name.startswith("web__fail_")]
        refused = await client.call_tool(name)

        assert len(name) == 64
        assert refused.is_error
        assert text(refused) == "No, with a long name."
    async with Client(hub.at("team", "web"), mode=mode) as client:
        assert LONG in [tool.name for tool in (await client.list_tools()).tools]


@pytest.mark.parametrize("mode", MODES)
async def test_resources_of_all_servers_are_listed_and_read(hub: Gateway, mode: str) -> None:
    async with Client(hub.at("team"), mode=mode) as client:
        listed = {str(resource.uri) for resource in (await client.list_resources()).resources}
        assert {f"mcp+{name}+note://one" for name in LIVELY_ONES} < listed
        templates = {found.uri_template for found in (await client.list_resource_templates()).resource_templates}
        assert {f"mcp+{name}+note://old/{{day}}" for name in LIVELY_ONES} < templates

        for name in LIVELY_ONES:
            uri = f"mcp+{name}+note://old/monday"
            [contents] = (await client.read_resource(uri)).contents
            assert (str(contents.uri), contents.text) == (uri, f"{name}: note://old/monday")


@pytest.mark.parametrize("mode", MODES)
async def test_a_link_in_a_result_can_be_read_on_the_hub(hub: Gateway, mode: str) -> None:
    async with Client(hub.at("team"), mode=mode) as client:
        for name in LIVELY_ONES:
            [link] = (await client.call_tool(f"{name}__link")).content
            assert link.type == "resource_link"
            [contents] = (await client.read_resource(link.uri)).contents
            assert contents.text == f"{name}: note://linked"


@pytest.mark.parametrize("mode", MODES)
async def test_prompts_and_completions_reach_the_server_they_are_of(hub: Gateway, mode: str) -> None:
    async with Client(hub.at("team"), mode=mode) as client:
        listed = [prompt.name for prompt in (await client.list_prompts()).prompts]
        assert {f"{name}__greet" for name in LIVELY_ONES} < set(listed)

        for name in LIVELY_ONES:
            prompt = await client.get_prompt(f"{name}__greet", {"whom": "Ada"})
            assert prompt.messages[0].content.text == f"{name} greets Ada"
            for reference in (
                PromptReference(name=f"{name}__greet"),
                ResourceTemplateReference(uri=f"mcp+{name}+note://old/{{day}}"),
            ):
                found = await client.complete(reference, {"name": "whom", "value": f"{name}-a"})
                assert found.completion.values == [f"{name}-anna"]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_instructions_of_all_servers_are_put_together(hub: Gateway, mode: str) -> None:
    async with Client(hub.at("team"), mode=mode) as client:
        said = client.instructions or ""

        assert [line for line in said.splitlines() if line.startswith("Ask")] == [
            f"Ask {name} for anything." for name in LIVELY_ONES
        ]


@pytest.mark.parametrize("mode", MODES)
async def test_a_bundle_shows_and_allows_its_choice_and_nothing_else(hub: Gateway, mode: str) -> None:
    async with Client(hub.at("team", "reading"), mode=mode) as client:
        assert await all_tools(client) == ["files__echo", "notes__echo"]
        assert [prompt.name for prompt in (await client.list_prompts()).prompts] == ["web__greet"]
        assert [str(found.uri) for found in (await client.list_resources()).resources] == ["mcp+files+note://one"]
        assert text(await client.call_tool("notes__echo", {"text": "hi"})) == "notes: hi"
        assert (await client.get_prompt("web__greet", {"whom": "Ada"})).messages
        for name in ("web__echo", "files__link", "api__echo", "echo"):
            await assert_unknown(client, name)
        with pytest.raises(MCPError):
            await client.read_resource("mcp+web+note://one")


@pytest.mark.parametrize("mode", MODES)
async def test_what_policy_hides_is_neither_listed_nor_callable_under_any_alias(hub: Gateway, mode: str) -> None:
    aliases = ("files__grow", "FILES__grow", "files__Grow", "files__grow ", "files____grow", "files/grow", "grow")
    async with Client(hub.at("team"), mode=mode) as client:
        assert "files__grow" not in await all_tools(client)
        assert "notes__grow" in await all_tools(client)
        for name in aliases:
            await assert_unknown(client, name)
    async with Client(hub.at("team", "files"), mode=mode) as client:
        assert "grow" not in await all_tools(client)
        for name in aliases:
            await assert_unknown(client, name)


async def assert_unknown(client: Client, name: str) -> None:
    """What a tool that does not exist gets, from the gateway or from the server itself."""
    with pytest.raises(MCPError) as wrong:
        await client.call_tool(name, {"name": "x", "text": "x"})
    assert wrong.value.error.code == -32602
    assert wrong.value.error.message.startswith("Unknown tool: ")


@pytest.mark.parametrize("mode", MODES)
async def test_the_root_hub_is_the_only_workspace_there_is(hub: Gateway, mode: str) -> None:
    async with Client(hub.at(), mode=mode) as client:
        assert text(await client.call_tool("files__echo", {"text": "hi"})) == "files: hi"


async def test_a_host_alias_stands_for_its_endpoint(hub: Gateway) -> None:
    async with raw_http() as http:
        client = RawClient(http, hub.at(), "modern")
        listed = await client.post(client.request("tools/list", {}), host="reading.example.com")
        refused = await client.post(client.request("tools/list", {}), host="other.example.com")

    assert [tool["name"] for tool in listed.answer["result"]["tools"]] == ["files__echo", "notes__echo"]
    assert refused.status == 421
