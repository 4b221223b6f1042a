import os
import sys
from pathlib import Path

import anyio
import pytest

from tests.cli.gateway import gateway

pytestmark = pytest.mark.anyio

STORY = Path(__file__).parent.parent.parent / "examples" / "hidden_tools"
KEYS = {"ADA_KEY": "pk_ada_0123456789abcdef0123456789abcdef", "ROBOT_KEY": "pk_robot_0123456789abcdef0123456789abcdef"}


async def test_each_key_sees_its_own_tools(tmp_path: Path) -> None:
    async def said(name: str, url: str) -> list[str]:
        program = [sys.executable, str(STORY / "who_sees_what.py"), url]
        ran = await anyio.run_process(program, env={**os.environ, "PORTKEY_KEY": KEYS[name]})
        return ran.stdout.decode().splitlines()

    arguments = ("serve", "--config", STORY / "portkey.yaml", "--data", tmp_path, "--port", 0)
    async with gateway(*arguments, env=KEYS) as served:
        url = f"{served.url}/team/example/mcp"

        assert await said("ADA_KEY", url) == ["tools: echo add countdown ask", "add: {'sum': 5.0}"]
        listed, refused = await said("ROBOT_KEY", url)
        assert listed == "tools: echo"
        assert "add" in refused
        assert "sum" not in refused
