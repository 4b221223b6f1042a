import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import anyio
import pytest

from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.storage.database import Database
from tests.cli.program import Ran, run

ADA = "ada@example.com"
PASSWORD = "correct horse battery"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for slug in ("team", "other"):
        assert run("workspaces", "add", slug, "--data", tmp_path).code == 0
    return tmp_path


def people(data: Path, *arguments: object, stdin: str = "") -> Ran:
    with mock.patch.object(sys, "stdin", io.StringIO(stdin)):
        return run("people", *arguments, "--data", data)


def listed(data: Path, *arguments: object) -> list[dict[str, Any]]:
    return [json.loads(line) for line in people(data, "list", "--json", *arguments).out.splitlines()]


def signs_in(data: Path, password: str) -> str:
    """The name of who signs in with Ada's e-mail address; raises where it is refused."""

    async def check() -> str:
        database = await Database.open(data)
        try:
            return (await Identity(database).check_password(ADA, password, "")).name
        finally:
            await database.close()

    return anyio.run(check)


def test_a_person_is_added_with_all_that_they_are(data: Path) -> None:
    where = ("--workspace", "team", "--role", "admin", "--group", "ops", "--group", "night")
    added = people(data, "add", "Ada@example.com", "--name", "Ada", *where, "--password-stdin", stdin=PASSWORD + "\r\n")

    assert (added.code, added.out) == (0, "Ada@example.com is known and admin of workspace 'team'.\n")
    [ada] = listed(data)
    assert (ada.pop("id")[:7], ada.pop("created")[:2]) == ("person:", "20")
    assert ada == {
        "email": "Ada@example.com",
        "name": "Ada",
        "workspace": "team",
        "role": "admin",
        "groups": ["night", "ops"],
        "origin": "cli",
        "password": True,
        "disabled": None,
    }
    assert signs_in(data, PASSWORD) == "Ada"


def test_a_person_has_a_line_for_each_workspace_or_one_without(data: Path) -> None:
    assert people(data, "list").out.startswith("No people yet")
    people(data, "add", ADA, "-w", "team")
    people(data, "add", ADA, "-w", "other", "--role", "viewer")
    people(data, "add", "bob@example.com")

    assert [(row["email"], row["workspace"], row["role"]) for row in listed(data)] == [
        (ADA, "other", "viewer"),
        (ADA, "team", "member"),
        ("bob@example.com", "", ""),
    ]
    assert [(row["email"], row["workspace"]) for row in listed(data, "--workspace", "team")] == [(ADA, "team")]


def test_role_and_groups_are_changed(data: Path) -> None:
    people(data, "add", ADA, "-w", "team", "--group", "ops")

    assert people(data, "role", ADA, "-w", "team", "owner").out == f"{ADA} is owner of workspace 'team'.\n"
    assert people(data, "group", ADA, "-w", "team", "--add", "a", "--add", "b", "--remove", "ops").out == (
        f"{ADA} is in a, b of workspace 'team'.\n"
    )
    [ada] = listed(data)
    assert (ada["role"], ada["groups"]) == ("owner", ["a", "b"])
    assert "in no group" in people(data, "group", ADA, "-w", "team", "--remove", "a", "--remove", "b").out


def test_a_person_is_taken_out_of_a_workspace_or_removed(data: Path) -> None:
    people(data, "add", ADA, "-w", "team")

    assert people(data, "remove", ADA, "--workspace", "team").out == f"{ADA} is no member of workspace 'team' now.\n"
    assert [row["workspace"] for row in listed(data)] == [""]
    assert people(data, "remove", ADA).out == f"{ADA} is removed.\n"
    assert listed(data) == []


def test_a_person_is_kept_out_and_let_in_again(data: Path) -> None:
    people(data, "add", ADA, "-w", "team")

    assert people(data, "disable", ADA).code == 0
    assert listed(data)[0]["disabled"] is not None
    assert people(data, "enable", ADA).code == 0
    assert listed(data)[0]["disabled"] is None


def test_a_password_comes_from_stdin(data: Path) -> None:
    people(data, "add", ADA)
    said = people(data, "password", ADA, "--password-stdin", stdin=PASSWORD)

    assert (said.code, said.out) == (0, f"{ADA} has a new password.\n")
    assert signs_in(data, PASSWORD) == ADA


def test_a_password_is_typed_twice_on_a_terminal_and_not_shown(data: Path) -> None:
    people(data, "add", ADA)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "portkey_mcp", "people", "password", ADA, "--data", str(data)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        said = b""
        while chunk := _read(ours):
            said += chunk
            if said.endswith(b": "):
                os.write(ours, PASSWORD.encode() + b"\n")
    os.close(ours)

    assert process.returncode == 0, said
    assert PASSWORD.encode() not in said
    assert signs_in(data, PASSWORD) == ADA


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1000)
    except OSError:  # the other side is closed
        return b""


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (["add", "ada"], "", "'ada' is no e-mail address; expected one like ada@example.com"),
        (["add", ADA], "", f"there is a person '{ADA}' already"),
        (["add", "x@y.z", "-w", "nowhere"], "", "there is no workspace 'nowhere'"),
        (["add", "x@y.z", "--role", "owner"], "", "give --workspace, too"),
        (["add", "x@y.z", "-w", "team", "--role", "king"], "", "viewer"),
        (["add", "x@y.z", "--password-stdin"], "\n", "stdin has no password"),
        (["add", "x@y.z", "--password-stdin"], "short", "the password has 5 characters; expected 12 to 1024"),
        (["password", ADA], "", "give --password-stdin"),
        (["password", "x@y.z", "--password-stdin"], PASSWORD, "there is no person 'x@y.z'"),
        (["role", ADA, "-w", "team", "owner"], "", "is no member of workspace 'team'"),
        (["group", ADA, "-w", "team"], "", "give --add GROUP or --remove GROUP"),
        (["remove", "x@y.z"], "", "there is no person 'x@y.z'; `portkey-mcp people list` says whom there is"),
    ],
)
def test_what_cannot_be_is_a_mistake_and_changes_nothing(
    data: Path, arguments: list[str], stdin: str, said: str
) -> None:
    people(data, "add", ADA)
    before = listed(data)
    ended = people(data, *arguments, stdin=stdin)

    assert ended.code == 2
    assert said in ended.err
    assert listed(data) == before


def test_what_a_file_says_is_changed_there(data: Path) -> None:
    file = data / "portkey.yaml"
    file.write_text(f"version: 1\nworkspaces: {{team: {{members: [{{email: {ADA}, role: admin, groups: [ops]}}]}}}}\n")
    where = ("--config", file)

    [ada] = listed(data, *where)
    assert (ada["role"], ada["groups"], ada["origin"], ada["password"]) == ("admin", ["ops"], "file", False)
    for arguments in (["role", ADA, "-w", "team", "owner"], ["remove", ADA, "-w", "team"], ["remove", ADA]):
        ended = people(data, *arguments, *where)
        assert (ended.code, "configuration file" in ended.err) == (2, True)
    assert people(data, "password", ADA, "--password-stdin", *where, stdin=PASSWORD).code == 0
    assert people(data, "disable", ADA, *where).code == 0
