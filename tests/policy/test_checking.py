"""Arguments that do not fit are refused in words that help; what cannot be checked is refused, too."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.errors import Refused
from portkey_mcp.policy.checking import ArgumentChecks
from portkey_mcp.wire import DEEPEST, Json, Raw
from tests.policy.test_intricacy import chain

SCHEMA: Json = {
    "type": "object",
    "properties": {
        "repo": {
            "type": "object",
            "properties": {"name": {"type": "string", "pattern": "^[a-z]+$"}},
            "required": ["name"],
        },
        "state": {"enum": ["open", "closed"]},
        "count": {"type": "integer", "maximum": 10},
        "labels": {"type": "array", "items": {"type": "string"}},
        "since": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["repo"],
    "additionalProperties": False,
}
RIGHT = {"repo": {"name": "acme"}}


def said(schema: Any, arguments: Any, **more: Any) -> str:
    """The text of the refusal; empty when the arguments pass."""
    refused: Refused | None = None
    try:
        ArgumentChecks().check("files/x", {"name": "x", "inputSchema": schema}, arguments, **more)
    except Refused as error:
        refused = error
    if refused is None:
        return ""
    assert refused.reason == "arguments"
    assert refused.sent is False
    assert len(refused.text) < 2000
    return refused.text


def nested(levels: int, inner: Any = 1) -> Any:
    for _ in range(levels):
        inner = {"a": inner}
    return inner


@pytest.mark.parametrize("arguments", [RIGHT, Raw(RIGHT), {**RIGHT, "since": None, "count": 10, "labels": []}])
def test_arguments_that_fit_pass(arguments: Json) -> None:
    assert said(SCHEMA, arguments) == ""


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (None, 'arguments: "repo" is a required property'),
        ({}, 'arguments: "repo" is a required property'),
        ({"repo": {"name": 5}}, 'arguments.repo.name: 5 is not of type "string"'),
        ({"repo": {"name": "A1"}}, 'arguments.repo.name: "A1" does not match "^[a-z]+$"'),
        ({**RIGHT, "state": "gone"}, 'arguments.state: "gone" is not one of "open" or "closed"'),
        ({**RIGHT, "count": 11}, "arguments.count: 11 is greater than the maximum of 10"),
        ({**RIGHT, "count": 10**40}, f"arguments.count: {10**40} is greater than the maximum of 10"),
        ({**RIGHT, "labels": ["a", 2]}, 'arguments.labels[1]: 2 is not of type "string"'),
        ({**RIGHT, "since": 5}, '(it is not of type "string"; or it is not of type "null")'),
        ({**RIGHT, "more": 1}, "Additional properties are not allowed ('more' was unexpected)"),
        ([], 'arguments: the object is not of type "object"'),
    ],
)
def test_what_is_wrong_is_told_with_its_place(arguments: Any, problem: str) -> None:
    text = said(SCHEMA, arguments)
    assert f"{problem}" in text
    assert "The tool takes: repo (object, required), state, count (integer), labels (array), since." in text
    assert "the server was not called" in text


def test_odd_names_are_quoted_in_a_path() -> None:
    schema = {"additionalProperties": {"items": {"type": "string"}}}
    assert 'arguments["a b"][0]: 1 is not of type "string"' in said(schema, {"a b": [1]})


def test_ten_problems_are_told_at_most_and_long_values_are_shortened() -> None:
    schema = {"additionalProperties": {"type": "integer"}}
    text = said(schema, {f"name{n}": "v" * 100_000 for n in range(30)})
    assert text.count("\n- ") == 10
    assert "v" * 100 not in text
    assert "vvv…vvv" in text


@given(st.text(min_size=200, max_size=400), st.integers(1, 40))
def test_a_refusal_stays_short_whatever_a_schema_says(words: str, number: int) -> None:
    names = [f"{words}{n}" for n in range(number)]
    schema = {"properties": {name: {"enum": [words]} for name in names}, "required": [*names, words]}
    assert said(schema, dict.fromkeys(names, words + "x"))


def test_what_the_gateway_set_is_neither_quoted_nor_offered() -> None:
    schema = {
        "properties": {"token": {"pattern": "^x"}, "n": {"type": "integer"}, "m": {}},
        "anyOf": [{"required": ["m"]}, {"required": ["k"]}],
    }
    text = said(schema, {"token": "s3cret", "n": "y"}, unseen={"token"})
    assert "arguments.token: what the gateway sets here does not fit" in text
    assert "arguments: the object is not valid under any" in text
    assert "s3cret" not in text
    assert "The tool takes: n (integer), m." in text


@pytest.mark.parametrize(
    "schema",
    [
        None,
        True,
        {"type": "strong"},
        {"properties": {"a": {"pattern": "("}}},
        {"properties": {"a": {"pattern": "^(?!x)"}}},
        {"properties": {"a": {"pattern": "((a{1,100}){1,100}){1,100}"}}},
        {"$schema": "https://example.com/my-own"},
        {"$ref": "https://example.com/x"},
        {"properties": {"a": {"$ref": "http://127.0.0.1:1/x"}}},
        {"properties": {"a": {"$ref": "file:///etc/hostname"}}},
        {"$ref": "#/$defs/none"},
        {"allOf": [{"$ref": "#"}]},
        {"title": "\ud800"},
        nested(DEEPEST - 5, {}) | {"properties": nested(400, {})},
        {"not": {"not": nested(0)}},
    ],
)
def test_a_schema_that_cannot_be_used_lets_nothing_pass(schema: Any) -> None:
    text = said(schema, {"a": "x"})
    assert "the tool's own schema cannot be used" in text
    assert "`check_arguments: false`" in text


def test_a_tool_without_a_schema_lets_nothing_pass() -> None:
    with pytest.raises(Refused, match="schema cannot be used"):
        ArgumentChecks().check("x", {"name": "x"}, {})


def test_a_pattern_that_hangs_other_engines_takes_no_time() -> None:
    assert "does not match" in said({"properties": {"a": {"pattern": "^(a+)+$"}}}, {"a": "a" * 100_000 + "!"})


def test_a_schema_that_looks_very_often_at_one_value_is_not_asked() -> None:
    assert "too large or too deeply nested" in said(chain(60), {})
    node = {"$ref": "#"}
    twice = {"anyOf": [{"properties": {"a": node}}, {"properties": {"a": node}}], "type": "object"}
    assert "is not valid under any of the schemas" in said(twice, nested(2))
    assert "they do not fit" in said(twice, nested(12))
    assert "too large or too deeply nested" in said(twice, nested(60))


def test_a_tree_may_be_deep() -> None:
    tree = {"type": "object", "properties": {"a": {"$ref": "#"}}}
    assert said(tree, nested(60, {})) == ""


def test_half_a_million_mistakes_are_not_told_one_by_one() -> None:
    assert "arguments: they do not fit" in said(
        {"properties": {"a": {"items": {"type": "string"}}}}, {"a": [1] * 500_000}
    )


@pytest.mark.parametrize("levels", [300, DEEPEST])
def test_a_value_that_is_too_deep_to_be_compared_does_not_pass(levels: int) -> None:
    assert said({"properties": {"a": {"type": "integer"}}}, {"a": nested(levels - 1)})
    assert said({"properties": {"a": {"enum": [1]}}}, {"a": nested(levels - 1)})


def test_half_of_a_pair_is_told_where_it_hinders() -> None:
    assert "half of a surrogate pair" in said({"properties": {"a": {"type": "integer"}}}, {"a": "\ud800"})
    assert "half of a surrogate pair" in said({"properties": {"a": {"pattern": "x"}}}, {"a": "\ud800"})
    assert said({"properties": {"a": {"type": "string"}}}, {"a": "\ud800"}) == ""


@pytest.mark.parametrize("number", [2**63, -(2**64), 10**400, 1e308, 0.1])
def test_numbers_of_any_size_are_compared_as_they_are(number: Any) -> None:
    schema = {"properties": {"a": {"type": "integer"}}}
    assert (said(schema, {"a": number}) == "") is (number == int(number))


class Panicking:
    """A validator that fails as Rust does: with what is no Exception."""

    def is_valid(self, _value: Any) -> bool:
        raise BaseException("index out of bounds")

    iter_errors = is_valid


def test_a_validator_that_fails_lets_nothing_pass() -> None:
    checks, tool = ArgumentChecks(), {"inputSchema": SCHEMA}
    checks.check("x", tool, RIGHT)
    checks._by_place["x"].validator = Panicking()
    with pytest.raises(Refused, match="arguments: they do not fit"):
        checks.check("x", tool, RIGHT)


def test_a_schema_is_compiled_once_as_long_as_it_is_the_same() -> None:
    checks = ArgumentChecks(most=2)
    checks.check("x", {"inputSchema": SCHEMA}, RIGHT)
    first = checks._by_place["x"].validator
    checks.check("x", {"inputSchema": SCHEMA}, RIGHT)
    checks.check("y", {"inputSchema": dict(SCHEMA)}, RIGHT)
    assert checks._by_place["y"].validator is first
    checks.check("x", {"inputSchema": {}}, {"other": 1})
    assert checks._by_place["x"].validator is not first
    with pytest.raises(Refused):
        checks.check("x", {"inputSchema": SCHEMA}, {"other": 1})


def test_what_was_not_used_lately_is_forgotten() -> None:
    checks = ArgumentChecks(most=2)
    for number in range(5):
        checks.check(number, {"inputSchema": {"title": str(number)}}, {})
    assert list(checks._by_place) == [3, 4]
    assert len(checks._by_digest) == 2
