import json
from pathlib import Path

import pytest

from tests.cli.program import run

GOOD = "version: 1\nworkspaces:\n  team:\n    servers:\n      files: {command: [npx, some-server]}\n"


def test_check_says_nothing_about_a_file_that_is_right(tmp_path: Path) -> None:
    file = tmp_path / "portkey.yaml"
    file.write_text(GOOD)

    assert run("check", file) == (0, "", "")


def test_check_says_where_what_is_wrong_and_ends_with_2(tmp_path: Path) -> None:
    file = tmp_path / "portkey.yaml"
    file.write_text(GOOD.replace("command", "comand"))
    ended = run("check", file)

    assert ended.code == 2
    assert ended.err.startswith(f"{file}:5:15: ")
    assert "command" in ended.err


def test_check_says_that_there_is_no_such_file(tmp_path: Path) -> None:
    ended = run("check", tmp_path / "none.yaml")

    assert ended.code == 2
    assert "none.yaml: " in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(("which", "member"), [("portkey", "workspaces"), ("policy", "rules")])
def test_schema_prints_a_json_schema(which: str, member: str) -> None:
    schema = json.loads(run("schema", which).out)

    assert schema["$schema"].endswith("2020-12/schema")
    assert member in schema["properties"]


def test_schema_knows_no_other_file() -> None:
    assert run("schema", "other").code == 2
