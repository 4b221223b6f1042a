"""Keys for secrets at rest are changed while gateways read and write, and nothing is lost. No key is ever shown."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from portkey_mcp.cli import secrets
from portkey_mcp.model import McpServer
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KEY_FILE, KeyRing, key_file
from portkey_mcp.storage.database import Database
from portkey_mcp.vault.connection import Connection, Credential, Place, Tokens
from portkey_mcp.vault.connections import Connections
from tests.cli.program import Ran, run

ROOT = Path(__file__).parent.parent.parent


def on(data: Path, work: Callable[[Database, KeyRing], Any]) -> Any:
    """What comes of work on a database."""

    async def working() -> Any:
        database = await Database.open(data)
        try:
            return await work(database, KeyRing.of(data))
        finally:
            await database.close()

    return anyio.run(working)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with a secret and two connections."""
    monkeypatch.setattr(secrets, "NOTICED", 0.0)

    async def fill(database: Database, keyring: KeyRing) -> None:
        registry, connections = Registry(database, keyring), Connections(database, keyring)
        await registry.add_workspace("demo")
        server = McpServer("demo", "files", "http", url="https://x.example/mcp")
        await registry.add_server(server, secrets={"s0": "value"})
        for who in ("ada", "bob"):
            await connections.keep(Place("demo", "files", who), Credential("https://x", Tokens(f"a-{who}")), who)

    on(tmp_path, fill)
    return tmp_path


def found(data: Path) -> tuple[str, list[Connection]]:
    """The secret, and every connection."""

    async def find(database: Database, keyring: KeyRing) -> tuple[str, list[Connection]]:
        secret = await Registry(database, keyring).secret("demo", "s0")
        return secret, await Connections(database, keyring).of_workspace("demo")

    result: tuple[str, list[Connection]] = on(data, find)
    return result


def execute(data: Path, statement: str) -> None:
    with closing(sqlite3.connect(data / "portkey.db")) as connection, connection:
        connection.execute(statement)


def keys(data: Path) -> list[dict[str, Any]]:
    ran = run("secrets", "keys", "--data", data, "--json")
    assert ran.code == 0, ran.err
    return [json.loads(line) for line in ran.out.splitlines()]


def shown(ran: Ran, data: Path) -> bool:
    """Whether any key was printed."""
    entries = (data / KEY_FILE).read_text().split()
    return any(entry.partition(":")[2] in ran.out + ran.err for entry in entries)


def test_rotating_seals_everything_anew_and_says_so(data: Path) -> None:
    before = found(data)
    ran = run("secrets", "rotate", "--data", data, "--json")
    assert ran.code == 0, ran.err
    rows = {row["what"]: row for row in map(json.loads, ran.out.splitlines())}
    assert rows["secrets"] == {"what": "secrets", "key": "k2", "resealed": 1, "unreadable": 0}
    assert rows["connections"]["resealed"] == 2
    assert "The new key 'k2' is in" in ran.err
    assert "Nothing at rest needs the key 'k1'; `portkey-mcp secrets drop k1 --yes` takes it away" in ran.err
    assert not shown(ran, data)
    assert found(data) == before
    assert keys(data) == [
        {"key": "k2", "use": "seals", "needed_by": {"secrets": 1, "connections": 2}},
        {"key": "k1", "use": "opens", "needed_by": {}},
    ]


def test_an_old_key_goes_only_when_it_is_said_and_nothing_needs_it(data: Path) -> None:
    before = found(data)
    assert run("secrets", "drop", "k1", "--data", data, "--yes").err.startswith("the key 'k1' seals; `portkey-mcp")
    key_file(data).add()
    refused = run("secrets", "drop", "k1", "--data", data, "--yes")
    assert (refused.code, "the key 'k1' is still needed" in refused.err) == (2, True)
    assert run("secrets", "reseal", "--data", data).code == 0
    unsaid = run("secrets", "drop", "k1", "--data", data)
    assert (unsaid.code, "session ids and calls that wait end" in unsaid.err) == (2, True)
    assert run("secrets", "drop", "k9", "--data", data, "--yes").err == "there is no key 'k9'; known are: k2, k1\n"
    assert run("secrets", "drop", "k1", "--data", data, "--yes").out == "The key 'k1' is gone.\n"
    assert [row["key"] for row in keys(data)] == ["k2"]
    assert found(data) == before


def test_rotating_can_take_the_old_keys_away_at_once(data: Path) -> None:
    before = found(data)
    session = KeyRing.of(data).seal(b"session", "x")
    assert "The key 'k1' is gone." in run("secrets", "rotate", "--drop-old", "--data", data).err
    assert [row["key"] for row in keys(data)] == ["k2"]
    assert found(data) == before
    assert session.startswith("v1.k1.")
    acts = run("audit", "list", "--act", "secret_keys", "--data", data, "--json").out.splitlines()
    assert sorted((row["subject"], row["detail"]["key"]) for row in map(json.loads, acts)) == [
        ("k1", "taken away"),
        ("k2", "made"),
    ]


def test_a_row_that_was_copied_is_not_opened_by_sealing_it_anew_and_keeps_its_key(data: Path) -> None:
    execute(data, "update connections set sealed = (select sealed from connections where subject = 'ada')")
    ran = run("secrets", "rotate", "--drop-old", "--data", data, "--json")
    rows = {row["what"]: row for row in map(json.loads, ran.out.splitlines())}
    assert (rows["connections"]["resealed"], rows["connections"]["unreadable"]) == (1, 1)
    assert "The key 'k1' is still needed by connections (1)." in ran.err
    assert [row["key"] for row in keys(data)] == ["k2", "k1"]
    states = {one.place.subject: one.state for one in found(data)[1]}
    assert states == {"ada": "good", "bob": "ended"}


def test_a_key_that_nobody_has_is_listed_as_missing(data: Path) -> None:
    execute(data, "update secrets set sealed = 'v1.lost.AAAA'")
    assert keys(data)[-1] == {"key": "lost", "use": "missing", "needed_by": {"secrets": 1}}
    assert "lost  missing  secrets (1)" in run("secrets", "keys", "--data", data).out


def test_keys_of_the_environment_are_not_changed_and_it_is_said_how(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = (data / KEY_FILE).read_text()
    monkeypatch.setenv("PORTKEY_MCP_SECRET_KEYS", file)
    for command in (["rotate"], ["drop", "k1", "--yes"]):
        ran = run("secrets", *command, "--data", data)
        assert ran.code == 2
        assert "keys come from PORTKEY_MCP_SECRET_KEYS" in ran.err
        assert "secrets reseal" in ran.err
    assert (data / KEY_FILE).read_text() == file
    monkeypatch.setenv("PORTKEY_MCP_SECRET_KEYS", f"new:{'A' * 43}=,{file}")
    assert run("secrets", "reseal", "--data", data).code == 0
    assert keys(data)[0] == {"key": "new", "use": "seals", "needed_by": {"secrets": 1, "connections": 2}}


def test_two_rotations_at_once_are_kept_apart(data: Path) -> None:
    with key_file(data).alone():
        ran = run("secrets", "rotate", "--data", data)
    assert (ran.code, ran.err) == (2, "keys are being changed by another command just now; wait until it is done\n")
    assert [row["key"] for row in keys(data)] == ["k1"]


def test_a_damaged_key_file_stops_the_command_before_anything_is_changed(data: Path) -> None:
    (data / KEY_FILE).write_text("k1:c2hvcnQ=\n")
    ran = run("secrets", "rotate", "--data", data)
    assert (ran.code, "key 'k1' has 5 bytes; expected 32" in ran.err) == (2, True)
    assert (data / KEY_FILE).read_text() == "k1:c2hvcnQ=\n"


def test_rotating_under_load_loses_nothing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two other processes read and write all the time, and are never told."""
    monkeypatch.undo()
    command = [sys.executable, "-m", "tests.cli.sealing_load", str(data)]
    loads = [
        subprocess.Popen([*command, who], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for who in ("ada", "cleo")
    ]
    try:
        assert [load.stdout and load.stdout.readline() for load in loads] == ["ready\n"] * 2
        ran = run("secrets", "rotate", "--drop-old", "--data", data)
        assert ran.code == 0, ran.err
        said = [load.communicate(timeout=60)[0].split() for load in loads]
    finally:
        for load in loads:
            load.kill()
            load.communicate()
    assert [len(lines) for lines in said] == [1, 1], said
    secret, connections = found(data)
    assert secret == "value"
    tokens = {one.place.subject: one.credential.tokens and one.credential.tokens.access for one in connections}
    assert tokens == {"ada": said[0][0], "bob": "a-bob", "cleo": said[1][0]}
    assert [row["key"] for row in keys(data)] == ["k2"]
