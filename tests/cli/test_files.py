import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.cli.program import run

GOOD = "version: 1\nworkspaces:\n  team:\n    servers:\n      files: {command: [npx, some-server]}\n"


def test_check_says_nothing_about_a_file_that_is_right(tmp_path: Path) -> None:
    file = tmp_path / "portkey.yaml"
    file.write_text(GOOD)

    assert run("check", file) == (0, "", "")


def test_check_says_where_what_is_wrong_and_ends_with_2(tmp_path: Path) -> None:
    file = tmp_path / "portkey.yaml"
    file.write_text(GOOD.replace("command", "comand"))
    ended = run("check", file)

    assert ended.code == 2
    assert ended.err.startswith(f"{file}:5:15: ")
    assert "command" in ended.err


def test_check_says_that_there_is_no_such_file(tmp_path: Path) -> None:
    ended = run("check", tmp_path / "none.yaml")

    assert ended.code == 2
    assert "none.yaml: " in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(("which", "member"), [("portkey", "workspaces"), ("policy", "rules")])
def test_schema_prints_a_json_schema(which: str, member: str) -> None:
    schema = json.loads(run("schema", which).out)

    assert schema["$schema"].endswith("2020-12/schema")
    assert member in schema["properties"]


def test_schema_knows_no_other_file() -> None:
    assert run("schema", "other").code == 2


POLICY = """\
version: 1
rules:
  - match: "*"
    timeout: 60s
    max_result: 150KB
    limits: [{calls: 1000, per: day, each: user}]
  - match: "linear/delete_*"
    enabled: false
  - match: "files/write_file"
    for: {roles: [member], groups: [contractors]}
    enabled: false
  - match: "github/create_*"
    limits: [{calls: 20, per: hour, each: user}, {calls: 200, per: day, each: workspace}, {concurrent: 2, each: user}]
    require_approval: true
    when: "args.repo.startsWith('acme/')"
    redact: [email, secrets]
  - match: [crm/export, "prompt:crm/*"]
    for: {networks: [10.0.0.0/8]}
    max_result: {size: 1MB, over: refuse}
    limits: [{cost: 50, per: month, each: [user, tool]}]
    redact: [{pattern: "ACME-[0-9]+", name: ticket, in: both, do: block}]
servers:
  linear: {new_tools: review, pin: true}
"""


def test_the_schema_of_a_policy_knows_every_member_and_no_typo() -> None:
    judge = Draft202012Validator(json.loads(run("schema", "policy").out))

    assert [error.message for error in judge.iter_errors(yaml.safe_load(POLICY))] == []
    for right, wrong in (
        ("enabled:", "enabeld:"),
        ("timeout: 60s", "timeout: 60"),
        ("max_result: 150KB", "max_result: 150 kilo"),
        ("per: hour", "per: huor"),
        ("each: workspace", "each: workspaces"),
        ("redact: [email", "redact: [emial"),
        ("over: refuse", "over: refused"),
        ("new_tools: review", "new_tools: reviewed"),
        ("pin: true", "pins: true"),
    ):
        assert right in POLICY
        assert not judge.is_valid(yaml.safe_load(POLICY.replace(right, wrong))), wrong
