"""The first minute with the gateway: `portkey-mcp demo`, in a process of its own, and what it prints."""

import json
import re
from collections.abc import AsyncIterator

import anyio
import pytest
from mcp import Client
from mcp_types import TextContent

from tests.cli.gateway import Gateway, gateway

pytestmark = pytest.mark.anyio

MODES = ("legacy", "auto", "2026-07-28")


@pytest.fixture(scope="module")
async def demo() -> AsyncIterator[Gateway]:
    async with gateway("demo", "--port", 0) as running:
        yield running


def printed(demo: Gateway, what: str) -> str:
    """The URL that stands after a word in what the demo says when it is ready."""
    return re.findall(rf"{what} +(http\S+)", demo.banner)[0]


@pytest.mark.parametrize("mode", MODES)
async def test_the_printed_server_url_serves_a_first_tool_call(demo: Gateway, mode: str) -> None:
    async with Client(printed(demo, "server"), mode=mode) as client:
        result = await client.call_tool("echo", {"text": "Hello"})

    assert result.content == [TextContent(text="Hello")]


@pytest.mark.parametrize("mode", MODES)
async def test_the_printed_hub_url_serves_a_first_tool_call(demo: Gateway, mode: str) -> None:
    async with Client(printed(demo, "hub"), mode=mode) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        result = await client.call_tool("example__add", {"a": 40, "b": 2})

    assert "example__add" in names
    assert result.structured_content == {"sum": 42.0}


@pytest.mark.outside("curl")
async def test_the_printed_curl_line_calls_a_tool_as_it_is_printed(demo: Gateway) -> None:
    [line] = [line for line in demo.banner.splitlines() if line.strip().startswith("curl ")]
    ran = await anyio.run_process(line)  # a string runs in a shell, as a person's paste does

    answer = json.loads(ran.stdout)
    assert answer["result"]["content"] == [{"type": "text", "text": "Hello from portkey-mcp"}]


@pytest.mark.outside("curl")
async def test_curl_calls_a_tool_in_the_modern_era_too(demo: Gateway) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": "echo", "arguments": {"text": "Hello, 2026"}, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "echo",
    }
    said = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    ran = await anyio.run_process(["curl", "-s", printed(demo, "server"), *said, "-d", body])

    result = json.loads(ran.stdout)["result"]
    assert result["content"] == [{"type": "text", "text": "Hello, 2026"}]
    assert result["resultType"] == "complete"
