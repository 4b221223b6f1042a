import json
from pathlib import Path

from tests.cli.program import run


def test_a_workspace_is_added_and_listed(tmp_path: Path) -> None:
    assert run("workspaces", "add", "team", "--name", "The team", "--data", tmp_path).code == 0
    listed = run("workspaces", "list", "--data", tmp_path, "--json").out

    assert json.loads(listed) == {"workspace": "team", "name": "The team", "servers": 0, "bundles": 0}


def test_a_workspace_that_is_there_is_not_added_again(tmp_path: Path) -> None:
    run("workspaces", "add", "team", "--data", tmp_path)
    ended = run("workspaces", "add", "team", "--data", tmp_path)

    assert ended.code == 2
    assert "already" in ended.err


def test_a_slug_that_no_url_could_have_is_refused(tmp_path: Path) -> None:
    assert run("workspaces", "add", "My Team", "--data", tmp_path).code == 2


def test_a_file_is_taken_over_before_a_command_looks(tmp_path: Path) -> None:
    file = tmp_path / "portkey.yaml"
    file.write_text("version: 1\nworkspaces: {team: {}}\n")
    listed = run("workspaces", "list", "--config", file, "--data", tmp_path / "data", "--json").out

    assert json.loads(listed)["workspace"] == "team"
