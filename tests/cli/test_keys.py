import json
from pathlib import Path

import pytest

from tests.cli.program import run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    assert run("workspaces", "add", "team", "--data", tmp_path).code == 0
    return tmp_path


def test_a_key_is_printed_once_alone_on_its_line(data: Path) -> None:
    made = run("keys", "create", "laptop", "--workspace", "team", "--data", data)

    key = made.out.strip()
    assert made.code == 0
    assert key.startswith("pk_")
    assert key not in made.err
    assert key not in run("keys", "list", "--data", data, "--json").out


def test_keys_are_listed_with_role_and_expiry(data: Path) -> None:
    run("keys", "create", "robot", "-w", "team", "--role", "viewer", "--days", 7, "--data", data)
    [listed] = [json.loads(line) for line in run("keys", "list", "--data", data, "--json").out.splitlines()]

    assert (listed["workspace"], listed["name"], listed["role"]) == ("team", "robot", "viewer")
    assert listed["expires"] > listed["created"]


def test_a_revoked_key_is_gone(data: Path) -> None:
    run("keys", "create", "laptop", "-w", "team", "--data", data)

    assert run("keys", "revoke", "laptop", "-w", "team", "--data", data).code == 0
    assert run("keys", "list", "-w", "team", "--data", data).out.startswith("No API keys yet")


def test_a_workspace_that_does_not_exist_is_a_mistake(data: Path) -> None:
    ended = run("keys", "create", "laptop", "-w", "other", "--data", data)

    assert ended.code == 2
    assert "'other'" in ended.err


def test_a_role_that_does_not_exist_is_wrong_use(data: Path) -> None:
    ended = run("keys", "create", "laptop", "-w", "team", "--role", "king", "--data", data)

    assert ended.code == 2
    assert "viewer" in ended.err


def test_a_persons_key_says_whose_it_is_and_what_it_may(data: Path) -> None:
    run("people", "add", "ada@example.com", "-w", "team", "--role", "admin", "--data", data)
    made = run("keys", "create", "laptop", "-w", "team", "--person", "Ada@example.com", "--data", data, "--json")
    run("keys", "create", "ci", "-w", "team", "--data", data)
    listed = [json.loads(line) for line in run("keys", "list", "--data", data, "--json").out.splitlines()]

    assert {name: value for name, value in json.loads(made.out).items() if name != "key"} == {
        "workspace": "team",
        "name": "laptop",
        "role": "admin",
        "person": "ada@example.com",
        "scopes": None,
        "server": "",
    }
    assert [(key["name"], key["person"], key["role"]) for key in listed] == [
        ("ci", "", "member"),
        ("laptop", "ada@example.com", "admin"),
    ]


def test_a_key_can_be_for_one_server_and_some_scopes(data: Path) -> None:
    run("servers", "add", "files", "-w", "team", "--url", "https://x.example/mcp", "--data", data)
    narrow = ("--scope", "mcp:read", "--server", "files")
    assert run("keys", "create", "narrow", "-w", "team", *narrow, "--data", data).code == 0
    [listed] = [json.loads(line) for line in run("keys", "list", "--data", data, "--json").out.splitlines()]
    assert (listed["scopes"], listed["server"]) == (["mcp:read"], "files")
    for wrong in (("--scope", "mcp:write"), ("--server", "fles")):
        ended = run("keys", "create", "wrong", "-w", "team", *wrong, "--data", data)
        assert ended.code == 2
        assert wrong[1] in ended.err


def test_a_key_is_made_for_members_only(data: Path) -> None:
    run("people", "add", "ada@example.com", "--data", data)
    ended = run("keys", "create", "laptop", "-w", "team", "--person", "ada@example.com", "--data", data)

    assert ended.code == 2
    assert "`portkey-mcp people add ada@example.com --workspace team` makes them one" in ended.err
