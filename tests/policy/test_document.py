"""The document says what it may, and every mistake has its place."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from portkey_mcp.policy.document import EMPTY, parse, schema
from portkey_mcp.policy.parts import LONGEST_PATTERN

WHOLE = {
    "version": 1,
    "rules": [
        {"match": "*"},
        {"match": "linear/delete_*", "enabled": False},
        {
            "match": ["files/write_file", "resource:files/file:///etc/*"],
            "for": {"roles": ["member"], "groups": ["contractors"], "people": ["p1"]},
            "enabled": False,
        },
    ],
    "servers": {"linear": {}},
}


def test_a_whole_document_is_read() -> None:
    policy = parse(WHOLE)
    assert policy.rules[1].match == ("linear/delete_*",)
    assert policy.rules[2].for_ is not None
    assert policy.rules[2].for_.groups == ("contractors",)
    assert policy.rules[2].enabled is False
    assert policy.rules[0].enabled is None


def test_an_empty_object_is_the_empty_policy() -> None:
    assert parse({}) == EMPTY


@pytest.mark.parametrize(
    ("data", "place", "says"),
    [
        ({"rules": [{"match": "*", "timeout": "60s"}]}, ("rules", 0, "timeout"), "not supported by this version"),
        ({"rules": [{"match": "*", "max_result": "1KB"}]}, ("rules", 0, "max_result"), "not supported by this version"),
        ({"rules": [{"match": "*", "limits": []}]}, ("rules", 0, "limits"), "not supported by this version"),
        ({"rules": [{"match": "*", "require_approval": True}]}, ("rules", 0, "require_approval"), "not supported"),
        ({"rules": [{"match": "*", "when": "true"}]}, ("rules", 0, "when"), "not supported by this version"),
        ({"rules": [{"match": "*", "redact": []}]}, ("rules", 0, "redact"), "not supported by this version"),
        ({"rules": [{"match": "*", "for": {"clients": ["x"]}}]}, ("rules", 0, "for", "clients"), "not supported"),
        ({"servers": {"a": {"new_tools": "review"}}}, ("servers", "a", "new_tools"), "not supported by this version"),
        ({"servers": {"a": {"pin": True}}}, ("servers", "a", "pin"), "not supported by this version"),
        ({"rules": [{"match": "*", "enable": False}]}, ("rules", 0, "enable"), "Extra inputs are not permitted"),
        ({"rules": [{"match": "*", "for_": {}}]}, ("rules", 0, "for_"), "Extra inputs are not permitted"),
        ({"rules": [{"enabled": False}]}, ("rules", 0, "match"), "Field required"),
        ({"rules": [{"match": "files"}]}, ("rules", 0, "match"), "server/tool"),
        ({"rules": [{"match": ["a/b", "c"]}]}, ("rules", 0, "match"), "server/tool"),
        ({"rules": [{"match": []}]}, ("rules", 0, "match"), "at least one"),
        ({"rules": [{"match": 3}]}, ("rules", 0, "match"), "server/tool"),
        ({"rules": [{"match": "a/" + "b" * LONGEST_PATTERN}]}, ("rules", 0, "match"), "at most"),
        ({"rules": [{"match": "*", "enabled": "false"}]}, ("rules", 0, "enabled"), "valid boolean"),
        ({"rules": [{"match": "*", "for": {}}]}, ("rules", 0, "for"), "names nobody"),
        ({"rules": [{"match": "*", "for": {"roles": []}}]}, ("rules", 0, "for", "roles"), "names nobody"),
        ({"rules": [{"match": "*", "for": {"roles": ["boss"]}}]}, ("rules", 0, "for", "roles", 0), "'owner'"),
        ({"version": 2}, ("version",), "should be 1"),
        (None, (), "valid dictionary"),
    ],
)
def test_a_mistake_is_refused_where_it_stands(data: Any, place: tuple[str | int, ...], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parse(data)
    [mistake] = caught.value.errors()
    assert mistake["loc"] == place
    assert says in mistake["msg"]


def test_the_schema_accepts_the_document_and_refuses_what_the_reader_refuses() -> None:
    Draft202012Validator.check_schema(schema())
    judge = Draft202012Validator(schema())
    assert judge.is_valid(WHOLE)
    assert judge.is_valid({"rules": [{"match": "a/b"}]})
    assert not judge.is_valid({"version": 2})
    for rule in ({"match": "*", "timeout": "1s"}, {"match": []}, {"match": "*", "for": {"roles": []}}):
        assert not judge.is_valid({"rules": [rule]})
