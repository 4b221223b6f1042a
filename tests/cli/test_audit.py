import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import anyio
import pytest

from portkey_mcp.activity.acts import Act
from portkey_mcp.cli.audit import moment
from portkey_mcp.cli.stores import opened
from portkey_mcp.cli.who import who
from portkey_mcp.errors import Mistake
from portkey_mcp.model import Principal
from portkey_mcp.settings import load
from tests.cli.program import run

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ADA = Principal("person:1", "Ada", "person", email="ada@example.com")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    assert run("workspaces", "add", "team", "--data", tmp_path).code == 0

    async def note() -> None:
        async with opened(load(data=tmp_path)) as stores:
            stores.note(Act("sign_in", actor="eve\x1b[2J", address="10.0.0.9", outcome="refused", why="wrong password"))
            stores.note(Act("member", ADA, workspace="team", subject="bob@example.com", detail={"role": "admin"}))
            stores.note(Act("key_ended", workspace="team", subject="ci"))

    anyio.run(note)
    return tmp_path


def listed(data: Path, *arguments: object) -> list[dict[str, object]]:
    return [json.loads(line) for line in run("audit", "list", "--json", *arguments, "--data", data).out.splitlines()]


def test_acts_are_listed_the_newest_first_and_the_command_line_is_somebody(data: Path) -> None:
    found = listed(data)
    assert [(one["act"], one["actor"], one["subject"]) for one in found] == [
        ("key_ended", who(), "ci"),
        ("member", "person:1", "bob@example.com"),
        ("sign_in", "", ""),
    ]
    assert found[1]["detail"] == {"role": "admin"}


def test_a_person_reads_a_table_that_nobody_can_steer(data: Path) -> None:
    ran = run("audit", "list", "--data", data)
    assert "refused: wrong password" in ran.out
    assert "role=admin" in ran.out
    assert "\x1b" not in ran.out


@pytest.mark.parametrize(
    ("arguments", "acts"),
    [
        (("--workspace", "team"), ["key_ended", "member"]),
        (("--act", "sign_in"), ["sign_in"]),
        (("--who", "ada@example.com"), ["member"]),
        (("--outcome", "refused"), ["sign_in"]),
        (("--limit", "1"), ["key_ended"]),
        (("--since", "1h"), ["key_ended", "member", "sign_in"]),
        (("--since", "2999-01-01"), []),
    ],
)
def test_acts_are_found_by_what_they_are(data: Path, arguments: tuple[str, ...], acts: list[str]) -> None:
    assert [one["act"] for one in listed(data, *arguments)] == acts


def test_more_than_a_page_is_read_to_the_end(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portkey_mcp.cli.audit.LARGEST_PAGE", 2)
    assert len(listed(data)) == 3


@pytest.mark.parametrize("arguments", [("--act", "dance"), ("--since", "soon"), ("--workspace", "other")])
def test_what_there_is_not_is_a_mistake(data: Path, arguments: tuple[str, str]) -> None:
    ran = run("audit", "list", *arguments, "--data", data)
    assert ran.code == 2
    assert arguments[1] in ran.err


def test_nothing_is_told_in_words(tmp_path: Path) -> None:
    assert run("audit", "list", "--data", tmp_path).out == "Nothing was noted yet that fits.\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("90m", NOW - timedelta(minutes=90)),
        ("12h", NOW - timedelta(hours=12)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
        ("2026-11-22T18:30", datetime(2026, 11, 22, 18, 30, tzinfo=UTC)),
        ("2026-11-22T18:30+02:00", datetime(2026, 11, 22, 18, 30, tzinfo=timezone(timedelta(hours=2)))),
    ],
)
def test_a_moment_is_written_in_several_ways(text: str, found: datetime) -> None:
    assert moment(text, NOW) == found


@pytest.mark.parametrize("text", ["", "yesterday", "999999d", "7w", "-3d"])
def test_what_is_no_moment_is_a_mistake(text: str) -> None:
    with pytest.raises(Mistake, match="is no moment"):
        moment(text, NOW)
