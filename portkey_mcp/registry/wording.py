"""Puts what pydantic finds wrong in a document into words for a person: what was expected, and the nearest right word.

Values are never repeated, since one may be a secret; names and choices are.
"""

import difflib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from portkey_mcp.errors import Mistake
from portkey_mcp.registry.source import Loc, Source

EXPECTED: Final[Mapping[str, str]] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "keys and values",
    "mapping_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
}

BOUNDS: Final[Mapping[str, str]] = {
    "greater_than_equal": "expected at least {ge}",
    "less_than_equal": "expected at most {le}",
    "string_too_short": "expected {min_length} or more characters",
    "string_too_long": "expected at most {max_length} characters",
    "string_pattern_mismatch": "expected text that fits {pattern}",
}
"""What a value of the right kind must keep to."""

Hints = Mapping[str, str]
"""Words that are wrong here but common elsewhere, and what to write instead."""


def mistakes(
    error: ValidationError, source: Source, model: type[BaseModel], hints: Hints | None = None
) -> list[Mistake]:
    """One mistake for each error, each once, in the order of the file.

    `model` is what was validated against: it knows which keys a place may have. A key that is missing because it is
    misspelt is one mistake, not two.
    """
    errors = error.errors(include_url=False)
    meant = {(*wrong["loc"][:-1], *_nearest(wrong, model)) for wrong in errors if wrong["type"] == "extra_forbidden"}
    told = [wrong for wrong in errors if wrong["type"] != "missing" or wrong["loc"] not in meant]
    found = {str(m): m for wrong in told for m in [_mistake(wrong, source, model, hints or {})]}
    return sorted(found.values(), key=lambda mistake: (mistake.line, mistake.column))


def _mistake(wrong: ErrorDetails, source: Source, model: type[BaseModel], hints: Hints) -> Mistake:
    loc = wrong["loc"]
    if wrong["type"] == "extra_forbidden":
        return source.mistake(loc, _unknown("key", str(loc[-1]), _known(wrong, model), hints), key=True)
    if wrong["type"] == "missing":
        return source.mistake(loc[:-1], f"the key {str(loc[-1])!r} is missing", key=True)
    if wrong["type"] == "invalid_key":
        return source.mistake(loc, f"expected text as a key, found {_kind(loc[-1])}", key=True)
    if loc and loc[-1] == "[key]":
        return source.mistake(loc[:-1], f"expected text as a key; put it in quotes: '{loc[-2]}'", key=True)
    if wrong["type"] == "literal_error":
        return source.mistake(loc, _choice(wrong))
    if wrong["type"] in BOUNDS:
        return source.mistake(loc, BOUNDS[wrong["type"]].format(**wrong["ctx"]))
    expected = EXPECTED.get(wrong["type"])
    if expected is None:
        return source.mistake(loc, wrong["msg"].removeprefix("Value error, "))
    return source.mistake(loc, f"expected {expected}, found {_kind(wrong['input'])}" + _quotes(wrong))


def _known(wrong: ErrorDetails, model: type[BaseModel]) -> list[str]:
    *place, last = wrong["loc"]
    return [name for name in fields_at(model, place) if name != last]


def _nearest(wrong: ErrorDetails, model: type[BaseModel]) -> list[str]:
    return difflib.get_close_matches(str(wrong["loc"][-1]), _known(wrong, model), 1)


def unknown(kind: str, word: str, known: Iterable[str]) -> str:
    """`unknown key 'comand'; did you mean 'command'?`, or what there is when nothing is near."""
    return _unknown(kind, word, list(known), {})


def _unknown(kind: str, word: str, known: list[str], hints: Hints) -> str:
    near = difflib.get_close_matches(word, known, 1)
    if near:
        return f"unknown {kind} {word!r}; did you mean {near[0]!r}?"
    if word in hints:
        return f"unknown {kind} {word!r}; {hints[word]}"
    return f"unknown {kind} {word!r}; expected {', '.join(known)}" if known else f"unknown {kind} {word!r}"


def _choice(wrong: ErrorDetails) -> str:
    expected = str(wrong.get("ctx", {}).get("expected", ""))
    value = wrong["input"]
    if not isinstance(value, str):
        return f"expected {expected}"
    near = difflib.get_close_matches(value, [word.strip(" '") for word in expected.replace(" or ", ",").split(",")], 1)
    return f"expected {expected}" + (f"; did you mean {near[0]!r}?" if near else "")


def _kind(value: Any) -> str:
    kinds: tuple[tuple[Callable[[Any], bool], str], ...] = (
        (lambda v: v is None, "nothing"),
        (lambda v: isinstance(v, bool), "true or false"),
        (lambda v: isinstance(v, int | float), "a number"),
        (lambda v: isinstance(v, str), "text"),
        (lambda v: isinstance(v, list | tuple), "a list"),
        (lambda v: isinstance(v, dict), "keys and values"),
    )
    return next((name for fits, name in kinds if fits(value)), "something else")


def _quotes(wrong: ErrorDetails) -> str:
    """YAML reads `8080` and `yes` as number and truth; the remedy is the same for both."""
    if wrong["type"] == "string_type" and isinstance(wrong["input"], bool | int | float):
        return "; put it in quotes"
    return ""


def fields_at(model: type[BaseModel], loc: Loc) -> list[str]:
    """The keys that a place in a document of this model may have."""
    found: list[Any] = [model]
    for step in loc:
        found = [inner for annotation in found for inner in _step(annotation, step)] or found
    names: dict[str, None] = {}
    for annotation in found:
        for part in _parts(annotation):
            if isinstance(part, type) and issubclass(part, BaseModel):
                names.update({field.alias or name: None for name, field in part.model_fields.items()})
    return list(names)


def _step(annotation: Any, step: str | int) -> list[Any]:
    inner: list[Any] = []
    for part in _parts(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            inner += [f.annotation for name, f in part.model_fields.items() if step == (f.alias or name)]
        elif typing.get_origin(part) is dict:
            inner.append(typing.get_args(part)[1])
        elif typing.get_origin(part) in (list, tuple) and isinstance(step, int):
            inner.append(typing.get_args(part)[0])
    return inner


def _parts(annotation: Any) -> list[Any]:
    """The members of a union, without what `Annotated` adds."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _parts(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [part for member in typing.get_args(annotation) for part in _parts(member)]
    return [annotation]
