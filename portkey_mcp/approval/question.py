"""How a person is asked about one call: what will be sent, legibly, and the question that an elicitation puts.

Names and arguments are a stranger's. Nothing in them is invisible, reorders what is read, or looks like the question's
own words: hidden characters are written as `\\u{202e}`, and what is long is cut where one sees that it is, long values
before anything else, so that every member's name stays in sight as long as there is room.
"""

import re
from collections.abc import Iterator
from json import JSONEncoder
from typing import Any, Final

from portkey_mcp.policy.decide import Thing
from portkey_mcp.wire import Json

RETRY_MEMBERS: Final = frozenset({"_meta", "requestState", "inputResponses"})
"""Members of params that differ between a call and the same call made again."""

SHORT: Final = 1500
"""Characters of arguments in a question and at the top of a page: what one reads before answering."""

LONGEST_NAME: Final = 200
DEEPEST: Final = 24
"""Levels of nesting that are written one member a line; what lies deeper stands on one."""

CUTS: Final = (400, 120, 40)
"""Characters of one value that are shown, tried in turn until the whole fits."""

IGNORABLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
"""Characters that Unicode calls printable and nobody sees (Default_Ignorable_Code_Point, and the blank of Braille)."""

_UNPLAIN: Final = re.compile("[^ -~]")
_encoder: Final = JSONEncoder(separators=(", ", ": "), ensure_ascii=False)


def visible(text: str) -> str:
    """The text with every character that would not be seen, or would move others, written as `\\u{…}`."""
    return _UNPLAIN.sub(lambda found: _escaped(found[0]), text)


def _escaped(char: str) -> str:
    return char if char.isprintable() and not IGNORABLE.match(char) else f"\\u{{{ord(char):x}}}"


def named(text: str) -> str:
    """A name on one line, visible and not too long."""
    return visible(text[:LONGEST_NAME]) + (f"… ({len(text)} characters)" if len(text) > LONGEST_NAME else "")


def bare(params: Json) -> Json:
    """The params without what belongs to one attempt only."""
    return {name: value for name, value in params.items() if name not in RETRY_MEMBERS}


def shown(params: Json, most: int = SHORT) -> str:
    """What a call sends, as indented JSON of about `most` characters at most.

    These are its arguments, or all of its params where there is more to them than a name and arguments.
    """
    sent: Any = bare(params)
    if sent.keys() <= {"name", "arguments"}:
        sent = sent.get("arguments", {})
    for longest in (most, *CUTS):
        text, whole = _first(_pieces(sent, longest), most)
        if whole:
            return text
    return f"{text}\n… cut here: there is more, {len(_encoder.encode(sent))} characters in all"


def _first(pieces: Iterator[str], most: int) -> tuple[str, bool]:
    """The beginning of a text, made no longer than needed, and whether that is all of it."""
    taken, length = [], 0
    for piece in pieces:
        taken.append(piece)
        length += len(piece)
        if length > most:
            return "".join(taken)[:most], False
    return "".join(taken), True


def _pieces(value: Any, longest: int, depth: int = 0) -> Iterator[str]:
    if not isinstance(value, dict | list) or not value or depth == DEEPEST:
        yield _cut(value, longest)
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    yield opening
    members = value.items() if isinstance(value, dict) else ((None, inner) for inner in value)
    comma = ""
    for name, inner in members:
        yield f"{comma}\n{'  ' * (depth + 1)}"
        if name is not None:
            yield f"{_cut(name, longest)}: "
        yield from _pieces(inner, longest, depth + 1)
        comma = ","
    yield f"\n{'  ' * depth}{closing}"


def _cut(value: Any, longest: int) -> str:
    """One value as JSON. A cut one lacks its closing quote, which no contents can imitate."""
    text = _encoder.encode(value)
    if len(text) <= longest:
        return visible(text)
    return f"{visible(text[:longest])}… ({len(text) - longest} characters more)"


def question(thing: Thing, params: Json, *, mode: bool = True) -> Json:
    """The `elicitation/create` request that asks whether a call may run, raw.

    `mode`: whether the client's version knows that member, which came with 2025-11-25. Clients may show the message as
    Markdown, so all that is a stranger's stands indented, where Markdown is not read.
    """
    who = [f"server  {named(thing.server)}", f"{thing.kind:6}  {named(thing.name)}"]
    schema = {
        "type": "object",
        "properties": {
            "approve": {
                "type": "boolean",
                "title": "Run this call once",
                "description": "Only this call, with exactly these arguments.",
                "default": False,
            }
        },
        "required": ["approve"],
    }
    told = ["This call waits for your approval:", "", *_indented(who), "", "It would be sent", ""]
    message = "\n".join([*told, *_indented(shown(params).split("\n"))])
    return {
        "method": "elicitation/create",
        "params": {**({"mode": "form"} if mode else {}), "message": message, "requestedSchema": schema},
    }


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def accepted(outcome: Json) -> bool:
    """Whether the answer to `question` is a yes: accepted, and `approve` true; anything else is a no.

    Takes the JSON-RPC outcome, or the bare result as a retry's `inputResponses` brings it.
    """
    answer = outcome.get("result", outcome)
    if not isinstance(answer, dict) or "error" in outcome:
        return False
    content = answer.get("content")
    return answer.get("action") == "accept" and isinstance(content, dict) and content.get("approve") is True
