"""Each kind of error in words, with the nearest right word, and without the values."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr, ValidationError

from portkey_mcp.registry.source import Source
from portkey_mcp.registry.wording import fields_at, mistakes, unknown


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    command: tuple[StrictStr, ...] = ()
    enabled: StrictBool = True
    for_: int = Field(default=0, alias="for")


class Needed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    match: str


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    servers: dict[StrictStr, Inner] = {}
    listed: Annotated[list[Inner] | None, "whatever"] = None
    kind: Literal["http", "sse"] = "http"
    wanted: StrictStr = Field(default="", max_length=3)
    least: int = Field(default=1, ge=1, le=9)
    fits: str = Field(default="a", min_length=1, pattern="^a*$")
    needed: Needed | None = None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("servers: {a: {comand: [x]}}", "f:1:15: unknown key 'comand'; did you mean 'command'?"),
        ("servers: {a: {args: [x]}}", "f:1:15: unknown key 'args'; write it in command"),
        ("servers: {a: {zzz: 1}}", "f:1:15: unknown key 'zzz'; expected command, enabled, for"),
        ("servers: {a: {for_: 1}}", "f:1:15: unknown key 'for_'; did you mean 'for'?"),
        ("listed: [{enable: 1}]", "f:1:11: unknown key 'enable'; did you mean 'enabled'?"),
        ("servers: {a: {command: x}}", "f:1:24: expected a list, found text"),
        ("servers: {a: {command: [x, 1]}}", "f:1:28: expected text, found a number; put it in quotes"),
        ("servers: {a: {enabled: 'on'}}", "f:1:24: expected true or false, found text"),
        ("servers: {a: }", "f:1:14: expected keys and values, found nothing"),
        ("servers: [a]", "f:1:10: expected keys and values, found a list"),
        ("servers: {a: {for: x}}", "f:1:20: expected a whole number, found text"),
        ("servers: {3: {}}", "f:1:11: expected text as a key; put it in quotes: '3'"),
        ("1: 2", "f:1:1: expected text as a key, found a number"),
        ("kind: htp", "f:1:7: expected 'http' or 'sse'; did you mean 'http'?"),
        ("kind: 3", "f:1:7: expected 'http' or 'sse'"),
        ("wanted: abcd", "f:1:9: expected at most 3 characters"),
        ("least: 0", "f:1:8: expected at least 1"),
        ("least: 10", "f:1:8: expected at most 9"),
        ("fits: B", "f:1:7: expected text that fits ^a*$"),
        ("fits: ''", "f:1:7: expected 1 or more characters"),
        ("needed: {mach: x}", "f:1:10: unknown key 'mach'; did you mean 'match'?"),
        ("needed: {other: x}", "f:1:1: the key 'match' is missing\nf:1:10: unknown key 'other'; expected match"),
        ("wanted: yes", "f:1:9: expected text, found true or false; put it in quotes"),
        ("wanted: {a: hush}", "f:1:9: expected text, found keys and values"),
    ],
)
def test_each_kind_of_error(text: str, line: str) -> None:
    source = Source(text, "f")
    with pytest.raises(ValidationError) as wrong:
        Outer.model_validate(source.data)
    assert [
        str(mistake) for mistake in mistakes(wrong.value, source, Outer, {"args": "write it in command"})
    ] == line.split("\n")


def test_all_errors_come_in_the_order_of_the_file() -> None:
    source = Source("kind: x\nwanted: 1\nlisted: 3\nzzz: 1", "f")
    with pytest.raises(ValidationError) as wrong:
        Outer.model_validate(source.data)
    assert [mistake.line for mistake in mistakes(wrong.value, source, Outer)] == [1, 2, 3, 4]


def test_unknown_words_elsewhere_read_the_same() -> None:
    assert unknown("workspace", "dmeo", ["demo"]) == "unknown workspace 'dmeo'; did you mean 'demo'?"
    assert unknown("workspace", "x", []) == "unknown workspace 'x'"


def test_the_keys_of_a_place_are_found_through_unions_and_lists() -> None:
    assert fields_at(Outer, ()) == ["servers", "listed", "kind", "wanted", "least", "fits", "needed"]
    assert fields_at(Outer, ("servers", "any")) == ["command", "enabled", "for"]
    assert fields_at(Outer, ("listed", 0)) == ["command", "enabled", "for"]
