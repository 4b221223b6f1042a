"""What an approval is bound to, and who may decide."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.approval.record import Approval, digest, may_decide
from portkey_mcp.model import Principal, Workspace
from portkey_mcp.policy.decide import Thing
from portkey_mcp.wire import dumps, loads
from tests.approval.conftest import visit

THING = Thing("tool", "files", "write_file")
PARAMS = {"name": "write_file", "arguments": {"path": "/a", "size": 1, "tags": ["x", "y"]}}
NOON = datetime(2026, 7, 28, 12, tzinfo=UTC)
ASKED = Approval("id", "demo", "ada", "Ada", THING, "asked", "page", NOON, NOON, "", None)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_the_same_call_again_has_the_same_digest_however_it_is_written() -> None:
    again = {
        "arguments": {"tags": ["x", "y"], "size": 1, "path": "/a"},
        "name": "write_file",
        "_meta": {"progressToken": 7},
        "requestState": "abc",
        "inputResponses": {"input-1": {}},
    }
    assert digest(visit(), THING, again) == digest(visit(), THING, PARAMS)


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": "/b", "size": 1, "tags": ["x", "y"]},
        {"path": "/a", "size": 1, "tags": ["y", "x"]},
        {"path": "/a", "size": 1.0, "tags": ["x", "y"]},
        {"path": "/a", "size": True, "tags": ["x", "y"]},
        {"path": "/a", "size": "1", "tags": ["x", "y"]},
        {"path": "/a", "size": 1, "tags": ["x", "y"], "more": None},
        {"path": "/a", "size": 1},
        {"path": "/a\u200b", "size": 1, "tags": ["x", "y"]},
    ],
)
def test_any_other_arguments_have_another_digest(arguments: dict[str, Any]) -> None:
    assert digest(visit(), THING, {**PARAMS, "arguments": arguments}) != digest(visit(), THING, PARAMS)


def test_anybody_elses_call_and_any_other_thing_has_another_digest() -> None:
    others = [
        digest(visit("bob"), THING, PARAMS),
        digest(visit(workspace=Workspace("other", "Other", {}, {})), THING, PARAMS),
        digest(visit(), Thing("prompt", "files", "write_file"), PARAMS),
        digest(visit(), Thing("tool", "other", "write_file"), PARAMS),
        digest(visit(), Thing("tool", "files", "write"), PARAMS),
        digest(visit(), THING, {**PARAMS, "task": {"ttl": 1}}),
    ]
    assert len({digest(visit(), THING, PARAMS), *others}) == len(others) + 1


@given(JSON, JSON)
def test_only_equal_arguments_share_a_digest_and_those_that_went_over_the_wire_still_do(one: Any, two: Any) -> None:
    def of(value: Any) -> str:
        return digest(visit(), THING, {"arguments": value})

    assert of(loads(dumps(one))) == of(one)
    assert one == two or of(one) != of(two)


@pytest.mark.parametrize(
    ("who", "role", "may"),
    [
        ("ada", "viewer", True),
        ("bob", "member", False),
        ("bob", "admin", True),
        ("bob", "owner", True),
        ("ada", None, False),
    ],
)
def test_who_called_may_decide_and_who_rules_the_workspace(who: str, role: Any, may: bool) -> None:
    principal = Principal(who, "Somebody", "person", {"demo": role} if role else {"other": "owner"})
    assert may_decide(principal, ASKED) is may


@pytest.mark.parametrize(
    ("reach", "scopes", "may"),
    [
        ("demo", None, True),
        ("demo/files", ("mcp:read", "mcp:call"), True),
        ("demo/other", None, False),
        ("other", None, False),
        (None, ("mcp:read",), False),
    ],
)
def test_with_a_credential_for_less_nobody_decides_more(reach: Any, scopes: Any, may: bool) -> None:
    for who, role in ("ada", "member"), ("bob", "owner"):
        principal = Principal(who, "Somebody", "person", {"demo": role}, reach=reach, scopes=scopes)  # type: ignore[dict-item]
        assert may_decide(principal, ASKED) is may


def test_the_local_admin_may_decide() -> None:
    assert may_decide(Principal("local", "local admin", "local", everywhere="admin"), ASKED)


def test_an_approval_is_not_changed_once_made() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ASKED.state = "granted"  # type: ignore[misc]
