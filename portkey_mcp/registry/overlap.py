"""Whether two rules of a policy could be about the same thing and the same visitor. Pure, and never wrongly no."""

from collections.abc import Mapping
from typing import Any

from portkey_mcp.policy.match import URI_KINDS, compile_pattern


def may_overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Compare two rules as data. Of whom they are for only roles are compared: a visitor has exactly one."""
    roles, other_roles = _roles(one), _roles(other)
    if roles and other_roles and not roles & other_roles:
        return False
    return any(patterns_overlap(a, b) for a in _patterns(one) for b in _patterns(other))


def _roles(rule: Mapping[str, Any]) -> set[str]:
    return set((rule.get("for") or {}).get("roles") or ())


def _patterns(rule: Mapping[str, Any]) -> list[str]:
    match = rule["match"]
    return [match] if isinstance(match, str) else list(match)


def patterns_overlap(one: str, other: str) -> bool:
    """Whether something could fit both patterns. A URI has several spellings, so those of one server always may."""
    shared = compile_pattern(one).kinds & compile_pattern(other).kinds
    (server, name), (other_server, other_name) = _parts(one), _parts(other)
    return bool(
        shared and globs_overlap(server, other_server) and (shared & URI_KINDS or globs_overlap(name, other_name))
    )


def _parts(pattern: str) -> tuple[str, str]:
    head, _, name = pattern.partition("/")
    return head.rpartition(":")[2], name or "*"


def globs_overlap(one: str, other: str) -> bool:
    """Whether some text fits both globs; the time is the product of their lengths."""
    row = [True] + [False] * len(other)
    for place, char in enumerate(other):
        row[place + 1] = row[place] and char == "*"
    for a in one:
        above, row = row, [row[0] and a == "*"]
        for place, b in enumerate(other):
            if a == "*" or b == "*":
                row.append(above[place + 1] or row[place])
            else:
                row.append(above[place] and (a == b or "?" in (a, b)))
    return row[-1]
