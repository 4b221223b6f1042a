"""Which definition a person means, and what it is compared with."""

from datetime import UTC, datetime

import pytest

from portkey_mcp.errors import Mistake
from portkey_mcp.registry.reviewing import baseline, chosen, version, waiting
from portkey_mcp.registry.tables import DefinitionRow


def row(digest: str, state: str, day: int, decided: int | None = None) -> DefinitionRow:
    return DefinitionRow(
        workspace="team",
        server="files",
        name="read",
        digest=digest * 8,
        state=state,
        first_seen=datetime(2026, 1, day, tzinfo=UTC),
        decided_by="cli:ada" if decided else "",
        decided_at=datetime(2026, 1, decided, tzinfo=UTC) if decided else None,
        definition={"name": "read", "description": digest},
    )


def digests(rows: object) -> list[str]:
    return [one.digest[0] for one in rows]  # type: ignore[attr-defined]


def test_the_one_that_waits_is_meant() -> None:
    assert digests(chosen([row("a", "allowed", 1), row("b", "pending", 2)], "files/read", None, True)) == ["b"]


def test_what_came_while_a_person_read_is_not_approved_with_it() -> None:
    rows = [row("a", "pending", 1), row("b", "pending", 2)]

    with pytest.raises(Mistake, match="several definitions of 'files/read' could be meant"):
        chosen(rows, "files/read", None, True)
    assert digests(chosen(rows, "files/read", None, False)) == ["a", "b"]


def test_a_digest_means_a_version_in_any_state() -> None:
    rows = [row("a", "allowed", 1), row("b", "refused", 2)]

    assert digests(chosen(rows, "files/read", "AAAAAAAA", False)) == ["a"]
    assert digests(chosen(rows, "files/read", "bbbbbbbb", True)) == ["b"]


def test_what_means_nothing_is_answered_with_what_there_is() -> None:
    rows = [row("a", "allowed", 1)]

    with pytest.raises(Mistake, match=r"of 'files/read' waits.*known are: aaaaaaaa \(allowed, 2026-01-01\)"):
        chosen(rows, "files/read", None, True)
    with pytest.raises(Mistake, match="begins with 'cccccccc'; known are"):
        chosen(rows, "files/read", "cccccccc", True)
    with pytest.raises(Mistake, match="at least 8 characters"):
        chosen(rows, "files/read", "aaa", True)
    with pytest.raises(Mistake, match="never seen to offer"):
        chosen([], "files/read", None, True)


def test_two_that_begin_alike_must_be_told_apart() -> None:
    rows = [row("a", "pending", 1), row("a", "pending", 2)]
    rows[1].digest = "aaaaaaaabbb"

    with pytest.raises(Mistake, match="several"):
        chosen(rows, "files/read", "aaaaaaaa", True)
    assert len(chosen(rows, "files/read", "aaaaaaaab", True)) == 1


def test_a_version_is_compared_with_what_was_let_through_last() -> None:
    rows = [row("a", "allowed", 1, decided=9), row("b", "allowed", 5), row("c", "refused", 6), row("d", "pending", 7)]
    versions = [version(one) for one in rows]

    assert [one.digest[0] for one in (baseline(versions, versions[3]), baseline(versions, versions[0])) if one] == [
        "a",
        "b",
    ]
    assert baseline(versions[2:], versions[3]) is None


def test_what_waits_is_new_or_changed() -> None:
    day = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [("s", "a", "1", "allowed", day), ("s", "a", "2", "pending", day), ("s", "b", "3", "pending", day)]

    assert [(one.name, one.what) for one in waiting(rows)] == [("a", "changed"), ("b", "new")]
