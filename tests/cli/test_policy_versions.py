import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from portkey_mcp.cli.policy_versions import diff_lines
from tests.cli.program import Ran, run

FIRST = "# mine\nrules: [ {match: 'files/*', enabled: false} ]\n"
SECOND = "# mine\nrules: [ {match: 'files/*', enabled: true} ]\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    run("workspaces", "add", "team", "--data", tmp_path)
    return tmp_path


def ask(data: Path, *arguments: object) -> Ran:
    return run("policy", *arguments, "--workspace", "team", "--data", data)


def save(data: Path, text: str, why: str = "") -> Ran:
    file = data / "new.yaml"
    file.write_text(text)
    return ask(data, "save", file, "--why", why)


def test_show_prints_the_text_as_it_was_written(data: Path) -> None:
    save(data, FIRST)
    save(data, SECOND)

    assert ask(data, "show") == (0, SECOND, "")
    assert ask(data, "show", "--version", 1) == (0, FIRST, "")


def test_show_tells_programs_the_whole_record(data: Path) -> None:
    save(data, FIRST, why="a start")
    record = json.loads(ask(data, "show", "--json").out)

    assert set(record) == {"workspace", "number", "at", "who", "why", "origin", "text"}
    assert (record["number"], record["why"], record["origin"], record["text"]) == (1, "a start", "cli", FIRST)
    assert record["who"].startswith("cli:")


def test_where_there_is_no_policy_nothing_is_printed_but_a_word(data: Path) -> None:
    ended = ask(data, "show")

    assert (ended.code, ended.out) == (0, "")
    assert "everything is allowed to every member" in ended.err
    assert ask(data, "history").out.startswith("No policy yet")
    assert ask(data, "diff").out == ""


def test_a_files_policy_is_shown_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(FIRST)
    (tmp_path / "portkey.yaml").write_text("version: 1\nworkspaces: {team: {policy: rules.yaml}}\n")
    ended = run("policy", "show", "-w", "team", "--config", tmp_path / "portkey.yaml", "--data", tmp_path, "--json")

    assert {**json.loads(ended.out), "at": 0} == {
        "workspace": "team",
        "number": 1,
        "at": 0,
        "text": FIRST,
        "who": "rules.yaml",
        "why": "",
        "origin": "file",
    }


def test_history_lists_the_newest_first(data: Path) -> None:
    save(data, FIRST, why="a start")
    save(data, SECOND, why="too strict")
    rows = [json.loads(line) for line in ask(data, "history", "--json").out.splitlines()]

    assert [(row["number"], row["why"]) for row in rows] == [(2, "too strict"), (1, "a start")]
    assert ask(data, "history").out.splitlines()[0].split() == ["NUMBER", "AT", "WHO", "ORIGIN", "WHY"]


def test_diff_compares_what_the_newest_changed_or_any_two(data: Path) -> None:
    save(data, FIRST)
    save(data, SECOND)
    changed = ["-rules: [ {match: 'files/*', enabled: false} ]", "+rules: [ {match: 'files/*', enabled: true} ]"]

    assert ask(data, "diff").out.splitlines()[:2] == ["--- version 1", "+++ version 2"]
    assert ask(data, "diff").out.splitlines()[-2:] == changed
    assert ask(data, "diff", 2, 1).out.splitlines()[-2:] == [f"-{changed[1][1:]}", f"+{changed[0][1:]}"]
    assert ask(data, "diff", 0, 1).out.splitlines()[0] == "--- no policy"


def test_what_is_not_there_is_a_mistake(data: Path) -> None:
    save(data, FIRST)

    assert ask(data, "show", "--version", 3).code == 2
    assert "there are 1 to 1" in ask(data, "diff", 1, 7).err
    ended = run("policy", "history", "-w", "taem", "--data", data)
    assert (ended.code, ended.err) == (2, "unknown workspace 'taem'; did you mean 'team'?\n")


def test_a_diff_has_colours_on_a_terminal_only(data: Path) -> None:
    save(data, FIRST)
    save(data, SECOND)
    assert "\x1b" not in ask(data, "diff").out

    for no_colour, expected in (("", True), ("1", False)):
        master, slave = pty.openpty()
        command = [sys.executable, "-m", "portkey_mcp", "policy", "diff", "-w", "team", "--data", str(data)]
        subprocess.run(command, stdout=slave, check=True, env={**os.environ, "NO_COLOR": no_colour})
        os.close(slave)
        assert (b"\x1b[32m+" in os.read(master, 100_000)) is expected
        os.close(master)


def test_texts_that_are_equal_have_no_diff() -> None:
    assert diff_lines(FIRST, FIRST, "a", "b") == []
