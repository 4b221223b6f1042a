import sys
from pathlib import Path

import anyio
import pytest

from tests.cli.gateway import gateway

pytestmark = pytest.mark.anyio

STORY = Path(__file__).parent.parent.parent / "examples" / "two_servers"


async def test_both_servers_are_used_through_one_url(tmp_path: Path) -> None:
    async with gateway("serve", "--config", STORY / "portkey.yaml", "--data", tmp_path, "--port", 0) as served:
        ran = await anyio.run_process([sys.executable, str(STORY / "ask_the_hub.py"), f"{served.url}/team/mcp"])

    said = ran.stdout.decode().splitlines()
    assert {"example__echo", "notes__add", "notes__read"} <= set(said)
    assert said[-3:] == ["example__echo: Hello, hub.", "notes__add: Note 1 kept.", "notes__read: Buy milk"]
