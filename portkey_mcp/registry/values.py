"""What YAML lets a person write in a policy and nothing may make sense of: keys left open, values that JSON has not."""

import math
from collections.abc import Iterator
from typing import Any, Final

from portkey_mcp.registry.source import Loc

MOST: Final = 100_000
"""Values of one document. Ten lines of aliases to aliases could stand for more than fit into memory."""

DEEPEST: Final = 100

OPEN: Final = "the key {!r} has no value; give it one, or leave the key out"


def value_problems(data: Any) -> list[tuple[Loc, str]]:
    """Where a policy says nothing or what JSON cannot say, and what is wrong there; in the order of the document.

    Null is a value only of arguments that the gateway fills in.
    """
    found: list[tuple[Loc, str]] = []
    for count, (loc, value) in enumerate(_walk((), data)):
        if count >= MOST:
            return [*found, ((), f"the document has more than {MOST} values, or aliases stand for so many")]
        if what := _problem(loc, value):
            found.append((loc, what))
    return found


def _walk(loc: tuple[str | int, ...], value: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    yield loc, value
    if len(loc) > DEEPEST:
        return
    inner: Iterator[tuple[str | int, Any]] = iter(())
    if isinstance(value, dict):
        inner = iter(value.items())
    elif isinstance(value, list):
        inner = enumerate(value)
    for step, one in inner:
        yield from _walk((*loc, step), one)


def _problem(loc: tuple[str | int, ...], value: Any) -> str:
    if len(loc) > DEEPEST:
        return f"is nested deeper than {DEEPEST} levels"
    match value:
        case None if loc and not _is_filled_in(loc):
            return OPEN.format(str(loc[-1])) if isinstance(loc[-1], str) else "an entry of the list has no value"
        case float() if not math.isfinite(value):
            return "is no number that JSON has; expected a finite one"
        case dict() if any(not isinstance(key, str) for key in value) and _is_filled_in(loc):
            return "expected text as a key; put it in quotes"
        case None | bool() | int() | float() | str() | list() | dict():
            return ""
        case _:
            kind = type(value).__name__
            return f"is YAML's {kind}, which JSON has not; expected text, a number, true, false or a list"


def _is_filled_in(loc: tuple[str | int, ...]) -> bool:
    """Whether this is in `rules[…].arguments.<name>.value`."""
    return len(loc) >= 5 and loc[0] == "rules" and loc[2] == "arguments" and loc[4] == "value"
