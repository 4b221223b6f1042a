"""What of a server's definitions is admitted, and how much one server can make a gateway remember."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.policy.document import ServerPolicy
from portkey_mcp.registry.known import (
    LARGEST,
    LONGEST_NAME,
    MOST,
    MOST_PENDING,
    MOST_VERSIONS,
    Known,
    State,
    digest_of,
    first_state,
    surplus,
)

FREE, PIN = ServerPolicy(), ServerPolicy(pin=True)
REVIEW, BOTH = ServerPolicy(new_tools="review"), ServerPolicy(pin=True, new_tools="review")


def test_a_digest_is_that_of_the_whole_definition_whatever_the_order_of_its_members() -> None:
    tool = {"name": "a", "inputSchema": {"type": "object", "title": "é"}, "x": None}
    text = '{"inputSchema":{"title":"\\u00e9","type":"object"},"name":"a","x":null}'

    assert digest_of(tool) == digest_of(dict(reversed(tool.items()))) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "member", ["title", "description", "outputSchema", "annotations", "icons", "_meta", "execution", "anything"]
)
def test_every_member_counts(member: str) -> None:
    assert len({digest_of({"name": "a"}), digest_of({"name": "a", member: None}), digest_of({"name": member})}) == 3


def test_what_no_text_can_hold_has_a_digest_too() -> None:
    assert digest_of({"name": "\ud800"}) != digest_of({"name": "\ud801"})


@given(st.recursive(st.none() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)))
def test_what_is_read_back_has_the_same_digest(value: object) -> None:
    assert digest_of({"x": value}) == digest_of(json.loads(json.dumps({"x": value})))


@pytest.mark.parametrize(
    ("held", "new", "changed", "never_let_through"),
    [
        (FREE, "allowed", "allowed", "allowed"),
        (PIN, "allowed", "pending", "pending"),
        (REVIEW, "pending", "allowed", "pending"),
        (BOTH, "pending", "pending", "pending"),
    ],
)
def test_policy_decides_what_something_new_is(
    held: ServerPolicy, new: State, changed: State, never_let_through: State
) -> None:
    assert first_state(held, []) == new
    assert first_state(held, ["pending", "allowed", "refused"]) == changed
    assert first_state(held, ["pending"]) == first_state(held, ["refused"]) == never_let_through


@pytest.mark.parametrize("held", [FREE, PIN, REVIEW, BOTH])
def test_what_is_admitted(held: ServerPolicy) -> None:
    known = Known()
    for state in ("allowed", "pending", "refused"):
        known.put("a", state, state)
    admitted = [digest for digest in ("allowed", "pending", "refused", "unknown") if known.admits(held, "a", digest)]

    assert admitted == (["allowed", "pending", "unknown"] if held is FREE else ["allowed"])
    assert known.admits(held, "b", "allowed") is (held is FREE)


def test_states_are_counted() -> None:
    known = Known()
    assert known.put("a", "1", "pending")
    assert known.put("a", "2", "pending")
    assert not known.put("a", "2", "pending")
    assert known.put("a", "2", "refused")
    assert (known.counts["pending"], known.counts["refused"]) == (1, 1)
    assert known.drop("a", "1")
    assert not known.drop("a", "1")
    assert known.drop("a", "2")
    assert (known.counts.total(), known.tools) == (0, {})


def test_what_has_no_room_is_named() -> None:
    known = Known()
    assert known.no_room("pending", "a", 100) == ""
    assert "'a'" in known.no_room("allowed", "a", LARGEST + 1)
    assert known.no_room("allowed", "a" * (LONGEST_NAME + 1), 100)
    assert known.no_room("allowed", "\ud800", 100)
    for number in range(MOST_PENDING):
        known.put(str(number), "1", "pending")
    assert known.no_room("pending", "a", 100)
    assert known.no_room("allowed", "a", 100) == ""
    for number in range(MOST - MOST_PENDING):
        known.put(str(number), "2", "allowed")
    assert known.no_room("allowed", "a", 100)


def test_no_flood_of_versions_pushes_out_what_was_let_through_or_decided() -> None:
    versions: list[tuple[str, State, bool]] = [("baseline", "allowed", False), ("bad", "refused", True)]
    versions += [("seen", "allowed", True)] + [(str(number), "pending", False) for number in range(MOST_VERSIONS + 2)]

    assert list(surplus(versions)) == ["0", "1"]
