"""What is read out of claims, whatever a provider puts there."""

from typing import Any

import pytest

from portkey_mcp.identity.claims import MOST_GROUPS, is_whole, subject_of
from portkey_mcp.trust import Provider

CORP = Provider("corp", "https://idp.example", "gateway")


def groups(value: Any, claim: str = "groups", by: str = "groups") -> tuple[str, ...]:
    provider = Provider("corp", "https://idp.example", "gateway", groups_claim=by)
    return subject_of({"sub": "1", claim: value}, {}, provider).groups


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["ops", "dev", "ops"], ("ops", "dev")),
        ("Domain Admins", ("Domain Admins",)),
        ([["ops"], [["dev"]]], ("ops", "dev")),
        ([{"name": "ops", "id": 7}, {"id": 8}, {"name": ["x"]}], ("ops",)),
        ({"ops": {"1": "x"}, "dev": {}}, ("ops", "dev")),
        (["ops", 7, None, True, "", "  ", " dev", "a\nb", "x" * 101], ("ops",)),
        ([[[[[["deep"]]]]]], ()),
        *((nothing, ()) for nothing in (None, 7, True, "", [], {})),
    ],
)
def test_groups_are_read_however_they_come(value: Any, expected: tuple[str, ...]) -> None:
    assert groups(value) == expected


def test_a_list_of_groups_that_never_ends_is_cut() -> None:
    assert len(groups([f"g{number}" for number in range(100_000)])) == MOST_GROUPS
    assert groups([7] * 10 + ["x" * 200] * 100_000 + ["ops"]) == ()


def test_the_claim_is_found_by_its_name_or_by_a_path() -> None:
    assert groups(["a"], "https://corp.example/groups", "https://corp.example/groups") == ("a",)
    assert groups({"roles": ["a"]}, "realm_access", "realm_access.roles") == ("a",)
    assert groups(["a"], "realm_access.roles", "realm_access.roles") == ("a",)
    assert groups("text", "realm_access", "realm_access.roles") == ()


@pytest.mark.parametrize(
    ("said", "verified"),
    [(True, True), ("true", True), (False, False), ("false", False), (1, True), ("yes", False), (None, False)],
)
def test_an_address_is_verified_when_that_is_said_and_not_otherwise(said: object, verified: bool) -> None:
    claims = {"sub": "1", "email": "ann@example.com", "email_verified": said}
    assert subject_of(claims, {}, CORP).verified is verified


def test_one_address_is_not_verified_by_what_is_said_of_another() -> None:
    own, verified = {"sub": "1", "email": "boss@example.com"}, {"email": "ann@example.com", "email_verified": True}
    assert subject_of(own, verified, CORP).email == "ann@example.com"
    assert subject_of({**own, "email_verified": False}, verified, CORP).verified is False
    found = subject_of(own, {"email_verified": True}, CORP)
    assert (found.email, found.verified) == ("boss@example.com", False)


@pytest.mark.parametrize("email", ["nobody", "a b@example.com", "a@example.com\n", "x" * 300 + "@example.com", 7, None])
def test_what_cannot_be_an_address_is_none(email: object) -> None:
    found = subject_of({"sub": "1", "email": email, "email_verified": True}, {}, CORP)
    assert found.email in ("", "a@example.com")


def test_a_name_is_taken_where_it_can_be_one() -> None:
    assert subject_of({"sub": "1", "name": " Ann\n Example "}, {}, CORP).name == "Ann Example"
    assert subject_of({"sub": "1", "name": "x" * 200, "preferred_username": "ann"}, {}, CORP).name == "ann"
    assert subject_of({"sub": "1", "name": 7}, {"name": "Ann"}, CORP).name == "Ann"


def test_claims_are_whole_when_nothing_is_left_to_ask() -> None:
    whole = {"email": "ann@example.com", "email_verified": True, "groups": []}
    assert is_whole(whole, CORP)
    assert not any(is_whole({name: whole[name] for name in whole if name != left}, CORP) for left in whole)
