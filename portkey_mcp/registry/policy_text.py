"""A program changes one member of one rule in a policy document, and keeps every other byte of it. Pure.

The text is cut and spliced where the YAML parser says that things stand: to write the document anew, however carefully,
would move comments, spaces and line breaks. What comes out is read again and must say exactly what was wanted; where
the document is written in a way that cannot be spliced (anchors, merged keys), a rule at the end says it.
"""

import copy
from collections.abc import Mapping
from typing import Any, Final

from portkey_mcp.errors import Mistake, Mistakes
from portkey_mcp.registry.document import parse_policy
from portkey_mcp.registry.overlap import may_overlap
from portkey_mcp.registry.source import Source
from portkey_mcp.registry.splice import Splice, Unspliceable

HEADER: Final = "# yaml-language-server: $schema=policy.schema.json\n"
"""Tells an editor where the schema is; `portkey-mcp schema policy` writes it."""

ADDS_UP: Final = frozenset({"limits"})
"""Members that a later rule does not override."""

Rule = dict[str, Any]


def set_member(text: str, match: str, member: str, value: Any, for_: Mapping[str, Any] | None = None) -> str:
    """The document with this member of the last rule that has exactly this `match`, and this `for`, set to the value.

    Where there is no such rule, or a later one could override it for the same things and visitors, a rule is added at
    the end, so that what was set holds. None takes the member out, and the rule with it when nothing is left there but
    whom and what it is about. An empty text becomes a small document.

    Raises:
        Mistakes: the text is no policy.
        Mistake: the text is written in a way that only a person can change.
    """
    text = text if text.strip() else HEADER
    document = _read(text)
    rules = document.get("rules", [])
    try:
        if value is None:
            return _taken_out(text, document, _place(rules, match, member, for_, having=True), member)
        place = _place(rules, match, member, for_)
        if place is not None and not _is_overridden(rules, place, member):
            try:
                return _put(text, document, place, member, value)
            except Unspliceable:  # a rule at the end says the same
                pass
        added = {"match": match, **({"for": dict(for_)} if for_ else {}), member: value}
        return _checked(Splice(text).append(("rules",), added), {**document, "rules": [*rules, added]})
    except Unspliceable:
        raise Mistake(
            f"the document is written in a way that no program can change `{member}` there and keep all else as it is; "
            "edit it yourself: portkey-mcp policy edit"
        ) from None


def _read(text: str) -> dict[str, Any]:
    """The document as data; comments alone are the smallest one."""
    if Source(text, "policy").data is None:
        return {"version": 1}
    _, data = parse_policy(text, "policy")
    return dict(data)


def _place(
    rules: list[Rule], match: str, member: str, for_: Mapping[str, Any] | None, having: bool = False
) -> int | None:
    """The index of the last rule that is about this, and that has the member if it must be `having` it."""
    for index, rule in reversed(list(enumerate(rules))):
        is_same = rule["match"] in (match, [match]) and _whom(rule.get("for")) == _whom(for_)
        if is_same and (member in rule or not having):
            return index
    return None


def _whom(for_: Mapping[str, Any] | None) -> dict[str, list[str]]:
    return {name: sorted(map(str, values)) for name, values in (for_ or {}).items()}


def _is_overridden(rules: list[Rule], place: int, member: str) -> bool:
    if member in ADDS_UP:
        return False
    return any(member in later and may_overlap(rules[place], later) for later in rules[place + 1 :])


def _put(text: str, document: dict[str, Any], place: int, member: str, value: Any) -> str:
    wanted = copy.deepcopy(document)
    wanted["rules"][place][member] = value
    return _checked(Splice(text).put(("rules", place), member, value), wanted)


def _taken_out(text: str, document: dict[str, Any], place: int | None, member: str) -> str:
    if place is None:
        return text
    wanted, splice = copy.deepcopy(document), Splice(text)
    if set(wanted["rules"][place]) - {member} <= {"match", "for"}:
        del wanted["rules"][place]
        return _checked(splice.cut(("rules",), place), wanted)
    del wanted["rules"][place][member]
    return _checked(splice.cut(("rules", place), member), wanted)


def _checked(text: str, wanted: dict[str, Any]) -> str:
    """The text, if it says what is wanted.

    Raises:
        Unspliceable: it does not.
    """
    try:
        found = Source(text, "policy").data
    except Mistakes as wrong:
        raise Unspliceable(str(wrong)) from None
    if found != wanted:
        raise Unspliceable("it would say something else")
    return text
