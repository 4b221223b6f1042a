"""Clients that people really use, over HTTP: the SDKs in Python and TypeScript, and the MCP Inspector's CLI."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import ElicitRequestParams, ElicitResult, TextContent

from tests.stories import node
from tests.stories.gateway import Gateway, gateway
from tests.stories.hearing import TOOLS, Heard, hears_of_tools
from tests.stories.house import module, open_house
from tests.stories.upstreams import stdio

pytestmark = pytest.mark.anyio

needs_tools = pytest.mark.outside("node", "mcp-inspector")
"""The SDKs have no program of their own; they are installed together with the inspector."""

LEGACY, MODERN = "2025-11-25", "2026-07-28"


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    servers = {"example": module("portkey_mcp.example"), "notes": stdio("notes")}
    async with gateway(open_house(**servers), tmp_path_factory.mktemp("data")) as served:
        yield served


def assert_saw_everything(seen: dict[str, Any], version: str, grown: str) -> None:
    """What each of the programs in `programs/` does and prints, whichever SDK it is on."""
    assert seen["version"] == version
    assert seen["session"] == (version == LEGACY)
    assert {"example__add", "example__ask", "notes__grow"} < set(seen["tools"])
    assert seen["sum"] == {"sum": 3}
    assert seen["progress"] == [[0, 2], [1, 2], [2, 2]]
    assert seen["countdown"] == "Lift-off!"
    assert seen["question"] == "What is your favourite colour?"
    assert seen["answer"] == "You like green."
    assert seen["resource"].startswith("The example server")
    assert seen["prompt"] == "notes greets Ada"
    assert seen["toolsChanged"] is True
    assert f"notes__{grown}" in seen["toolsAfter"]


@needs_tools
async def test_the_typescript_sdk_1(house: Gateway, tmp_path: Path) -> None:
    seen = await node.client("v1_client.cjs", house.at("team"), home=tmp_path)

    assert_saw_everything(seen, LEGACY, "grown_for_v1")


@needs_tools
@pytest.mark.parametrize(("mode", "version"), [("legacy", LEGACY), ("auto", MODERN), (MODERN, MODERN)])
async def test_the_typescript_sdk_2(house: Gateway, tmp_path: Path, mode: str, version: str) -> None:
    seen = await node.client("v2_client.cjs", house.at("team"), mode, home=tmp_path)

    assert_saw_everything(seen, version, f"grown_for_v2_{mode}")


@pytest.mark.parametrize(("mode", "version"), [("legacy", LEGACY), ("auto", MODERN), (MODERN, MODERN)])
async def test_the_python_sdk(house: Gateway, mode: str, version: str) -> None:
    heard, asked, steps = Heard(), [], []

    async def elicit(context: Any, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"colour": "green"})

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        steps.append([progress, total])

    url = house.at("team")
    async with Client(url, mode=mode, cache=None, elicitation_callback=elicit, message_handler=heard) as client:
        assert client.protocol_version == version
        assert (await client.call_tool("example__add", {"a": 1, "b": 2})).structured_content == {"sum": 3}
        await client.call_tool("example__countdown", {"start": 2, "pause": 0}, progress_callback=on_progress)
        assert steps == [[0, 2], [1, 2], [2, 2]]
        answer = await client.call_tool("example__ask")
        assert answer.content == [TextContent(text="You like green.")]
        assert asked == ["What is your favourite colour?"]
        [about] = (await client.read_resource("mcp+example+example://about")).contents
        assert about.text.startswith("The example server")

        async with hears_of_tools(client, heard, "notes__grow"):
            await client.call_tool("notes__grow", {"name": f"grown_for_{mode}"})
            await heard.until(TOOLS)
        assert f"notes__grown_for_{mode}" in [tool.name for tool in (await client.list_tools()).tools]


async def inspect(url: str, home: Path, *arguments: str) -> Any:
    """Ask the MCP Inspector's CLI; gives the result it prints."""
    said = await node.run("mcp-inspector", "--cli", url, "--transport", "http", *arguments, home=home)
    return json.loads(said)


@needs_tools
@pytest.mark.parametrize("era", ["legacy", "auto", "modern"])
async def test_the_inspector_lists_and_calls(house: Gateway, tmp_path: Path, era: str) -> None:
    url, spoken = house.at("team", "example"), ("--protocol-era", era)
    listed = await inspect(url, tmp_path, *spoken, "--method", "tools/list")
    call = ("--method", "tools/call", "--tool-name", "add", "--tool-arg", "a=1", "b=2")
    called = await inspect(url, tmp_path, *spoken, *call)
    resources = await inspect(url, tmp_path, *spoken, "--method", "resources/list")

    assert [tool["name"] for tool in listed["tools"]] == ["echo", "add", "countdown", "ask"]
    assert called["structuredContent"] == {"sum": 3}
    assert [found["uri"] for found in resources["resources"]] == ["example://about"]
