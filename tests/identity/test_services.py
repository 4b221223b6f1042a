"""What an issuer says of a token makes a service account, or it makes nobody."""

from typing import Any

import pytest

from portkey_mcp.identity.services import MOST_GROUPS, claim, claim_problem, kind_problem, principal_of
from portkey_mcp.identity.signed import Signed
from portkey_mcp.model import Principal
from portkey_mcp.trust import TrustedIssuer

ISSUER = TrustedIssuer("https://id.example", "https://gateway.example", "team", "viewer")
GOOD = {"iss": "https://id.example", "aud": "https://gateway.example", "sub": "robot"}


def trusting(**other: Any) -> TrustedIssuer:
    return TrustedIssuer(**{"issuer": ISSUER.issuer, "audience": ISSUER.audience, "workspace": "team", **other})


@pytest.mark.parametrize("typ", [None, "JWT", "at+jwt", "application/at+jwt"])
def test_an_access_token_is_one(typ: str | None) -> None:
    assert kind_problem(Signed("", {"typ": typ}, GOOD)) == ""
    assert kind_problem(Signed("", {"typ": typ}, {**GOOD, "typ": "Bearer", "token_use": "access"})) == ""


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({"typ": "oauth-id-jag+jwt"}, {}),
        ({"typ": "logout+jwt"}, {}),
        ({"typ": "dpop+jwt"}, {}),
        ({"typ": "client-authentication+jwt"}, {}),
        ({}, {"typ": "ID"}),
        ({}, {"typ": "Refresh"}),
        ({}, {"token_use": "id"}),
        ({}, {"nonce": "x"}),
        ({}, {"at_hash": "x"}),
        ({}, {"events": {}}),
    ],
)
def test_what_is_another_kind_of_token_opens_nothing(header: dict[str, Any], claims: dict[str, Any]) -> None:
    assert kind_problem(Signed("", header, {**GOOD, **claims})) == "it is no access token"


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        ({}, ""),
        ({"aud": ["x", ISSUER.audience]}, ""),
        ({"iss": "https://id.example/"}, "its issuer is another one"),
        ({"iss": None}, "its issuer is another one"),
        ({"aud": "https://gateway.example/"}, "it is meant for another audience"),
        ({"aud": ["x"]}, "it is meant for another audience"),
        ({"aud": [[ISSUER.audience]]}, "it is meant for another audience"),
        ({"aud": {ISSUER.audience: 1}}, "it is meant for another audience"),
        ({"aud": None}, "it is meant for another audience"),
        ({"sub": ""}, "it does not say whom it is for"),
        ({"sub": 7}, "it does not say whom it is for"),
        ({"sub": None, "client_id": "ci"}, ""),
        ({"cnf": {"jkt": "x"}}, "it is bound to a key, which is not checked here"),
    ],
)
def test_issuer_audience_and_subject_must_fit(other: dict[str, Any], problem: str) -> None:
    assert claim_problem({**GOOD, **other}, ISSUER) == problem


def test_an_issuer_that_was_asked_may_leave_out_what_it_need_not_say() -> None:
    """RFC 7662, section 2.2: `iss` and `aud` are optional; what is there must fit."""
    assert claim_problem({"sub": "robot"}, ISSUER, audience=False) == ""
    for wrong in ({"iss": "https://evil.example"}, {"iss": None}, {"aud": "other"}, {"aud": None}):
        assert claim_problem({"sub": "robot", **wrong}, ISSUER, audience=False) != ""


@pytest.mark.parametrize(
    ("claims", "fits"),
    [
        ({"tier": "gold"}, True),
        ({"tier": ["silver", "gold"]}, True),
        ({"tier": "golden"}, False),
        ({"tier": "silver gold"}, False),
        ({"tier": ["golden"]}, False),
        ({"tier": {"gold": True}}, False),
        ({"tier": None}, False),
        ({}, False),
    ],
)
def test_a_required_claim_is_equal_or_among_others(claims: dict[str, Any], fits: bool) -> None:
    problem = claim_problem({**GOOD, **claims}, trusting(required={"tier": "gold"}))
    assert problem == ("" if fits else "it lacks a claim that is required here")


def test_required_claims_may_be_scopes_numbers_paths_and_several() -> None:
    required = {"scope": "mcp", "tenant": "7", "robot": "true", "realm.roles": "ops"}
    claims = {**GOOD, "scope": "openid mcp", "tenant": 7, "robot": True, "realm": {"roles": ["ops"]}}
    assert claim_problem(claims, trusting(required=required)) == ""
    for name in required:
        without = {key: value for key, value in claims.items() if key != name.split(".")[0]}
        assert claim_problem(without, trusting(required=required)) != ""


def test_the_principal_is_a_service_account_of_the_workspace() -> None:
    wanted = trusting(role="admin", groups_claim="realm.roles", name_claim="title")
    said = {**GOOD, "realm": {"roles": ["ops", 7, "ops", "two\nlines"]}, "title": "The robot\x00", "azp": "app"}
    found = principal_of(said, wanted)
    assert found == Principal(found.id, "The robot", "service", {"team": "admin"}, ("ops",), client="app")
    assert found.id.startswith("issuer:")
    assert len(found.id) == 31


def test_without_a_name_it_is_called_as_its_subject() -> None:
    assert principal_of(GOOD, ISSUER).name == "robot"
    assert principal_of({**GOOD, "sub": "\n"}, ISSUER).name == "service"
    assert len(principal_of({**GOOD, "sub": "x" * 5000}, ISSUER).name) == 100
    many = principal_of({**GOOD, "g": [str(n) for n in range(1000)]}, trusting(groups_claim="g"))
    assert len(many.groups) == MOST_GROUPS


def test_nobody_is_taken_for_somebody_else() -> None:
    others = [
        principal_of(GOOD, ISSUER),
        principal_of({**GOOD, "sub": "other"}, ISSUER),
        principal_of(GOOD, trusting(issuer="https://id2.example")),
        principal_of({"client_id": "robot"}, ISSUER),
        principal_of({"sub": "person:1"}, ISSUER),
    ]
    assert len({one.id for one in others}) == len(others)
    assert all(one.id.startswith("issuer:") and one.email == "" for one in others)


def test_a_claim_is_found_by_its_whole_name_first() -> None:
    claims = {"https://a.example/roles": 1, "a.b": 2, "a": {"b": 3, "c": {"d": 4}}}
    names = ("https://a.example/roles", "a.b", "a.c.d", "a.x", "x", "a.b.c")
    assert [claim(claims, name) for name in names] == [1, 2, 4, None, None, None]
