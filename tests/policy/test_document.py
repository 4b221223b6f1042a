"""The document says what it may, and every mistake has its place."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from portkey_mcp.policy.document import EMPTY, parse, schema
from portkey_mcp.policy.parts import LONGEST_PATTERN

WHOLE: dict[str, Any] = {
    "version": 1,
    "time_zone": "Europe/Berlin",
    "on_store_error": "allow",
    "rules": [
        {"match": "*", "timeout": "60s", "max_timeout": "10m", "max_result": "150KB", "redact": ["email", "secrets"]},
        {"match": "linear/delete_*", "enabled": False},
        {
            "match": ["files/write_file", "resource:files/file:///etc/*"],
            "for": {
                "roles": ["member"],
                "groups": ["contractors"],
                "people": ["p1"],
                "service_accounts": ["ci"],
                "clients": ["claude"],
                "networks": ["10.0.0.0/8", "fd00::1"],
            },
            "enabled": False,
        },
        {
            "match": "github/create_issue",
            "rename": "open_ticket",
            "describe": "Open a ticket.",
            "arguments": {"repo": {"value": "acme/core"}, "debug": {"hidden": True}},
            "cost": 5,
            "limits": [{"calls": 20, "per": "hour", "each": ["user", "tool"]}, {"concurrent": 2}],
            "check_arguments": True,
            "max_arguments": "20KB",
            "max_result": {"size": "1MB", "over": "refuse"},
            "when": "args.title.size() < 100",
            "redact": [{"pattern": "ACME-[0-9]+", "name": "ticket", "in": "both", "do": "block"}],
            "hidden_text": "remove",
            "require_approval": True,
            "read_only": False,
        },
    ],
    "servers": {"linear": {"pin": True, "new_tools": "review", "allow_sampling": False}},
}


def test_a_whole_document_is_read() -> None:
    policy = parse(WHOLE)
    assert policy.rules[1].match == ("linear/delete_*",)
    assert policy.rules[2].for_ is not None
    assert policy.rules[2].for_.groups == ("contractors",)
    assert policy.rules[2].enabled is False
    assert policy.rules[0].enabled is None
    assert policy.rules[0].timeout == 60.0
    assert policy.rules[0].max_result is not None
    assert policy.rules[0].max_result.size == 150_000
    assert policy.servers["linear"].refused == ("sampling",)


def test_a_condition_is_written_as_its_text() -> None:
    policy = parse(WHOLE)
    assert (
        policy.model_dump(mode="json", by_alias=True, exclude_none=True)["rules"][3]["when"]
        == "args.title.size() < 100"
    )


def test_an_empty_object_is_the_empty_policy() -> None:
    assert parse({}) == EMPTY


@pytest.mark.parametrize(
    ("data", "place", "says"),
    [
        ({"rules": [{"match": "*", "timeout": "60"}]}, ("rules", 0, "timeout"), "expected a duration like"),
        ({"rules": [{"match": "*", "max_arguments": "1"}]}, ("rules", 0, "max_arguments"), "expected a size like"),
        ({"rules": [{"match": "*", "limits": [{}]}]}, ("rules", 0, "limits", 0), "exactly one of"),
        ({"rules": [{"match": "*", "require_approval": "yes"}]}, ("rules", 0, "require_approval"), "valid boolean"),
        ({"rules": [{"match": "*", "when": "args."}]}, ("rules", 0, "when"), "is no CEL expression"),
        ({"rules": [{"match": "*", "when": True}]}, ("rules", 0, "when"), "expected a CEL expression"),
        ({"rules": [{"match": "*", "rename": "x"}]}, ("rules", 0), "exactly one tool"),
        ({"rules": [{"match": "prompt:a/b", "rename": "x"}]}, ("rules", 0), "exactly one tool"),
        ({"rules": [{"match": "prompt:a/*", "read_only": True}]}, ("rules", 0), "is about tools"),
        ({"rules": [{"match": "a/b", "rename": "a b"}]}, ("rules", 0, "rename"), "pattern"),
        ({"rules": [{"match": "a/b", "cost": 1.5}]}, ("rules", 0, "cost"), "valid integer"),
        ({"time_zone": "Europe/Berln"}, ("time_zone",), "is no time zone"),
        ({"on_store_error": "ignore"}, ("on_store_error",), "'deny' or 'allow'"),
        ({"servers": {"a": {"new_tools": "hide"}}}, ("servers", "a", "new_tools"), "'allow' or 'review'"),
        ({"servers": {"a": {"pins": True}}}, ("servers", "a", "pins"), "Extra inputs are not permitted"),
        ({"rules": [{"match": "*", "enable": False}]}, ("rules", 0, "enable"), "Extra inputs are not permitted"),
        ({"rules": [{"match": "*", "for_": {}}]}, ("rules", 0, "for_"), "Extra inputs are not permitted"),
        ({"rules": [{"enabled": False}]}, ("rules", 0, "match"), "Field required"),
        ({"rules": [{"match": "files"}]}, ("rules", 0, "match", 0), "server/tool"),
        ({"rules": [{"match": ["a/b", "c"]}]}, ("rules", 0, "match", 1), "server/tool"),
        ({"rules": [{"match": []}]}, ("rules", 0, "match"), "at least one"),
        ({"rules": [{"match": 3}]}, ("rules", 0, "match"), "server/tool"),
        ({"rules": [{"match": "a/" + "b" * LONGEST_PATTERN}]}, ("rules", 0, "match", 0), "at most"),
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
    for rule in ({"match": "*", "timeout": 1}, {"match": []}, {"match": "*", "for": {"roles": []}}):
        assert not judge.is_valid({"rules": [rule]})
