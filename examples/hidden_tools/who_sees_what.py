"""Lists the tools that the key in PORTKEY_KEY may see, and calls `add`. Its one argument is the endpoint's URL."""

import os
import sys

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client


async def main(url: str) -> None:
    headers = {"Authorization": f"Bearer {os.environ['PORTKEY_KEY']}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        print("tools:", *[tool.name for tool in (await client.list_tools()).tools])
        try:
            result = await client.call_tool("add", {"a": 2, "b": 3})
            print("add:", result.structured_content)
        except MCPError as error:
            print("add:", error.error.message)


anyio.run(main, sys.argv[1])
