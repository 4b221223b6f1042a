import io
import json
import sys
from pathlib import Path

import pytest

from tests.cli.program import Ran, run

TEXT = """\
# yaml-language-server: $schema=policy.schema.json
version: 1
rules:
  - match: "files/*"      # the whole server
    enabled: true
    timeout: 60s
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    run("workspaces", "add", "team", "--data", tmp_path)
    run("servers", "add", "files", "--url", "http://127.0.0.1:9/mcp", "-w", "team", "--data", tmp_path)
    return tmp_path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "new.yaml"
    path.write_text(TEXT)
    return path


def change(data: Path, *arguments: object) -> Ran:
    return run("policy", *arguments, "-w", "team", "--data", data)


def text(data: Path) -> str:
    return change(data, "show").out


def reasons(data: Path) -> list[str]:
    return [json.loads(line)["why"] for line in change(data, "history", "--json").out.splitlines()]


def test_save_puts_a_document_in_force_once(data: Path, file: Path) -> None:
    ended = change(data, "save", file, "--why", "a start")

    assert ended[:2] == (0, "Saved: version 1 of the policy of workspace 'team' is in force.\n")
    assert text(data) == TEXT
    assert change(data, "save", file).out == "Nothing to change: version 1 says that already.\n"


def test_save_reads_standard_input(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(TEXT))

    assert change(data, "save", "-").code == 0
    assert text(data) == TEXT


def test_save_refuses_a_wrong_document_with_its_place(data: Path, file: Path) -> None:
    change(data, "save", file)
    file.write_text(TEXT.replace("enabled", "enabeld"))

    assert change(data, "save", file) == (2, "", f"{file}:5:5: unknown key 'enabeld'; did you mean 'enabled'?\n")
    assert text(data) == TEXT


def test_save_refuses_what_was_made_from_an_older_version(data: Path, file: Path) -> None:
    change(data, "save", file)
    change(data, "disable", "files/write")
    file.write_text("rules: []\n")

    ended = change(data, "save", file, "--based-on", 1)
    assert ended.code == 2
    assert "was changed meanwhile" in ended.err
    assert change(data, "save", file, "--based-on", 2).code == 0


def test_save_warns_of_what_is_probably_a_mistake(data: Path, file: Path) -> None:
    file.write_text(TEXT.replace("files/*", "flies/*"))
    ended = change(data, "save", file)

    assert ended.code == 0
    assert ended.err.startswith("Warning: rule 1: ")
    assert "files" in ended.err


def test_rollback_makes_a_new_version_of_an_old_text(data: Path, file: Path) -> None:
    change(data, "save", file)
    change(data, "disable", "files/write")

    assert change(data, "rollback", 1).out.startswith("Back to version 1: version 3 ")
    assert text(data) == TEXT
    assert reasons(data)[0] == "Back to version 1"


def test_disable_and_enable_flip_one_switch(data: Path, file: Path) -> None:
    change(data, "save", file)

    assert change(data, "disable", "files/*").out.startswith("Disabled files/*: version 2 ")
    assert text(data) == TEXT.replace("enabled: true", "enabled: false")
    change(data, "enable", "files/*", "--why", "they asked")
    assert text(data) == TEXT
    assert reasons(data) == ["they asked", "Disabled files/*", ""]
    assert change(data, "enable", "files/*").out == "Nothing to change: the policy says that already.\n"


def test_a_switch_for_roles_is_a_rule_of_its_own(data: Path, file: Path) -> None:
    change(data, "save", file)
    change(data, "disable", "files/*", "--role", "viewer", "--role", "member")

    assert text(data) == TEXT + '  - match: "files/*"\n    for: {roles: [viewer, member]}\n    enabled: false\n'


def test_the_first_switch_makes_the_first_document(data: Path) -> None:
    change(data, "disable", "files/delete_*")

    assert text(data).startswith("# yaml-language-server: $schema=policy.schema.json\nversion: 1\n")


def test_set_changes_members_and_takes_them_out(data: Path, file: Path) -> None:
    change(data, "save", file)
    ended = change(data, "set", "files/*", "timeout=", "limits=[{calls: 5, per: hour}]", "when=args.a == 'x'")

    assert ended.code == 0
    assert text(data) == TEXT.replace("timeout: 60s", "limits: [{calls: 5, per: hour}]\n    when: args.a == 'x'")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("set", "files/*", "timeot=3s"), "unknown member 'timeot'; did you mean 'timeout'?"),
        (("set", "files/*", "timeout"), "'timeout' is not understood; expected MEMBER=VALUE"),
        (("set", "files/*", "match=x"), "unknown member 'match'; "),
        (("set", "files/*", "timeout=3"), "expected a duration like 500ms, 60s, 5m, 2h or 1d"),
        (("set", "files/*", "limits=[{calls: 1"), "limits:2:1: "),
        (("disable", "files/x", "--role", "viewr"), "unknown role 'viewr'; did you mean 'viewer'?"),
        (("disable", "files"), "'files' names a server at most; write server/tool"),
        (("disable", "tol:files/x"), "begins with no kind"),
        (("rollback", 9), "has no version 9; there are 1 to 1"),
    ],
)
def test_what_is_wrong_changes_nothing(data: Path, file: Path, arguments: tuple[object, ...], said: str) -> None:
    change(data, "save", file)
    ended = change(data, *arguments)

    assert ended.code == 2
    assert said in ended.err
    assert text(data) == TEXT


def test_a_files_policy_is_not_changed_by_hand(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(TEXT)
    config = tmp_path / "portkey.yaml"
    config.write_text("version: 1\nworkspaces: {team: {policy: rules.yaml}}\n")
    for arguments in (("disable", "files/x"), ("save", tmp_path / "rules.yaml"), ("rollback", 1), ("edit", "--yes")):
        ended = run("policy", *arguments, "-w", "team", "--config", config, "--data", tmp_path)
        assert (ended.code, ended.err) == (
            2,
            "the policy of workspace 'team' is managed by a configuration file; edit it there: rules.yaml\n",
        )
