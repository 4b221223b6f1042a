import json
from pathlib import Path

import pytest
import yaml

from tests.cli.program import Ran, run

POLICY = """version: 1
rules:
  - match: "files/*"
    for: {roles: [viewer]}
    enabled: false
  - match: "files/read_*"
    enabled: true
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(POLICY)
    file = tmp_path / "portkey.yaml"
    file.write_text("version: 1\nworkspaces: {team: {policy: policy.yaml}}\n")
    return file


def ask(config: Path, *arguments: object) -> Ran:
    return run("policy", *arguments, "--workspace", "team", "--config", config, "--data", config.parent / "data")


def test_check_says_nothing_about_a_document_that_is_right(config: Path) -> None:
    assert run("policy", "check", config.parent / "policy.yaml") == (0, "", "")


def test_check_says_where_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY.replace("enabled: true", "enabeld: true"))
    ended = run("policy", "check", file)

    assert ended.code == 2
    assert ended.err.startswith(f"{file}:7:5: ")


def test_show_prints_the_document_so_that_it_can_be_used_again(config: Path) -> None:
    again = yaml.safe_load(ask(config, "show").out)

    assert [rule["match"] for rule in again["rules"]] == [["files/*"], ["files/read_*"]]
    assert again["rules"][0]["for"] == {"roles": ["viewer"]}
    assert json.loads(ask(config, "show", "--json").out) == again


@pytest.mark.parametrize(
    ("thing", "role", "allowed"),
    [
        ("files/write_file", "viewer", False),
        ("files/read_file", "viewer", True),
        ("files/write_file", "member", True),
        ("prompt:files/any", "viewer", True),
    ],
)
def test_explain_says_for_whom_a_thing_exists(config: Path, thing: str, role: str, allowed: bool) -> None:
    answer = json.loads(ask(config, "explain", thing, "--role", role, "--json").out)

    assert answer["allowed"] is allowed


def test_explain_names_the_rule_that_decides(config: Path) -> None:
    said = ask(config, "explain", "files/write_file", "--role", "viewer").out.splitlines()

    assert said == [
        "files/write_file is hidden: disabled by rule 1 of the policy",
        "  rule 1 (files/*) disables it and decides",
    ]


def test_explain_does_not_guess_what_a_thing_is(config: Path) -> None:
    ended = ask(config, "explain", "write_file")

    assert ended.code == 2
    assert "server/tool" in ended.err
