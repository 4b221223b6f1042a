"""A draft is checked against a workspace: what is wrong, what is odd, what would change, what it would have refused."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from portkey_mcp.activity.record import CallRecord, Record
from portkey_mcp.model import McpServer
from portkey_mcp.policy.document import ServerPolicy
from portkey_mcp.registry.definitions import Definitions, digest_of
from portkey_mcp.storage.database import Database
from tests.activity.calls import call
from tests.cli.program import Ran, run

POLICY = """version: 1
rules:
  - match: "files/*"
    timeout: 60s
  - match: "files/write_*"
    enabled: true
"""

GATEWAY = """version: 1
workspaces:
  team:
    servers: {files: {url: "http://127.0.0.1:1/mcp"}}
    api_keys: [{name: ci, key: pk_0123456789012345678901234567890123456789, role: member}]
    policy: policy.yaml
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(POLICY)
    file = tmp_path / "portkey.yaml"
    file.write_text(GATEWAY)
    return file


def check(config: Path, draft: str, *arguments: object) -> Ran:
    file = config.parent / "draft.yaml"
    file.write_text(draft)
    data = config.parent / "data"
    return run("policy", "check", file, "--workspace", "team", "--config", config, "--data", data, *arguments)


def recorded(config: Path, *calls: CallRecord) -> None:
    async def write() -> None:
        database = await Database.open(config.parent / "data")
        record = Record(database)
        for one in calls:
            record.note(one._replace(workspace="team"))
        assert await record.flush()
        await database.close()

    anyio.run(write)


def seen(config: Path, *tools: dict[str, Any]) -> None:
    async def see() -> None:
        database = await Database.open(config.parent / "data")
        definitions = Definitions(database)
        offered = {tool["name"]: (digest_of(tool), tool) for tool in tools}
        definitions.seen(McpServer("team", "files", "http"), ServerPolicy(), offered)
        await definitions.flush()
        await database.close()

    anyio.run(see)


def ago(**since: float) -> datetime:
    return datetime.now(UTC) - timedelta(**since)


def test_it_says_nothing_about_a_document_that_is_right(config: Path) -> None:
    assert run("policy", "check", config.parent / "policy.yaml") == (0, "", "")


def test_it_says_where_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY.replace("enabled: true", "enabeld: true"))
    ended = run("policy", "check", file)

    assert ended.code == 2
    assert ended.err.startswith(f"{file}:6:5: ")


def test_what_is_in_force_changes_nothing(config: Path) -> None:
    ended = check(config, POLICY)

    assert (ended.code, ended.out) == (0, "Nothing changes for anybody that is known here.\n")
    assert json.loads(check(config, POLICY, "--json").out) == {"warnings": [], "impact": []}


def test_against_a_workspace_it_tells_what_would_change_and_warns(config: Path) -> None:
    assert check(config, POLICY).code == 0
    seen(config, {"name": "write_file"}, {"name": "read_file"})
    ended = check(config, POLICY.replace("true", "false") + "  - {match: files/raed_*, timeout: 5s}\n")

    assert ended.code == 0
    assert ended.out.splitlines()[0] == "everybody: files/write_* would disappear"
    assert ended.err.splitlines()[-1] == (
        "Warning: rule 3: files/raed_* matches no tool of server files; did you mean files/read_*?"
    )


def test_a_replay_tells_what_would_have_been_refused(config: Path) -> None:
    assert check(config, POLICY).code == 0
    recorded(
        config,
        call(name="write_file", at=ago(days=1), outcome="refused"),
        call(name="write_file", at=ago(hours=2)),
        call(name="read_file", at=ago(hours=1)),
        call(name="write_file", at=ago(days=9)),
    )
    draft = POLICY.replace("true", "false") + "  - {match: files/read_*, when: args.path != '/'}\n"
    ended = check(config, draft, "--simulate")

    assert ended.code == 0
    assert ended.out.splitlines()[-4:] == [
        "RULE  WHO  WHAT              WOULD BE REFUSED  WHY",
        "2     ci   files/write_file  2                 disabled",
        "",
        "Of 3 calls in 7 days 2 would have been refused (1 were refused then); for 1 it depends on arguments (when 1).",
    ]
    told = json.loads(check(config, draft, "--simulate", "--days", "30", "--json").out)["simulation"]
    assert (told["calls"], told["refused"], told["findings"][0]["rule"]) == (4, 3, 2)


def test_a_replay_knows_what_tools_say_of_themselves(config: Path) -> None:
    assert check(config, POLICY).code == 0
    seen(config, {"name": "write_file"}, {"name": "read_file", "annotations": {"readOnlyHint": True}})
    recorded(config, *(call(name=name, at=ago(hours=1)) for name in ("write_file", "read_file", "other")))
    draft = "rules: [{match: '*', read_only: true}]\nversion: 1\n"

    assert check(config, draft, "--simulate").out.splitlines()[-1] == (
        "Of 3 calls in 7 days 1 would have been refused; "
        "for 1 it depends on arguments, results or a person (read_only 1)."
    )


def test_a_long_table_is_cut_and_an_empty_record_is_said_to_be_empty(config: Path) -> None:
    none = "version: 1\nrules: [{match: 'files/*', enabled: false}]\n"
    assert check(config, none, "--simulate", "--days", "1").out.endswith("No calls of the last 1 day are recorded.\n")
    recorded(config, *(call(name=f"tool_{number}", at=ago(hours=1)) for number in range(50)))
    assert "and 10 more; --json tells all" in check(config, none, "--simulate").out


def test_a_replay_needs_a_workspace(config: Path) -> None:
    ended = run("policy", "check", config.parent / "policy.yaml", "--simulate")

    assert ended.code == 2
    assert "--workspace" in ended.err
    alone = run("policy", "check", config.parent / "policy.yaml", "--json")
    assert json.loads(alone.out) == {"warnings": [], "impact": []}
