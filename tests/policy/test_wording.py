"""Every member of a rule can be said in words, and no word quotes an argument's value."""

from typing import Any

import pytest

from portkey_mcp.errors import Mistake
from portkey_mcp.policy.decide import Thing
from portkey_mcp.policy.document import parse
from portkey_mcp.policy.parts import Limit, Whom
from portkey_mcp.policy.terms import FOLDED
from portkey_mcp.policy.wording import (
    duration_text,
    limit_text,
    listing,
    rule_says,
    size_text,
    thing_of,
    thing_text,
    whom_text,
)


def said(**members: Any) -> dict[str, str]:
    return rule_says(parse({"rules": [{"match": "files/x", **members}]}).rules[0])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(60, "60 s"), (300, "5 min"), (90, "90 s"), (7200, "2 h"), (86_400, "1 d"), (0.5, "500 ms"), (1.5, "1.5 s")],
)
def test_a_duration_is_said_as_people_write_it(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(150_000, "150 KB"), (65_536, "64 KiB"), (2_000_000, "2 MB"), (1_048_576, "1 MiB"), (1234, "1,234 bytes")],
)
def test_a_size_is_said_in_the_unit_that_leaves_nothing_over(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        ({"calls": 20, "per": "hour", "each": "user"}, "20 calls per hour for each user"),
        ({"calls": 1, "per": "day"}, "1 call per day for the whole workspace"),
        ({"cost": 1000, "per": "month", "each": ["user", "tool"]}, "1,000 cost units per month for each user and tool"),
        ({"concurrent": 2, "each": "key"}, "2 calls at the same time for each key"),
        ({"calls": 5, "per": "week", "each": "all"}, "5 calls per week for all workspaces together"),
    ],
)
def test_a_limit_is_said_with_who_has_a_count_of_their_own(limit: dict[str, Any], text: str) -> None:
    assert limit_text(Limit.model_validate(limit)) == text


def test_whom_a_rule_is_for_is_said_member_by_member() -> None:
    whom = Whom.model_validate(
        {"roles": ["member", "viewer"], "groups": ["ops"], "service_accounts": ["ci"], "networks": ["10.0.0.0/8"]}
    )
    assert whom_text(whom) == "role member or viewer, group ops, API key ci, network 10.0.0.0/8"
    assert whom_text(Whom(people=("p1",))) == "person p1"
    assert whom_text(None) == "everybody"


def test_every_member_of_a_rule_has_words() -> None:
    found = said(
        enabled=True,
        read_only=True,
        rename="y",
        describe="Other words.",
        arguments={"repo": {"value": "acme/secret"}, "token": {"hidden": True}},
        cost=5,
        timeout="60s",
        max_timeout="10m",
        max_arguments="64KiB",
        max_result={"size": "150KB", "over": "refuse"},
        check_arguments=True,
        when="args.a == 1",
        redact=["email", {"find": "secrets", "in": "arguments", "do": "block"}, {"pattern": "x+", "name": "x"}],
        hidden_text="remove",
        require_approval=True,
        limits=[{"concurrent": 1}],
    )
    assert set(found) == {"enabled", *FOLDED, "limits.1"}
    assert found["arguments"] == "fills in repo and hides token"
    assert found["redact"] == "masks email and x in results; blocks secrets in arguments"
    assert found["max_result"] == "results up to 150 KB, else refused"
    assert found["when"] == "only when args.a == 1"
    assert "acme/secret" not in str(found)


def test_a_member_that_takes_something_back_has_words_too() -> None:
    found = said(enabled=False, read_only=False, arguments={}, check_arguments=False, redact=[], require_approval=False)
    assert found["enabled"] == "disables"
    assert found["redact"] == "nothing is redacted"
    assert found["arguments"] == "callers give every argument"
    assert found["require_approval"] == "no person is asked"


def test_a_rule_that_says_nothing_has_no_words() -> None:
    assert said() == {}


def test_a_long_list_is_cut_and_counted() -> None:
    assert listing(["a"]) == "a"
    assert listing(["a", "b"], "or") == "a or b"
    assert listing(list("abcdefgh"), most=3) == "a, b and 6 more"
    assert listing([]) == ""


def test_a_thing_is_said_as_its_pattern() -> None:
    assert thing_text(Thing("tool", "files", "read")) == "files/read"
    assert thing_text(Thing("resource", "files", "file:///a")) == "resource:files/file:///a"


def test_a_name_cannot_steer_the_terminal() -> None:
    assert (
        thing_text(Thing("tool", "files", "\x1b[2Jread\n"))
        == "files/\N{REPLACEMENT CHARACTER}[2Jread\N{REPLACEMENT CHARACTER}"
    )


@pytest.mark.parametrize(
    ("text", "thing"),
    [
        ("files/read", Thing("tool", "files", "read")),
        ("files/a/b:c", Thing("tool", "files", "a/b:c")),
        ("tool:files/read", Thing("tool", "files", "read")),
        ("prompt:files/ask", Thing("prompt", "files", "ask")),
        ("resource:files/file:///a", Thing("resource", "files", "file:///a")),
        ("template:files/file:///{a}", Thing("template", "files", "file:///{a}")),
    ],
)
def test_a_thing_is_written_as_a_policy_writes_it(text: str, thing: Thing) -> None:
    assert thing_of(text) == thing


@pytest.mark.parametrize("text", ["", "files", "files/", "/read", "tol:files/read", ":files/read", "prompt:/ask"])
def test_anything_else_is_no_thing(text: str) -> None:
    with pytest.raises(Mistake, match="expected server/tool"):
        thing_of(text)
