import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import Ran, run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    assert run("workspaces", "add", "team", "--data", tmp_path).code == 0
    return tmp_path


def people(data: Path, *arguments: object) -> Ran:
    return run("people", *arguments, "--data", data)


def listed(data: Path, *arguments: object) -> list[dict[str, Any]]:
    return [json.loads(line) for line in people(data, "invitations", "--json", *arguments).out.splitlines()]


def test_a_link_is_printed_once_alone_on_its_line(data: Path) -> None:
    made = people(data, "invite", "bob@example.com", "-w", "team")

    assert made.code == 0
    assert re.fullmatch(r"http://127\.0\.0\.1:8080/ui/join/[A-Za-z0-9_-]{43}\n", made.out)
    assert made.err.startswith("Good once, for bob@example.com, until ")
    assert made.out.strip()[-43:] not in people(data, "invitations").out


def test_invitations_are_listed_with_what_they_give_and_gone_once_taken_back(data: Path) -> None:
    assert people(data, "invitations").out.startswith("No invitations")
    given = ("--role", "viewer", "--group", "ops", "--group", "day", "--days", 2)
    [made] = [json.loads(people(data, "invite", "-w", "team", *given, "--json").out)]
    assert "/ui/join/" in made.pop("link")
    assert listed(data) == listed(data, "-w", "team") == [made]
    assert (made["workspace"], made["email"], made["role"], made["groups"]) == ("team", "", "viewer", ["day", "ops"])
    assert people(data, "uninvite", made["id"]).code == 0
    assert listed(data) == []
    ended = people(data, "uninvite", made["id"])
    assert (ended.code, "there is no invitation" in ended.err) == (2, True)


@pytest.mark.parametrize("wrong", [("bob", "-w", "team"), ("-w", "other"), ("-w", "team", "--days", "0"), ()])
def test_an_invitation_that_cannot_be_is_a_mistake(data: Path, wrong: tuple[str, ...]) -> None:
    assert people(data, "invite", *wrong).code == 2
    assert listed(data) == []
