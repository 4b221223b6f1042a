import json
from pathlib import Path

import pytest

from tests.cli.program import Ran, run

FILE = {
    "mcpServers": {
        "files": {
            "command": "npx",
            "args": ["-y", "some-server", "/srv/my data"],
            "env": {"API_TOKEN": "s3cr3t-value"},
        },
        "search": {"type": "http", "url": "https://api.example.com/mcp"},
    }
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    assert run("workspaces", "add", "team", "--data", tmp_path).code == 0
    return tmp_path


def import_(data: Path, document: object, *arguments: object) -> Ran:
    file = data / "mcp.json"
    file.write_text(json.dumps(document))
    return run("servers", "import", file, "--workspace", "team", "--data", data, *arguments)


def names(data: Path) -> list[str]:
    return [json.loads(line)["name"] for line in run("servers", "list", "--data", data, "--json").out.splitlines()]


def test_b5_without_approval_a_command_is_shown_in_full_and_not_taken_over(data: Path) -> None:
    ended = import_(data, FILE)

    assert ended.code == 1
    assert "  command: npx -y some-server '/srv/my data'" in ended.out
    assert "the gateway would run this command; say --approve if it should" in ended.out
    assert names(data) == ["search"]


@pytest.mark.parametrize("arguments", [(), ("--approve",)], ids=["not approved", "approved"])
def test_b5_a_long_command_is_shown_to_its_end(data: Path, arguments: tuple[str, ...]) -> None:
    script = f"{'true; ' * 2000}rm -rf /srv"
    ended = import_(data, {"mcpServers": {"long": {"command": "sh", "args": ["-c", script]}}}, *arguments)

    assert f"  command: sh -c '{script}'\n" in ended.out
    assert names(data) == (["long"] if arguments else [])


@pytest.mark.parametrize("hiding", ["\r", "\n  url: ", "\b", "\u202e", "\u200b", "\x9b2K"])
def test_b5_no_part_of_a_command_hides_another_one(data: Path, hiding: str) -> None:
    arguments = ["-c", "rm -rf /srv", f"{hiding}harmless"]
    ended = import_(data, {"mcpServers": {"shady": {"command": "sh", "args": arguments}}})

    [shown] = [line for line in ended.out.split("\n") if line.startswith("  command: ")]
    assert shown.isprintable()
    assert "rm -rf /srv" in shown
    assert "harmless" in shown


def test_with_approval_everything_is_taken_over_and_secrets_are_not_shown(data: Path) -> None:
    ended = import_(data, FILE, "--approve")

    assert ended.code == 0
    assert "s3cr3t-value" not in ended.out
    assert names(data) == ["files", "search"]


def test_what_is_there_already_is_said_and_the_rest_is_taken_over(data: Path) -> None:
    import_(data, FILE)
    ended = import_(data, FILE, "--approve")

    assert ended.code == 1
    assert "already" in ended.out
    assert names(data) == ["files", "search"]


def test_a_secret_that_the_file_asks_for_has_to_be_given(data: Path) -> None:
    document = {
        "inputs": [{"type": "promptString", "id": "key", "description": "API key", "password": True}],
        "servers": {
            "search": {"type": "http", "url": "https://api.example.com/mcp", "headers": {"X-Key": "${input:key}"}}
        },
    }
    asked = import_(data, document)
    name = asked.out.partition("--secret ")[2].partition("=")[0]

    assert asked.code == 1
    assert "API key" in asked.out
    assert import_(data, document, "--secret", f"{name}=abc").code == 0


def test_a_file_that_is_no_clients_is_a_mistake(data: Path) -> None:
    ended = import_(data, {"something": "else"})

    assert ended.code == 2
    assert "mcp.json: " in ended.err
