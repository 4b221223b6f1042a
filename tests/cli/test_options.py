from pathlib import Path

import pytest

from portkey_mcp.cli.options import load
from portkey_mcp.errors import Mistake
from tests.cli.program import run


def test_what_is_not_given_is_left_to_environment_and_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTKEY_MCP_PORT", "9000")
    settings = load(None, tmp_path, host=None, port=None)

    assert (settings.data, settings.host, settings.port) == (tmp_path, "127.0.0.1", 9000)


def test_what_is_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTKEY_MCP_PORT", "9000")

    assert load(None, None, port=1234).port == 1234


def test_a_wrong_value_is_a_mistake_that_names_its_variable() -> None:
    with pytest.raises(Mistake, match="PORTKEY_MCP_PORT"):
        load(None, None, port=70_000)


def test_the_environment_can_name_the_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTKEY_MCP_DATA", str(tmp_path))
    run("workspaces", "add", "team")

    assert "team" in run("workspaces", "list", "--data", tmp_path).out
