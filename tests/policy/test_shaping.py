"""A tool is shown as policy says, and called with what policy fills in; nothing is changed in place."""

import copy
from typing import Any

import pytest

from portkey_mcp.errors import Refused
from portkey_mcp.policy.parts import Argument
from portkey_mcp.policy.shaping import filled, shown
from portkey_mcp.policy.terms import FREE, Terms
from portkey_mcp.wire import DEEPEST, Json, Raw

HIDDEN = Argument(hidden=True)
TOOL: Json = {
    "name": "create_issue",
    "title": "Create",
    "description": "Creates an issue.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "repo": {"type": "string", "x-mcp-header": "Repo"},
            "title": {"type": "string"},
            "token": {"type": "string"},
        },
        "required": ["repo", "title"],
        "additionalProperties": False,
    },
    "annotations": {"readOnlyHint": False},
}


def fixed(value: Any) -> Argument:
    return Argument(value=value)


def test_without_terms_a_tool_is_the_same_object() -> None:
    assert shown(FREE, TOOL) is TOOL
    assert shown(Terms(hidden_text="remove"), TOOL) is TOOL
    assert shown(Terms(rename="create_issue", describe="Creates an issue."), TOOL) is TOOL
    assert shown(Terms(arguments={"other": HIDDEN}), TOOL) is TOOL


def test_a_tool_is_renamed_and_described_anew() -> None:
    made = shown(Terms(rename="new_issue", describe="For bugs."), TOOL)
    assert made == {**TOOL, "name": "new_issue", "description": "For bugs."}
    assert TOOL["name"] == "create_issue"


def test_arguments_that_are_set_or_hidden_are_gone_from_the_schema() -> None:
    before = copy.deepcopy(TOOL)
    made = shown(Terms(arguments={"repo": fixed("acme/x"), "token": HIDDEN}), TOOL)
    assert made["inputSchema"] == {
        "type": "object",
        "properties": {"title": {"type": "string"}},
        "required": ["title"],
        "additionalProperties": False,
    }
    assert "acme" not in str(made)
    assert "x-mcp-header" not in str(made)
    assert before == TOOL


def test_a_tool_that_requires_nothing_else_says_nothing_of_it() -> None:
    made = shown(Terms(arguments={"repo": fixed(1), "title": fixed(2)}), TOOL)
    assert "required" not in made["inputSchema"]


@pytest.mark.parametrize(
    ("keyword", "argument", "left"),
    [
        ("anyOf", fixed(1), [{}, {"required": ["b"]}]),
        ("oneOf", fixed(1), [{}, {"required": ["b"]}]),
        ("allOf", fixed(1), [{}, {"required": ["b"]}]),
        ("anyOf", HIDDEN, [{"required": ["b"]}]),
        ("oneOf", HIDDEN, [{"required": ["b"]}]),
        ("allOf", HIDDEN, [{}, {"required": ["b"]}]),
    ],
)
def test_branches_lose_the_argument_too(keyword: str, argument: Argument, left: list[Json]) -> None:
    tool = {
        "name": "x",
        "inputSchema": {"properties": {"a": {}, "b": {}}, keyword: [{"required": ["a"]}, {"required": ["b"]}]},
    }
    made = shown(Terms(arguments={"a": argument}), tool)
    assert made["inputSchema"] == {"properties": {"b": {}}, keyword: left}


def test_a_choice_of_which_nothing_is_left_goes_and_properties_in_branches_and_dependencies_too() -> None:
    schema = {
        "anyOf": [{"required": ["a"]}],
        "allOf": [{"properties": {"a": {}, "b": {}}}, True],
        "dependentRequired": {"a": ["b"], "b": ["a", "c"]},
    }
    made = shown(Terms(arguments={"a": HIDDEN}), {"name": "x", "inputSchema": schema})
    assert made["inputSchema"] == {"allOf": [{"properties": {"b": {}}}, True], "dependentRequired": {"b": ["c"]}}


@pytest.mark.parametrize("schema", [None, True, [], {"properties": [], "required": "repo", "anyOf": {}, "allOf": [1]}])
def test_a_schema_that_is_none_is_shown_as_it_is(schema: Any) -> None:
    tool = {"name": "x", "inputSchema": schema}
    assert shown(Terms(arguments={"repo": HIDDEN}), tool) is tool


def test_hidden_text_goes_from_all_but_the_name_by_which_the_server_knows_the_tool() -> None:
    tool = {
        "name": "x\u200b",
        "title": "T\u202e",
        "description": "D\U000e0041",
        "inputSchema": {"properties": {"a\u200b": {"description": "A\u2060", "enum": ["b\u200b"]}}},
        "annotations": {"title": "\u200eN"},
    }
    assert shown(Terms(hidden_text="remove"), tool) == {
        "name": "x\u200b",
        "title": "T",
        "description": "D",
        "inputSchema": {"properties": {"a": {"description": "A", "enum": ["b"]}}},
        "annotations": {"title": "N"},
    }


def test_calls_without_terms_pass_as_they_are() -> None:
    params = Raw({"name": "x", "arguments": [1]})
    assert filled(FREE, params) is params


def test_what_the_gateway_sets_is_filled_in() -> None:
    params: Json = {"name": "x", "arguments": {"title": "T"}, "_meta": {"a": 1}}
    made = filled(Terms(arguments={"repo": fixed("acme/x"), "token": HIDDEN}), params)
    assert made == {"name": "x", "arguments": {"title": "T", "repo": "acme/x"}, "_meta": {"a": 1}}
    assert params["arguments"] == {"title": "T"}


@pytest.mark.parametrize("params", [{"name": "x"}, {"name": "x", "arguments": None}])
def test_a_call_without_arguments_gets_those_that_are_set(params: Json) -> None:
    assert filled(Terms(arguments={"a": fixed(None)}), params)["arguments"] == {"a": None}
    assert filled(Terms(arguments={"a": HIDDEN}), params) is params


@pytest.mark.parametrize("sent", ["acme/x", "other", None, {"a": 1}])
def test_who_sends_what_is_set_is_refused_and_learns_nothing_of_it_also_when_it_is_right(sent: Any) -> None:
    with pytest.raises(Refused) as refused:
        filled(Terms(arguments={"repo": fixed("acme/x")}), {"name": "x", "arguments": {"repo": sent}})
    assert refused.value.reason == "arguments"
    assert refused.value.data == {"argument": "repo"}
    assert "'repo' is set by the gateway; leave it out" in refused.value.text
    assert "acme" not in refused.value.text


def test_who_sends_a_hidden_argument_is_refused() -> None:
    with pytest.raises(Refused, match="'token' is set by the gateway"):
        filled(Terms(arguments={"token": HIDDEN}), {"name": "x", "arguments": {"token": None}})


@pytest.mark.parametrize("arguments", ["x", [1], 5, False])
def test_arguments_that_are_no_object_are_refused_where_some_are_set(arguments: Any) -> None:
    with pytest.raises(Refused, match="must be an object"):
        filled(Terms(arguments={"a": HIDDEN}), {"name": "x", "arguments": arguments})


def test_a_deep_value_where_something_else_is_set_is_refused_like_any_other() -> None:
    value: Any = 1
    for _ in range(DEEPEST):
        value = [value]
    with pytest.raises(Refused):
        filled(Terms(arguments={"a": fixed([1])}), {"arguments": {"a": value}})
