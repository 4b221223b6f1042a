"""Programs that run on Node, with the packages that `make tools` installed."""

import json
import os
from pathlib import Path
from typing import Any

import anyio

from tests.stories.hearing import PATIENCE
from tests.stories.upstreams import ROOT

TOOLS = Path(os.environ.get("PORTKEY_MCP_TOOLS", ROOT / ".tools")).absolute()
PROGRAMS = ROOT / "tests" / "stories" / "programs"


async def run(*command: str, home: Path) -> str:
    """Run a program to its end, with a home directory of its own; gives what it printed.

    Raises:
        AssertionError: it failed; carries what it said.
    """
    environment = {**os.environ, "PORTKEY_MCP_TOOLS": str(TOOLS), "HOME": str(home)}
    with anyio.fail_after(PATIENCE):
        ended = await anyio.run_process(command, check=False, env=environment)
    assert ended.returncode == 0, f"{command} ended with {ended.returncode}: {ended.stderr.decode()[-3000:]}"
    return ended.stdout.decode()


async def client(program: str, *arguments: str, home: Path) -> dict[str, Any]:
    """Run one of the client programs; gives what it saw."""
    seen: dict[str, Any] = json.loads(await run("node", str(PROGRAMS / program), *arguments, home=home))
    return seen
