import json
from pathlib import Path

import anyio
import pytest

from portkey_mcp.approval.approvals import Approvals
from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.model import Endpoint, Principal, Visit, Workspace
from portkey_mcp.policy.decide import Thing
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from tests.cli.program import run

ARGUMENTS = {"name": "write_file", "arguments": {"path": "/secret/place"}}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    assert run("workspaces", "add", "team", "--data", tmp_path).code == 0
    return tmp_path


async def ask(data: Path) -> None:
    """One call of a key that was approved, one of a person that waits, one that was declined in place."""
    database = await Database.open(data)
    try:
        approvals, identity = Approvals(database, KeyRing.of(data)), Identity(database)
        key = await identity.create_key("team", "laptop")
        caller = await identity.authenticate({"authorization": f"Bearer {key}"})
        endpoint = Endpoint("hub", Workspace("team", "Team", {}, {}))
        visit = Visit(caller, endpoint)
        asked = await approvals.ask(visit, Thing("tool", "files", "write_file"), ARGUMENTS, via="page")
        await approvals.decide(asked.id, True, caller.id)
        ada = Visit(Principal("ada", "Ada", "person", {"team": "member"}), endpoint)
        await approvals.ask(ada, Thing("tool", "files", "evil\x1b[2J"), ARGUMENTS, via="page")
        await approvals.record_denied(ada, Thing("prompt", "files", "p"), {"name": "p"}, by="ada", via="elicitation")
    finally:
        await database.close()


def test_approvals_are_listed_with_who_what_and_who_decided_newest_first(data: Path) -> None:
    anyio.run(ask, data)
    ran = run("approvals", "list", "-w", "team", "--data", data, "--json")
    listed = [json.loads(line) for line in ran.out.splitlines()]

    assert [{**one, "at": "", "decided_at": ""} for one in listed] == [
        {"at": "", "who": who, "what": what, "state": state, "via": via, "decided_by": by, "decided_at": ""}
        for who, what, state, via, by in (
            ("ada", "prompt:files/p", "denied", "elicitation", "ada"),
            ("ada", "files/evil\\u{1b}[2J", "asked", "page", ""),
            ("laptop", "files/write_file", "granted", "page", "laptop"),
        )
    ]
    assert listed[0]["at"]
    assert listed[1]["decided_at"] is None


def test_a_person_reads_a_table_without_arguments(data: Path) -> None:
    anyio.run(ask, data)
    ran = run("approvals", "list", "--workspace", "team", "--data", data)

    assert ran.code == 0
    assert ran.out.split("\n")[0].split() == ["AT", "WHO", "WHAT", "STATE", "VIA", "DECIDED", "BY", "DECIDED", "AT"]
    assert "/secret/place" not in ran.out
    assert "\x1b" not in ran.out


def test_where_nobody_was_asked_it_says_what_would_ask(data: Path) -> None:
    assert "require_approval" in run("approvals", "list", "-w", "team", "--data", data).out


def test_an_unknown_workspace_is_a_mistake(data: Path) -> None:
    ran = run("approvals", "list", "-w", "nowhere", "--data", data)
    assert (ran.code, "'nowhere'" in ran.err) == (2, True)
