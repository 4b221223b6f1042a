"""Accounts at servers on the command line: listed without what is in them, and disconnected."""

import json
from pathlib import Path

import anyio
import pytest

from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.vault.connection import Client, Credential, Endpoint, Place, Tokens
from portkey_mcp.vault.connections import Connections
from tests.cli.program import run

ISSUER = "https://as.example"
TOKEN = "a-planted-token"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Ada has an account at `linear`, and `team` a shared one at `wiki`, which cannot be revoked."""
    run("workspaces", "add", "team", "--data", tmp_path)
    run("people", "add", "ada@example.com", "-w", "team", "--data", tmp_path)
    for name in ("linear", "wiki"):
        run("servers", "add", name, "-w", "team", "--url", "https://x.example/mcp", "--data", tmp_path)
    [ada] = [json.loads(line)["id"] for line in run("people", "list", "--data", tmp_path, "--json").out.splitlines()]

    async def connect() -> None:
        database = await Database.open(tmp_path)
        connections = Connections(database, KeyRing.of(tmp_path))
        tokens, endpoint = Tokens(TOKEN), Endpoint(ISSUER, f"{ISSUER}/token")
        whole = Credential("https://x.example/mcp", tokens, endpoint, Client("c"), ("read",))
        await connections.keep(Place("team", "linear", ada), whole, ada)
        await connections.keep(Place("team", "wiki", ""), whole, ada)
        await database.close()

    anyio.run(connect)
    return tmp_path


def listed(data: Path, *more: str) -> list[dict[str, object]]:
    ended = run("connections", "list", "--data", data, "--json", *more)
    assert ended.code == 0
    assert TOKEN not in ended.out
    return [json.loads(line) for line in ended.out.splitlines()]


def test_accounts_are_listed_with_whose_they_are_and_how(data: Path) -> None:
    linear, wiki = listed(data)

    assert (linear["workspace"], linear["server"], linear["subject"]) == ("team", "linear", "ada@example.com")
    assert (linear["issuer"], linear["scopes"], linear["state"]) == (ISSUER, ["read"], "good")
    assert linear["connected_by"] == "ada@example.com"
    assert (wiki["server"], wiki["subject"]) == ("wiki", "workspace")
    assert "wiki" in run("connections", "list", "--data", data).out


def test_a_persons_account_and_the_shared_one_are_disconnected(data: Path) -> None:
    mine = run("connections", "remove", "linear", "-w", "team", "--person", "Ada@example.com", "--data", data)
    assert mine.code == 0
    assert f"could not be revoked at {ISSUER}" in mine.out
    assert [one["server"] for one in listed(data)] == ["wiki"]

    assert run("connections", "remove", "wiki", "-w", "team", "--data", data).code == 0
    assert run("connections", "list", "-w", "team", "--data", data).out.startswith("No accounts yet")
    acts = run("audit", "list", "--act", "disconnect", "--data", data, "--json").out.splitlines()
    assert len(acts) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("linear", "-w", "team"), "no shared account"),
        (("wiki", "-w", "team", "--person", "ada@example.com"), "no account of 'ada@example.com'"),
        (("none", "-w", "team"), "has no server 'none'"),
        (("linear", "-w", "other"), "no workspace 'other'"),
    ],
)
def test_what_is_not_there_is_a_mistake(data: Path, arguments: tuple[str, ...], said: str) -> None:
    ended = run("connections", "remove", *arguments, "--data", data)

    assert ended.code == 2
    assert said in ended.err
    assert len(listed(data)) == 2


def test_a_workspace_that_does_not_exist_is_a_mistake(data: Path) -> None:
    assert run("connections", "list", "-w", "other", "--data", data).code == 2
