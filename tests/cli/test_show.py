import json

import pytest

from portkey_mcp.cli import show

ROWS = [
    {"name": "files", "read_only": True, "tags": ["a", "b"], "title": ""},
    {"name": "x", "read_only": False, "tags": [], "title": "A title"},
]


def test_people_get_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    show.records(ROWS, as_json=False)

    assert capsys.readouterr().out.splitlines() == [
        "NAME   READ ONLY  TAGS  TITLE",
        "files  yes        a, b  -",
        "x      no         -     A title",
    ]


def test_programs_get_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show.records(ROWS, as_json=True)

    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == ROWS


def test_nothing_is_said_in_words_to_people_only(capsys: pytest.CaptureFixture[str]) -> None:
    show.records([], as_json=False, empty="No servers yet.")
    show.records([], as_json=True, empty="No servers yet.")

    assert capsys.readouterr().out == "No servers yet.\n"


def test_a_strangers_text_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show.records([{"title": "\x1b[2Jgone"}], as_json=False)

    assert "\x1b" not in capsys.readouterr().out
