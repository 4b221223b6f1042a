import sys

import pytest

from portkey_mcp.cli.trying import describe, list_tools
from portkey_mcp.errors import UpstreamDown
from portkey_mcp.model import McpServer

pytestmark = pytest.mark.anyio

COMMAND = (sys.executable, "-m", "portkey_mcp.example")


async def as_it_is(server: McpServer) -> McpServer:
    return server


@pytest.mark.parametrize(
    ("protocol", "era", "version"),
    [("auto", "modern", "2026-07-28"), ("2025-11-25", "legacy", "2025-11-25"), ("2025-06-18", "legacy", "2025-06-18")],
)
async def test_a_server_is_described_in_the_era_it_is_spoken_to(protocol: str, era: str, version: str) -> None:
    server = McpServer("team", "example", "stdio", command=COMMAND, protocol=protocol)
    [said] = await describe(as_it_is, server)

    assert (said["era"], said["protocol"], said["server"], said["tools"]) == (era, version, "example", 4)


async def test_tools_are_listed_with_the_first_line_of_what_they_do() -> None:
    tools = await list_tools(as_it_is, McpServer("team", "example", "stdio", command=COMMAND))

    assert [tool["name"] for tool in tools] == ["echo", "add", "countdown", "ask"]
    assert all("\n" not in tool["description"] for tool in tools)


async def test_a_program_that_ends_at_once_is_a_server_that_is_down() -> None:
    server = McpServer("team", "gone", "stdio", command=(sys.executable, "-c", "raise SystemExit(3)"))
    with pytest.raises(UpstreamDown, match="gone"):
        await describe(as_it_is, server)
