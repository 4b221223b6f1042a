"""stdio servers for tests, and whether a process is still there."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import anyio

from portkey_mcp.model import McpServer

SCRIPT = Path(__file__).with_name("stdio_server.py")


def stdio(*arguments: str, **changes: object) -> McpServer:
    command = (sys.executable, str(SCRIPT), *arguments)
    return replace(McpServer("ws", "child", "stdio", command=command), **changes)  # type: ignore[arg-type]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        # A zombie nobody reaps in this container is dead all the same.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def until_gone(pid: int) -> None:
    with anyio.fail_after(60):
        while is_running(pid):
            await anyio.lowlevel.checkpoint()
