import pytest

from portkey_mcp.gateway.freshness import Freshness


def test_a_change_makes_old_what_was_asked_for_before_it_and_nothing_after() -> None:
    freshness = Freshness()
    before = freshness.now
    freshness.changed("team/files")

    assert before < freshness.latest("team/files", "ada")
    assert freshness.now >= freshness.latest("team/files", "ada")
    assert before >= freshness.latest("team/mail", "ada")


def test_what_one_principal_did_concerns_nobody_else() -> None:
    freshness = Freshness()
    freshness.changed("team/files", "ada")

    assert freshness.latest("team/files", "ada") > 0
    assert freshness.latest("team/files", "bob") == 0


def test_a_sign_of_life_is_one_for_who_had_it_and_later_than_all_before() -> None:
    freshness = Freshness()
    before = freshness.now
    freshness.spoke("team/files", "ada")

    assert before < freshness.heard("team/files", "ada") <= freshness.now
    assert freshness.heard("team/files", "bob") == freshness.heard("team/mail", "ada") == 0
    assert freshness.latest("team/files", "ada") == 0


def test_signs_of_life_are_forgotten_like_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Freshness, "MOST", 2)
    freshness = Freshness()
    for server in ("one", "two", "three"):
        freshness.spoke(server, "ada")

    assert freshness.heard("one", "ada") == 0
    assert freshness.heard("two", "ada") > 0


def test_a_forgotten_change_makes_everything_from_before_it_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Freshness, "MOST", 2)
    freshness = Freshness()
    for server in ("one", "two", "three"):
        freshness.changed(server)

    assert freshness.latest("one", "ada") == freshness.latest("elsewhere", "ada") == 1
    assert freshness.latest("three", "ada") == 3
