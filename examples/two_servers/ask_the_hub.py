"""Uses both servers through one URL: the hub of the workspace `team`. Its one argument is that URL."""

import sys

import anyio
from mcp import Client
from mcp_types import TextContent


async def main(url: str) -> None:
    async with Client(url) as hub:
        for tool in (await hub.list_tools()).tools:
            print(tool.name)
        for name, arguments in [
            ("example__echo", {"text": "Hello, hub."}),
            ("notes__add", {"text": "Buy milk"}),
            ("notes__read", {}),
        ]:
            result = await hub.call_tool(name, arguments)
            print(f"{name}: {' '.join(block.text for block in result.content if isinstance(block, TextContent))}")


anyio.run(main, sys.argv[1])
