from pathlib import Path

import pytest

from portkey_mcp.cli.stores import opened
from portkey_mcp.errors import Mistake
from portkey_mcp.settings import load

pytestmark = pytest.mark.anyio

FILE = "version: 1\nworkspaces:\n  team:\n    servers:\n      files: {command: [npx, some-server]}\n"


async def test_the_file_of_the_settings_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "portkey.yaml").write_text(FILE)
    settings = load(config=tmp_path / "portkey.yaml", data=tmp_path / "data")
    async with opened(settings) as stores:
        assert (await stores.server("team", "files")).command == ("npx", "some-server")


async def test_without_a_file_what_is_stored_stays(tmp_path: Path) -> None:
    for wanted in ("first", "second"):
        async with opened(load(data=tmp_path)) as stores:
            await stores.registry.add_workspace(wanted)

    async with opened(load(data=tmp_path)) as stores:
        assert [await stores.workspace(slug) for slug in ("first", "second")]


async def test_what_is_not_there_is_answered_with_what_is(tmp_path: Path) -> None:
    (tmp_path / "portkey.yaml").write_text(FILE)
    async with opened(load(config=tmp_path / "portkey.yaml", data=tmp_path / "data")) as stores:
        with pytest.raises(Mistake, match="known are: team"):
            await stores.workspace("taem")
        with pytest.raises(Mistake, match="known are: files"):
            await stores.server("team", "flies")
