"""The reference servers from npm over stdio, used through the gateway as if connected to directly, in both eras."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp_types import (
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequestParams,
    ElicitResult,
    ListRootsResult,
    LoggingMessageNotificationParams,
    PromptReference,
    Root,
    TextContent,
)

from tests.stories.gateway import Gateway, gateway
from tests.stories.hearing import PATIENCE, UPDATED, Heard
from tests.stories.house import open_house

PROGRAMS = ("node", "mcp-server-everything", "mcp-server-filesystem", "mcp-server-memory")
MODES = ("legacy", "auto")

pytestmark = [pytest.mark.anyio, pytest.mark.outside(*PROGRAMS), pytest.mark.parametrize("mode", MODES)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(os.path.realpath(tmp_path_factory.mktemp("served")))


@pytest.fixture(scope="module")
async def house(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    servers: dict[str, dict[str, Any]] = {
        "everything": {"command": ["mcp-server-everything"]},
        "files": {"command": ["mcp-server-filesystem", str(folder)]},
        "memory": {"command": ["mcp-server-memory"], "env": {"MEMORY_FILE_PATH": str(folder / "memory.jsonl")}},
    }
    async with gateway(open_house(**servers), tmp_path_factory.mktemp("data")) as served:
        yield served


def text(result: Any) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


async def test_everything_lists_and_runs_its_tools(house: Gateway, mode: str) -> None:
    async with Client(house.at("team", "everything"), mode=mode) as client:
        assert client.protocol_version == ("2025-11-25" if mode == "legacy" else "2026-07-28")
        assert client.server_info is not None
        assert client.server_info.name == "mcp-servers/everything"
        assert "everything" in (client.instructions or "").lower()
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert {"echo", "get-sum", "get-structured-content", "get-tiny-image", "get-resource-links"} < names

        assert text(await client.call_tool("echo", {"message": "hi"})) == "Echo: hi"
        assert "5" in text(await client.call_tool("get-sum", {"a": 2, "b": 3}))
        weather = await client.call_tool("get-structured-content", {"location": "Chicago"})
        assert set(weather.structured_content or {}) == {"temperature", "conditions", "humidity"}
        assert "image" in [block.type for block in (await client.call_tool("get-tiny-image")).content]
        assert (await client.call_tool("get-sum", {"a": "no number"})).is_error


async def test_everything_gives_its_resources(house: Gateway, mode: str) -> None:
    async with Client(house.at("team", "everything"), mode=mode) as client:
        listed = [str(resource.uri) for resource in (await client.list_resources()).resources]
        assert "demo://resource/static/document/features.md" in listed
        templates = [found.uri_template for found in (await client.list_resource_templates()).resource_templates]
        assert "demo://resource/dynamic/text/{resourceId}" in templates

        [features] = (await client.read_resource("demo://resource/static/document/features.md")).contents
        assert "Features" in features.text
        [dynamic] = (await client.read_resource("demo://resource/dynamic/blob/7")).contents
        assert dynamic.blob
        links = (await client.call_tool("get-resource-links", {"count": 2})).content
        for link in [block for block in links if block.type == "resource_link"]:
            assert (await client.read_resource(link.uri)).contents


async def test_everything_gives_its_prompts_and_completes_their_arguments(house: Gateway, mode: str) -> None:
    async with Client(house.at("team", "everything"), mode=mode) as client:
        names = [prompt.name for prompt in (await client.list_prompts()).prompts]
        assert {"simple-prompt", "args-prompt", "completable-prompt", "resource-prompt"} <= set(names)

        asked = await client.get_prompt("args-prompt", {"city": "Paris", "state": "Texas"})
        assert "Paris, Texas" in asked.messages[0].content.text
        found = await client.complete(PromptReference(name="completable-prompt"), {"name": "department", "value": "E"})
        assert found.completion.values == ["Engineering"]


async def test_everything_reports_progress(house: Gateway, mode: str) -> None:
    steps: list[tuple[float, float | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, total))

    async with Client(house.at("team", "everything"), mode=mode) as client:
        arguments = {"duration": 0.2, "steps": 4}
        done = await client.call_tool("trigger-long-running-operation", arguments, progress_callback=on_progress)

    assert "completed" in text(done)
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


async def test_everything_asks_the_clients_model(house: Gateway, mode: str) -> None:
    async def sample(context: Any, params: CreateMessageRequestParams) -> CreateMessageResult:
        assert params.max_tokens == 17
        asked = params.messages[0].content
        assert isinstance(asked, TextContent)
        return CreateMessageResult(role="assistant", model="a-model", content=TextContent(text=f"<{asked.text}>"))

    async with Client(house.at("team", "everything"), mode=mode, sampling_callback=sample) as client:
        result = await client.call_tool("trigger-sampling-request", {"prompt": "What now?", "maxTokens": 17})

    assert "a-model" in text(result)
    assert "What now?>" in text(result)


async def test_everything_asks_the_person(house: Gateway, mode: str) -> None:
    async def elicit(context: Any, params: ElicitRequestParams) -> ElicitResult:
        assert "name" in params.requested_schema["properties"]
        return ElicitResult(action="accept", content={"name": "Ada", "integer": 7})

    async with Client(house.at("team", "everything"), mode=mode, elicitation_callback=elicit) as client:
        result = await client.call_tool("trigger-elicitation-request")

    assert "- Name: Ada" in text(result)
    assert "- Favorite Integer: 7" in text(result)


async def test_everything_asks_for_the_roots(house: Gateway, mode: str) -> None:
    async def roots(context: Any) -> ListRootsResult:
        return ListRootsResult(roots=[Root(uri="file:///home/ada/project", name="project")])

    async with Client(house.at("team", "everything"), mode=mode, list_roots_callback=roots) as client:
        result = await client.call_tool("get-roots-list")

    assert "file:///home/ada/project" in text(result)


@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
async def test_everything_logs(house: Gateway, mode: str) -> None:
    logged, heard = [], anyio.Event()

    async def log(params: LoggingMessageNotificationParams) -> None:
        logged.append(params)
        heard.set()

    url = house.at("team", "everything")
    async with Client(url, mode=mode, logging_callback=log, log_level="debug") as client:
        if mode == "legacy":
            await client.set_logging_level("debug")
        await client.call_tool("toggle-simulated-logging")
        with anyio.fail_after(PATIENCE):
            while not logged:  # a modern client hears only what is logged during a call of its own
                await client.call_tool("trigger-long-running-operation", {"duration": 1, "steps": 1})
        await client.call_tool("toggle-simulated-logging")

    assert logged[0].level in ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")


@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
async def test_everything_tells_of_updated_resources(house: Gateway, mode: str) -> None:
    uri, heard = "demo://resource/dynamic/text/1", Heard()
    async with Client(house.at("team", "everything"), mode=mode, message_handler=heard) as client:
        if mode == "legacy":
            await client.subscribe_resource(uri)
            await client.call_tool("toggle-subscriber-updates")
            assert (await heard.until(UPDATED))["uri"] == uri
        else:
            async with client.listen(resource_subscriptions=[uri]) as subscription:
                await client.call_tool("toggle-subscriber-updates")
                with anyio.fail_after(PATIENCE):
                    assert (await anext(aiter(subscription))).uri == uri
        await client.call_tool("toggle-subscriber-updates")


async def test_filesystem_writes_and_reads_files_in_its_folder_only(house: Gateway, mode: str, folder: Path) -> None:
    file = folder / f"{mode}.txt"
    async with Client(house.at("team", "files"), mode=mode) as client:
        assert not (await client.call_tool("write_file", {"path": str(file), "content": "Grüße"})).is_error
        assert file.read_text(encoding="utf-8") == "Grüße"
        assert text(await client.call_tool("read_text_file", {"path": str(file)})) == "Grüße"
        assert file.name in text(await client.call_tool("list_directory", {"path": str(folder)}))
        refused = await client.call_tool("read_text_file", {"path": "/etc/hostname"})
        assert refused.is_error
        assert "Access denied" in text(refused)


async def test_memory_remembers(house: Gateway, mode: str) -> None:
    ada = {"name": f"Ada in {mode}", "entityType": "person", "observations": ["wrote the first program"]}
    async with Client(house.at("team", "memory"), mode=mode) as client:
        await client.call_tool("create_entities", {"entities": [ada]})
        found = (await client.call_tool("search_nodes", {"query": mode})).structured_content
        assert found is not None
        assert ada in found["entities"]
    async with Client(house.at("team", "memory"), mode=mode) as client:
        [graph] = (await client.read_resource("memory://knowledge-graph")).contents
        assert ada["name"] in [entity["name"] for entity in json.loads(graph.text)["entities"]]
