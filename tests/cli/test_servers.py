import json
import sys
from pathlib import Path

import pytest

from tests.cli.program import Ran, run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    assert run("workspaces", "add", "team", "--data", tmp_path).code == 0
    return tmp_path


def servers(data: Path, *arguments: object) -> Ran:
    verb, *rest = arguments
    return run("servers", verb, "--workspace", "team", "--data", data, *rest)


def listed(data: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in servers(data, "list", "--json").out.splitlines()]


def test_a_server_behind_a_url_is_added_and_listed_with_its_own_url(data: Path) -> None:
    url = "https://api.example.com/mcp"
    added = servers(
        data, "add", "search", "--url", url, "--header", "X-Api-Key: ${env:SEARCH_KEY}", "--title", "Search"
    )

    assert added.code == 0
    assert listed(data) == [
        {
            "workspace": "team",
            "name": "search",
            "url": "http://127.0.0.1:8080/team/search/mcp",
            "transport": "http",
            "target": url,
            "enabled": True,
            "access": [],
            "managed_by": "cli",
        }
    ]


def test_a_server_is_for_whom_it_is_said_to_be_until_somebody_says_otherwise(data: Path) -> None:
    url = ("--url", "https://api.example.com/mcp")
    assert servers(data, "add", "pay", *url, "--allow-person", "Ada@example.com", "--allow-group", "ops").code == 0
    assert listed(data)[0]["access"] == ["ada@example.com", "ops"]
    assert servers(data, "access", "pay", "--allow-group", "hr").out.endswith("is there for hr.\n")
    assert listed(data)[0]["access"] == ["hr"]
    assert servers(data, "access", "pay", "--everybody").out.endswith("is there for everybody.\n")
    assert listed(data)[0]["access"] == []


def test_who_may_use_a_server_is_said_clearly_or_not_at_all(data: Path) -> None:
    servers(data, "add", "pay", "--url", "https://api.example.com/mcp", "--allow-group", "hr")
    for wrong in ((), ("--everybody", "--allow-group", "x"), ("--allow-group", " ")):
        assert servers(data, "access", "pay", *wrong).code == 2
    assert servers(data, "access", "nobody", "--everybody").code == 2
    assert listed(data)[0]["access"] == ["hr"]


def test_a_key_that_is_written_out_is_sealed_and_said_to_be(data: Path) -> None:
    key = "sk-live-0123456789abcdef"
    added = servers(data, "add", "search", "--url", "https://api.example.com/mcp", "--header", f"X-Api-Key: {key}")

    assert added.code == 0
    assert "moved to the sealed store" in added.out
    assert key not in added.out
    assert not [path for path in data.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]


def test_a_command_stands_after_two_dashes(data: Path) -> None:
    assert (
        servers(data, "add", "files", "--env", "A=b=c", "--shared", "--", "npx", "-y", "some-server", "/srv").code == 0
    )
    assert [(server["transport"], server["target"]) for server in listed(data)] == [
        ("stdio", "npx -y some-server /srv")
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("x",),
        ("x", "--url", "https://example.com/mcp", "--", "npx"),
        ("x", "--url", "https://example.com/mcp", "--header", "no colon"),
        ("x", "--url", "https://example.com/mcp", "--transport", "carrier-pigeon"),
        ("x", "--url", "not a url"),
        ("x", "--env", "=b", "--", "npx"),
    ],
)
def test_a_server_that_makes_no_sense_is_not_added(data: Path, arguments: tuple[str, ...]) -> None:
    ended = servers(data, "add", *arguments)

    assert ended.code == 2
    assert ended.err
    assert "Traceback" not in ended.err
    assert listed(data) == []


def test_a_removed_server_is_gone(data: Path) -> None:
    servers(data, "add", "files", "--", "npx", "some-server")

    assert servers(data, "remove", "files").code == 0
    assert listed(data) == []
    assert servers(data, "remove", "files").code == 2


def test_test_says_what_a_server_is(data: Path) -> None:
    servers(data, "add", "example", "--", sys.executable, "-m", "portkey_mcp.example")
    said = json.loads(servers(data, "test", "example", "--json").out)

    assert (said["server"], said["tools"], said["era"]) == ("example", 4, "modern")


def test_test_says_the_reason_when_a_server_cannot_be_reached(data: Path) -> None:
    servers(data, "add", "gone", "--", "no-such-program-anywhere")
    ended = servers(data, "test", "gone")

    assert ended.code == 1
    assert "'gone'" in ended.err
    assert "Traceback" not in ended.err


def test_tools_lists_what_a_server_offers(data: Path) -> None:
    servers(data, "add", "example", "--", sys.executable, "-m", "portkey_mcp.example")
    tools = [json.loads(line) for line in servers(data, "tools", "example", "--json").out.splitlines()]

    assert [tool["name"] for tool in tools] == ["echo", "add", "countdown", "ask"]
    assert tools[0] == {"name": "echo", "title": "Echo", "read_only": True, "description": "Say the same text again."}


def test_a_name_that_is_not_there_is_answered_with_those_that_are(data: Path) -> None:
    servers(data, "add", "example", "--", "npx", "some-server")
    ended = servers(data, "test", "exmaple")

    assert ended.code == 2
    assert "known are: example" in ended.err
