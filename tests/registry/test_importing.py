"""Clients' files become proposals; nothing is run, no secret stays in sight, and what is left out is said."""

import json
from pathlib import Path
from typing import Any

import pytest

from portkey_mcp.errors import Mistake
from portkey_mcp.model import McpServer
from portkey_mcp.registry.checks import server_problems
from portkey_mcp.registry.importing import Imported, normalised, read


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mcp.json"


def imported(file: Path, servers: dict[str, Any], **more: Any) -> Imported:
    file.write_text(json.dumps({"mcpServers": servers, **more}))
    return read(file, "demo")


def test_what_is_of_the_wrong_kind_is_said_and_breaks_nothing_else(file: Path) -> None:
    found = imported(
        file, {"odd": {"type": [], "command": "x"}, "good": {"command": "x"}}, projects={"/p": {"mcpServers": 5}}
    )

    assert [proposal.server.name for proposal in found.proposals] == ["good"]
    assert found.notes == ("'odd' is not taken over: the type [] is not supported; expected stdio, http or sse",)


def test_claude_desktop(file: Path) -> None:
    file.write_text("""{
      "mcpServers": {
        "filesystem": {"command": "npx", "args": ["-y", "server-filesystem", "/srv/data"]},
        // a comment, and a trailing comma
        "GitHub": {"command": "docker", "args": ["run"], "env": {"GITHUB_TOKEN": "ghp_abc", "LOG_LEVEL": "debug"}},
      },
    }""")
    filesystem, github = read(file, "demo").proposals
    assert filesystem.server == McpServer(
        "demo", "filesystem", "stdio", command=("npx", "-y", "server-filesystem", "/srv/data")
    )
    assert filesystem.notes == ()
    assert github.server.env == {"GITHUB_TOKEN": "${secret:github-GITHUB_TOKEN}", "LOG_LEVEL": "debug"}
    assert github.secrets == {"github-GITHUB_TOKEN": "ghp_abc"}
    assert github.notes == (
        "'GitHub' is called 'github' here",
        "env GITHUB_TOKEN: moved to the sealed store, as ${secret:github-GITHUB_TOKEN}",
    )


def test_claude_code(file: Path) -> None:
    found = imported(
        file,
        {
            "linear": {"type": "http", "url": "https://${HOST:-mcp.linear.app}/mcp", "oauth": {"clientId": "x"}},
            "old": {"type": "sse", "url": "https://x/events", "headers": {"Authorization": "Bearer ${TOKEN}"}},
            "new": {"type": "streamable-http", "url": "https://x/mcp"},
        },
        projects={"/home/ada/x": {"mcpServers": {"one": {}, "two": {}}}, "/home/ada/y": {}},
    )
    linear, old, new = found.proposals
    assert (linear.server.transport, linear.server.url) == ("http", "https://${env:HOST:-mcp.linear.app}/mcp")
    assert linear.notes == ("'oauth' is not taken over",)
    assert (old.server.transport, old.server.headers) == ("sse", {"Authorization": "Bearer ${env:TOKEN}"})
    assert new.server.transport == "http"
    assert found.notes == ("the servers of the project /home/ada/x are not taken over: one, two",)


def test_cursor(file: Path) -> None:
    file.with_name("secrets.env").write_text("API_KEY=abc\nMODE=fast\n")
    entry = {
        "command": "${userHome}/bin/server",
        "env": {"TOKEN": "${env:TOKEN}", "MODE": "slow"},
        "envFile": "${workspaceFolder}/secrets.env",
        "autoApprove": [],
    }
    [proposal] = imported(file, {"a": entry}).proposals
    assert proposal.server.command == (f"{Path.home()}/bin/server",)
    assert proposal.server.env == {"API_KEY": "${secret:a-API_KEY}", "MODE": "slow", "TOKEN": "${env:TOKEN}"}
    assert proposal.secrets == {"a-API_KEY": "abc"}
    assert "taken from secrets.env: API_KEY, MODE" in proposal.notes
    assert "'autoApprove' is not taken over" in proposal.notes


def test_vs_code(file: Path) -> None:
    document = {
        "inputs": [{"type": "promptString", "id": "pat", "description": "GitHub token", "password": True}],
        "servers": {
            "github": {"type": "http", "url": "https://x", "headers": {"Authorization": "Bearer ${input:pat}"}}
        },
    }
    file.write_text(json.dumps(document))
    [proposal] = read(file, "demo").proposals
    assert proposal.server.headers == {"Authorization": "Bearer ${secret:github-pat}"}
    assert (proposal.secrets, proposal.needs) == ({}, {"github-pat": "GitHub token"})
    file.write_text(json.dumps({"mcp": document}))
    assert [found.server.name for found in read(file, "demo").proposals] == ["github"]


def test_windsurf_and_urls_without_a_type(file: Path) -> None:
    found = imported(file, {"a": {"serverUrl": "https://x/sse"}, "b": {"url": "https://x", "disabled": True}})
    a, b = found.proposals
    assert (a.server.transport, a.notes) == ("sse", ("the url ends in /sse, so the transport is taken to be sse",))
    assert (b.server.transport, b.server.enabled) == ("http", False)


def test_what_cannot_be_taken_over_is_a_note_and_no_failure(file: Path) -> None:
    found = imported(
        file,
        {
            "ws": {"type": "ws", "url": "wss://x"},
            "socket": {"type": "http", "url": "unix:///run/x"},
            "user": {"url": "https://me:pw@x/"},
            "number": 3,
            "nothing": {},
            "listless": {"command": "npx", "args": "x"},
            "envless": {"command": "npx", "env": ["A=b"]},
            "nested": {"command": "npx", "env": {"A": {}}},
            "thief": {"command": "npx", "env": {"A": "${PORTKEY_MCP_SECRET_KEYS}"}},
            "lost": {"command": "npx", "envFile": "/no/such/file"},
            "good": {"command": "npx", "args": [1, True], "env": {"A": None, "N": 1.5}},
        },
    )
    assert [(proposal.server.name, proposal.server.command) for proposal in found.proposals] == [
        ("good", ("npx", "1", "true"))
    ]
    assert found.notes == (
        "'ws' is not taken over: the type 'ws' is not supported; expected stdio, http or sse",
        "'socket' is not taken over: 'unix:///run/x' is no http(s) URL",
        "'user' is not taken over: a URL with a user name or password in it is refused; send them in a header",
        "'number' is not taken over: it is no JSON object",
        "'nothing' is not taken over: it has neither url nor command",
        "'listless' is not taken over: 'args' is no list",
        "'envless' is not taken over: 'env' is no JSON object",
        "'nested' is not taken over: 'env' holds something that is no text",
        "'thief' is not taken over: ${env:PORTKEY_MCP_SECRET_KEYS}: the gateway's own settings are not handed out",
        "'lost' is not taken over: its envFile /no/such/file cannot be read: No such file or directory",
    )


def test_names_become_fit_for_urls_and_collisions_get_numbers(file: Path) -> None:
    names = ["My Server!", "my server", "my-server", "__x__y__", "mcp", "\u540d", "x" * 40, "x" * 41]
    found = imported(file, {name: {"url": "https://x"} for name in names})
    assert [proposal.server.name for proposal in found.proposals] == [
        *("my-server", "my-server-2", "my-server-3", "x_y", "mcp-server", "server", "x" * 31, "x" * 29 + "-2"),
    ]
    assert not any(list(server_problems(proposal.server)) for proposal in found.proposals)
    assert normalised("files") == "files"


def test_secrets_are_not_shown_by_accident(file: Path) -> None:
    assert "hush" not in repr(imported(file, {"a": {"url": "https://x", "headers": {"X": "hush"}}}))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "is no JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("{}", "has no `mcpServers` and no `servers`; expected a file of an MCP client"),
        ("[]", "has no `mcpServers` and no `servers`; expected a file of an MCP client"),
    ],
)
def test_a_file_of_another_kind_is_a_mistake(file: Path, text: str, what: str) -> None:
    file.write_text(text)
    with pytest.raises(Mistake) as wrong:
        read(file, "demo")
    assert str(wrong.value) == f"{file}: {what}"


def test_a_file_that_is_not_there_is_a_mistake(file: Path) -> None:
    with pytest.raises(Mistake, match="cannot be read: No such file or directory"):
        read(file, "demo")
