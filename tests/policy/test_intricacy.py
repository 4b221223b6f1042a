"""The work that a schema makes is told before it is done."""

from typing import Any

import pytest

from portkey_mcp.policy.intricacy import MOST, Unclear, passes

STRING = {"type": "string"}


def chain(length: int) -> dict[str, Any]:
    """A schema of `length` small parts that looks 2^length times at the same value."""
    parts = {f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(length)}
    return {"$ref": "#/$defs/a0", "$defs": {**parts, f"a{length}": STRING}}


@pytest.mark.parametrize(
    ("schema", "looks"),
    [
        (True, 1),
        ({}, 1),
        ({"properties": {"a": STRING, "b": STRING, "c": STRING}}, 2),
        ({"anyOf": [STRING, {"type": "null"}]}, 3),
        ({"properties": {"a": {"anyOf": [STRING, STRING]}}}, 4),
        ({"items": STRING}, 2),
        ({"prefixItems": [STRING, STRING], "items": STRING}, 3),
        ({"items": [STRING, STRING], "additionalItems": STRING}, 3),
        ({"patternProperties": {"a": STRING, "b": STRING}}, 3),
        ({"if": STRING, "then": STRING, "else": STRING, "not": STRING}, 5),
        ({"dependentSchemas": {"a": STRING}, "dependencies": {"a": ["b"], "b": STRING}}, 4),
        ({"allOf": [STRING], "unevaluatedProperties": False}, 4),
        ({"$ref": "#/$defs/a~1b%20c", "$defs": {"a/b c": STRING}}, 2),
        ({"allOf": [STRING, {"$ref": "#/allOf/0"}]}, 4),
    ],
)
def test_looks_at_one_place_are_counted(schema: Any, looks: int) -> None:
    assert passes(schema, 5) == looks


def test_what_doubles_with_every_part_is_counted_without_doing_it() -> None:
    assert passes(chain(10), 0) > 2**10
    assert passes(chain(200), 0) == MOST


def test_what_doubles_with_every_level_depends_on_the_value() -> None:
    node = {"$ref": "#"}
    twice = {"anyOf": [{"properties": {"a": node}}, {"properties": {"a": node}}]}
    assert passes(twice, 1) < 20
    assert passes(twice, 20) > 2**20


def test_a_tree_is_looked_at_as_often_as_a_flat_list() -> None:
    tree = {"properties": {"children": {"items": {"$ref": "#"}}, "name": STRING}}
    assert passes(tree, 4) < 12
    assert passes(tree, 60) < 200


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
        {"$ref": "#/$defs/a", "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}},
        {"$ref": "#/$defs/none"},
        {"$ref": "#/anyOf/7", "anyOf": [True]},
        {"$ref": "#anchor", "$defs": {"a": {"$anchor": "anchor"}}},
        {"$ref": "https://example.com/x"},
        {"$ref": 5},
        {"$dynamicRef": "#a"},
        {"$recursiveRef": "#"},
        {"properties": {"a": {"$id": "https://example.com/x"}}},
        {"$schema": "http://json-schema.org/draft-04/schema#", "properties": {"a": {"id": "x"}}},
    ],
)
def test_of_circles_and_of_what_is_elsewhere_nobody_can_say(schema: Any) -> None:
    with pytest.raises(Unclear):
        passes(schema, 5)


def test_what_is_too_deep_to_count_is_too_much() -> None:
    deep: Any = STRING
    for _ in range(490):
        deep = {"not": deep}
    assert passes(deep, 0) == MOST


@pytest.mark.parametrize(
    "schema", [{"anyOf": 5, "properties": [], "items": "x", "not": None, "dependentSchemas": 1}, 5, None]
)
def test_what_is_no_schema_is_counted_all_the_same(schema: Any) -> None:
    assert passes(schema, 5) >= 1
