"""Why can't I see this tool? The answer names who asks, the rules, what a call meets, and what is not of the policy."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from portkey_mcp.model import Endpoint, McpServer, Principal, Visit, Workspace
from portkey_mcp.policy.decide import Allow, Rules, Thing
from portkey_mcp.policy.document import ServerPolicy
from portkey_mcp.policy.limits import charges_of
from portkey_mcp.registry.definitions import Definitions, digest_of
from portkey_mcp.registry.document import load_policy
from portkey_mcp.storage.counters import SqliteCounter
from portkey_mcp.storage.database import FILE, Database
from tests.cli.program import Ran, run

POLICY = """version: 1
rules:
  - match: "files/*"
    for: {roles: [viewer]}
    enabled: false
  - match: "files/read_*"
    enabled: true
  - match: "files/write_*"
    for: {service_accounts: [ci]}
    limits: [{calls: 2, per: month, each: user}]
    when: args.path.startsWith("/srv/")
  - match: "files/delete_*"
    for: {networks: [10.0.0.0/8]}
    enabled: false
servers:
  files: {pin: true}
"""

GATEWAY = """version: 1
workspaces:
  team:
    servers: {files: {url: "http://127.0.0.1:1/mcp"}}
    api_keys: [{name: ci, key: pk_0123456789012345678901234567890123456789, role: admin}]
    policy: policy.yaml
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(POLICY)
    file = tmp_path / "portkey.yaml"
    file.write_text(GATEWAY)
    return file


def ask(config: Path, thing: str, *arguments: object) -> Ran:
    where = ("--workspace", "team", "--config", config, "--data", config.parent / "data")
    return run("policy", "explain", thing, *where, *arguments)


def told(config: Path, thing: str, *arguments: object) -> Any:
    ran = ask(config, thing, *arguments, "--json")
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def seen(config: Path, *tools: dict[str, Any]) -> None:
    async def see() -> None:
        database = await Database.open(config.parent / "data")
        definitions = Definitions(database)
        await definitions.refresh()
        for tool in tools:
            offered = {tool["name"]: (digest_of(tool), tool)}
            definitions.seen(McpServer("team", "files", "http"), ServerPolicy(pin=True), offered)
        await definitions.flush()
        await database.close()

    anyio.run(see)


def used_up(config: Path, key: str) -> None:
    """Take all that the policy leaves to a key of `files/write_file`."""
    policy, _ = load_policy(config.parent / "policy.yaml")
    endpoint = Endpoint("hub", Workspace("team", "team", {}, {}))
    visit, thing = (
        Visit(Principal(key, "ci", "service", {"team": "admin"}), endpoint),
        Thing("tool", "files", "write_file"),
    )
    decision = Rules(policy).decide(visit, thing)
    assert isinstance(decision, Allow)
    charges = charges_of(decision.terms, visit, thing, "UTC", datetime.now(UTC))

    async def take() -> None:
        async with SqliteCounter(config.parent / "data" / FILE) as counter:
            for _ in range(2):
                await counter.take([charge.take for charge in charges])

    anyio.run(take)


@pytest.mark.parametrize(
    ("thing", "role", "allowed"),
    [
        ("files/write_file", "viewer", False),
        ("files/read_file", "viewer", True),
        ("files/write_file", "member", True),
        ("prompt:files/any", "viewer", True),
    ],
)
def test_it_says_for_whom_a_thing_exists(config: Path, thing: str, role: str, allowed: bool) -> None:
    assert told(config, thing, "--role", role)["allowed"] is allowed


def test_the_verdict_comes_first_and_then_what_led_to_it(config: Path) -> None:
    assert ask(config, "files/write_file", "--role", "viewer", "--group", "ops").out.splitlines() == [
        "files/write_file is hidden: disabled by rule 1 of the policy",
        "",
        "  1. somebody (person, in group ops) is viewer of workspace team",
        "  2. rule 1 (files/*, for role viewer): disables, which decides",
    ]


def test_a_key_asks_by_its_name_with_its_role_and_what_is_left_to_it(config: Path) -> None:
    said = ask(config, "files/write_file", "--as", "ci", "--args", '{"path": "/srv/a"}').out.splitlines()

    assert said[:-1] == [
        "files/write_file is allowed: no rule says otherwise",
        "",
        "  1. ci (API key) is admin of workspace team",
        "  2. rule 3 (files/write_*, for API key ci):",
        '       only when args.path.startsWith("/srv/")',
        "       2 calls per month for each user",
        "",
        "A call now meets, in this order:",
        "",
        '  3. only when args.path.startsWith("/srv/") (rule 3): it holds',
    ]
    assert said[-1].startswith("  4. 2 calls per month for each user (rule 3): 2 left, 0 used; begins anew at ")


def test_a_member_asks_by_e_mail_address_with_their_role_and_groups(config: Path) -> None:
    where = ("--config", config, "--data", config.parent / "data")
    added = ("--name", "Ada", "-w", "team", "--role", "viewer", "--group", "ops")
    run("people", "add", "ada@example.com", *added, *where)
    run("keys", "create", "laptop", "-w", "team", "--person", "ada@example.com", *where)

    for who in ("Ada@Example.com", "laptop"):
        assert ask(config, "files/write_file", "--as", who).out.splitlines() == [
            "files/write_file is hidden: disabled by rule 1 of the policy",
            "",
            "  1. Ada (person, in group ops) is viewer of workspace team",
            "  2. rule 1 (files/*, for role viewer): disables, which decides",
        ]
    run("people", "disable", "ada@example.com", *where)
    assert "nobody comes with API key 'laptop': ada@example.com, whose it is, is kept out" in (
        ask(config, "files/x", "--as", "laptop").err
    )
    assert "no member 'ada@example.com'; known are: none" in ask(config, "files/x", "--as", "ada@example.com").err


def test_a_limit_that_is_used_up_refuses(config: Path) -> None:
    told(config, "files/x")
    keys = run("keys", "list", "--data", config.parent / "data", "--json").out
    used_up(config, str(json.loads(keys)["id"]))
    answer = told(config, "files/write_file", "--as", "ci", "--args", '{"path": "/srv/a"}')

    assert (answer["verdict"], answer["demands"][-1]["left"]["left"]) == ("refused", 0)


def test_arguments_are_tried_on_the_condition(config: Path) -> None:
    assert told(config, "files/write_file", "--as", "ci")["verdict"] == "depends"
    assert told(config, "files/write_file", "--as", "ci", "--args", '{"path": "/etc"}')["verdict"] == "refused"
    assert ask(config, "files/write_file", "--as", "ci").out.startswith(
        "files/write_file depends on the condition of rule 3\n"
    )


def test_the_address_counts(config: Path) -> None:
    assert told(config, "files/delete_file", "--address", "10.1.2.3")["verdict"] == "hidden"
    assert told(config, "files/delete_file", "--address", "192.0.2.1")["verdict"] == "allowed"
    assert told(config, "files/delete_file")["verdict"] == "allowed"


def test_a_definition_that_waits_for_a_person_is_the_reason(config: Path) -> None:
    told(config, "files/x")
    seen(config, {"name": "read_file", "description": "One."}, {"name": "read_file", "description": "Two."})
    answer = told(config, "files/read_file")

    assert (answer["verdict"], answer["allowed"]) == ("hidden", True)
    assert answer["reason"].startswith("its newest definition is changed and pending review since ")
    assert answer["notes"] == [
        "an earlier definition was let through; where the server still offers that one, it is seen"
    ]
    assert "  2. its newest definition is changed and pending review" not in ask(config, "files/x").out
    run("review", "refuse", "files/read_file", "-w", "team", "--data", config.parent / "data")
    assert told(config, "files/read_file")["reason"].startswith("its newest definition is refused by ")


def test_what_no_policy_decides_is_noted(config: Path) -> None:
    assert told(config, "flies/x")["notes"] == ["workspace 'team' has no server 'flies'; did you mean files?"]
    seen(config, {"name": "read_file"})
    assert told(config, "files/raed_file")["notes"] == [
        "server 'files' was never seen to offer this tool; did you mean files/read_file?"
    ]
    config.write_text(GATEWAY.replace('mcp"}', 'mcp", enabled: false}'))
    assert "Note: server 'files' is disabled\n" in ask(config, "files/read_file").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["write_file"], "server/tool"),
        (["files/x", "--args", "{"], "--args is no JSON"),
        (["files/x", "--args", "[1]"], "--args is no object"),
        (["files/x", "--address", "here"], "no IP address"),
        (["files/x", "--as", "nobody"], "no API key 'nobody'; known are: ci"),
        (["files/x", "--as", "ci", "--role", "owner"], "leave out --role"),
    ],
)
def test_what_is_not_understood_is_a_mistake(config: Path, arguments: list[str], said: str) -> None:
    thing, *rest = arguments
    ended = ask(config, thing, *rest)

    assert ended.code == 2
    assert said in ended.err
