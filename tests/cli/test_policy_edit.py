"""A person edits a policy: real processes, a real editor (a script), and a real terminal where one is needed."""

import os
import pty
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest

from portkey_mcp.model import Endpoint, Principal, Taken, Visit, Workspace
from portkey_mcp.policy.decide import Allow, Rules, Thing
from portkey_mcp.policy.limits import charges_of
from portkey_mcp.registry.document import parse_policy
from portkey_mcp.registry.tables import DefinitionRow
from portkey_mcp.storage.counters import SqliteCounter
from portkey_mcp.storage.database import Database
from tests.cli.program import Ran, run

BEFORE = "rules:\n  - match: 'files/*'\n    timeout: 60s   # long\n"
AFTER = BEFORE + "  - match: files/write\n    enabled: false\n"
TYPO = AFTER.replace("enabled", "enabeld")

EDITOR = """\
import pathlib, subprocess, sys
here, file = pathlib.Path(__file__).parent, pathlib.Path(sys.argv[1])
texts = sorted(here.glob("*.text"))
(here / "seen").write_text(f"{file} {oct(file.stat().st_mode)[-3:]} {oct(file.parent.stat().st_mode)[-3:]}")
(here / "before").write_text(file.read_text())
if texts:
    file.write_bytes(texts[0].read_bytes())
    texts[0].unlink()
if (here / "meanwhile").exists():
    subprocess.run((here / "meanwhile").read_text().splitlines(), check=True, stdout=subprocess.DEVNULL)
"""


class Desk(NamedTuple):
    """Where somebody works: the data, the editor's folder, and where drafts are."""

    data: Path
    editor: Path
    drafts: Path

    def types(self, *texts: str) -> None:
        """What the editor leaves behind, each time that it is opened."""
        for number, text in enumerate(texts):
            (self.editor / f"{number}.text").write_text(text)

    def edit(self, *options: str) -> Ran:
        return run("policy", "edit", "-w", "team", "--data", self.data, *options)

    def edit_on_terminal(self, answers: str) -> tuple[int, str]:
        """The exit code, and all that the terminal showed."""
        master, slave = pty.openpty()
        command = [sys.executable, "-m", "portkey_mcp", "policy", "edit", "-w", "team", "--data", str(self.data)]
        process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TMPDIR": str(self.drafts)}
        )
        os.close(slave)
        os.write(master, answers.encode())
        shown = b""
        try:
            while part := os.read(master, 65_536):
                shown += part
        except OSError:  # the terminal's other end is closed
            pass
        os.close(master)
        return process.wait(), shown.decode().replace("\r\n", "\n")

    def text(self) -> str:
        return run("policy", "show", "-w", "team", "--data", self.data).out

    def kept(self) -> list[str]:
        return [file.read_text() for file in self.drafts.rglob("team.yaml")]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    found = Desk(tmp_path / "data", tmp_path / "editor", tmp_path / "drafts")
    found.editor.mkdir()
    found.drafts.mkdir()
    (found.editor / "edit.py").write_text(EDITOR)
    monkeypatch.setenv("EDITOR", f"{sys.executable} {found.editor / 'edit.py'}")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(found.drafts))
    run("workspaces", "add", "team", "--data", found.data)
    run("servers", "add", "files", "--url", "http://127.0.0.1:9/mcp", "-w", "team", "--data", found.data)
    anyio.run(know, found.data, "read", "write")
    (tmp_path / "first.yaml").write_text(BEFORE)
    run("policy", "save", tmp_path / "first.yaml", "-w", "team", "--data", found.data)
    return found


async def know(data: Path, *tools: str) -> None:
    """As if the server had been listed with these tools."""
    database, now = await Database.open(data), datetime.now(UTC)
    async with database.write() as session:
        for tool in tools:
            row = DefinitionRow(workspace="team", server="files", name=tool, digest="d", definition={"name": tool})
            row.state, row.first_seen, row.decided_by = "allowed", now, ""
            session.add(row)
    await database.close()


def test_what_was_typed_is_checked_compared_explained_and_saved(desk: Desk) -> None:
    desk.types(AFTER)
    ended = desk.edit("--yes", "--why", "nobody writes")

    assert ended.code == 0
    assert "--- version 1\n+++ yours\n" in ended.out
    assert "+    enabled: false" in ended.out
    assert "files/write" in ended.out.partition("+    enabled: false")[2]
    assert ended.out.endswith("Version 2 of the policy of workspace 'team' is in force.\n")
    assert desk.text() == AFTER
    assert "nobody writes" in run("policy", "history", "-w", "team", "--data", desk.data).out
    assert desk.kept() == []


def test_people_who_fare_otherwise_than_their_role_are_named(desk: Desk) -> None:
    for name, group in (("Ada", "ops"), ("Bob", "day")):
        added = (f"{name}@example.com", "--name", name, "-w", "team", "--group", group)
        run("people", "add", *added, "--data", desk.data)
    desk.types(AFTER.rstrip("\n") + "\n    for: {groups: [ops]}\n")
    ended = desk.edit("--yes")

    assert ended.code == 0
    assert "Ada" in ended.out
    assert "Bob" not in ended.out


def test_the_draft_is_the_text_itself_for_this_user_only_with_its_schema(desk: Desk) -> None:
    desk.types(AFTER)
    desk.edit("--yes")
    place, mode, mode_of_folder = (desk.editor / "seen").read_text().split()

    assert (desk.editor / "before").read_text() == BEFORE
    assert (Path(place).name, mode[-2:], mode_of_folder) == ("team.yaml", "44", "700")


def test_a_typo_is_shown_and_edited_again(desk: Desk) -> None:
    desk.types(TYPO, AFTER)
    code, shown = desk.edit_on_terminal("y\ny\n")

    assert code == 0
    assert re.search(r"team\.yaml:5:5: unknown key 'enabeld'; did you mean 'enabled'\?\n", shown)
    assert "Edit again? [Y/n]" in shown
    assert "Save? [y/N]" in shown
    assert desk.text() == AFTER


def test_a_typo_that_is_given_up_is_kept_and_changes_nothing(desk: Desk) -> None:
    desk.types(TYPO)
    code, shown = desk.edit_on_terminal("n\n")

    assert code == 2
    assert f"Nothing was saved; your text is in {desk.drafts}" in shown
    assert desk.kept() == [TYPO]
    assert desk.text() == BEFORE


def test_a_typo_without_a_terminal_ends_the_command(desk: Desk) -> None:
    desk.types(TYPO)
    ended = desk.edit("--yes")

    assert ended.code == 2
    assert "did you mean 'enabled'?" in ended.err
    assert "Nothing was saved; your text is in " in ended.err
    assert desk.kept() == [TYPO]


def test_a_glob_that_matches_nothing_is_warned_of(desk: Desk) -> None:
    desk.types(AFTER.replace("files/write", "files/wirte"))
    ended = desk.edit("--yes")

    assert ended.code == 0
    assert "Warning: rule 2: " in ended.err
    assert "files/write" in ended.err


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"])
def test_who_does_not_say_yes_saves_nothing_and_keeps_the_text(desk: Desk, answer: str) -> None:
    desk.types(AFTER)
    code, shown = desk.edit_on_terminal(answer)

    assert code == 1
    assert "Nothing was saved; your text is in" in shown
    assert desk.kept() == [AFTER]
    assert desk.text() == BEFORE


def test_an_editor_that_changes_nothing_saves_nothing(desk: Desk) -> None:
    ended = desk.edit("--yes")

    assert ended[0::2] == (0, "")
    assert ended.out.startswith("Nothing was changed.")
    assert desk.kept() == []


def test_without_a_terminal_nobody_is_asked_and_no_editor_opened(desk: Desk) -> None:
    ended = desk.edit()

    assert (ended.code, ended.err) == (2, "there is no terminal to ask on whether to save; give --yes\n")
    assert not (desk.editor / "seen").exists()


def test_what_somebody_else_saved_meanwhile_is_not_overwritten(desk: Desk) -> None:
    other = desk.data / "other.yaml"
    other.write_text("rules: []\n")
    save = [sys.executable, "-m", "portkey_mcp", "policy", "save", other, "-w", "team", "--data", desk.data]
    (desk.editor / "meanwhile").write_text("\n".join(map(str, save)))
    desk.types(AFTER)
    ended = desk.edit("--yes")

    assert ended.code == 2
    assert "was changed meanwhile" in ended.err
    assert desk.kept() == [AFTER]
    assert desk.text() == "rules: []\n"


@pytest.mark.parametrize(
    ("editor", "said"),
    [
        (f"{sys.executable} -c 'raise SystemExit(3)'", "ended with code 3"),
        ("no-such-editor --wait", "the editor 'no-such-editor' of VISUAL or EDITOR is not there"),
        ("'unclosed", "cannot be read: No closing quotation"),
    ],
)
def test_an_editor_that_does_not_work_is_named(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, editor: str, said: str
) -> None:
    monkeypatch.setenv("VISUAL", editor)
    ended = desk.edit("--yes")

    assert ended.code == 2
    assert said in ended.err
    assert desk.text() == BEFORE


def test_a_workspace_without_a_policy_begins_with_a_small_document(desk: Desk) -> None:
    run("workspaces", "add", "new", "--data", desk.data)
    desk.types("rules: [{match: 'files/*', cost: 5}]\n")
    ended = run("policy", "edit", "-w", "new", "--data", desk.data, "--yes")

    assert ended.code == 0
    assert "--- no policy\n" in ended.out
    assert (desk.editor / "before").read_text().startswith("# yaml-language-server: $schema=policy.schema.json\n")


def test_a_limit_that_is_used_up_already_is_warned_of(desk: Desk) -> None:
    limited = BEFORE + "  - match: files/write\n    limits: [{calls: 20, per: month, each: workspace}]\n"
    anyio.run(use, desk.data, limited, 15)
    desk.types(limited.replace("calls: 20", "calls: 10"))

    ran = desk.edit("--yes")

    assert ran.code == 0
    assert "Warning: rule 2: the limit of 10 calls per month for the whole workspace is used up already" in ran.err
    assert "(15 used); it opens again at " in ran.err
    assert "calls: 10" in desk.text()


async def use(data: Path, policy: str, calls: int) -> None:
    """So many calls were made of `files/write` under a policy."""
    database = await Database.open(data)
    document, _ = parse_policy(policy, "policy")
    visit = Visit(Principal("p", "p", "person", {"team": "member"}), Endpoint("hub", Workspace("team", "", {}, {})))
    thing = Thing("tool", "files", "write")
    decision = Rules(document).decide(visit, thing)
    assert isinstance(decision, Allow)
    async with SqliteCounter(database.path) as counter:
        for _ in range(calls):
            charges = charges_of(decision.terms, visit, thing, document.time_zone, datetime.now(UTC))
            assert isinstance(await counter.take([charge.take for charge in charges]), Taken)
    await database.close()
