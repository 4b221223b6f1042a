"""What holds for one thing and one visitor: every rule that applies, folded into one value. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from portkey_mcp.policy.conditions import Condition
from portkey_mcp.policy.document import Rule
from portkey_mcp.policy.parts import Argument, Limit, MaxResult, Redaction


@dataclass(frozen=True, slots=True)
class Counted:
    """A limit, the rule it stands in (its index), and the place of that rule's count: what it is about and for whom."""

    limit: Limit
    rule: int
    place: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What is demanded of a call beside that it is allowed; a member that no rule sets is None, empty or false.

    `said` names the rule (its index) that set each member, for explanations and refusals.
    """

    read_only: bool = False
    rename: str | None = None
    describe: str | None = None
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    cost: int = 1
    limits: tuple[Counted, ...] = ()
    timeout: float | None = None
    max_timeout: float | None = None
    max_arguments: int | None = None
    max_result: MaxResult | None = None
    check_arguments: bool = False
    when: Condition | None = None
    redact: tuple[Redaction, ...] = ()
    hidden_text: Literal["keep", "remove", "refuse"] = "keep"
    require_approval: bool = False
    said: Mapping[str, int] = field(default_factory=dict, compare=False)


FREE = Terms()
"""Nothing is demanded."""

FOLDED = tuple(f.name for f in fields(Terms) if f.name not in ("limits", "said"))
"""The members in which a later rule overrides an earlier one."""


def fold(rules: Iterable[tuple[int, Rule]]) -> Terms:
    """The terms that these rules make, given with their indexes in the order of the document."""
    found: dict[str, object] = {}
    said: dict[str, int] = {}
    limits: list[Counted] = []
    for index, rule in rules:
        for name in FOLDED:
            value = getattr(rule, name)
            if value is not None:
                found[name], said[name] = value, index
        limits += [Counted(limit, index, place_of(rule)) for limit in rule.limits]
    if not found and not limits:
        return FREE
    return Terms(**found, limits=tuple(limits), said=said)  # type: ignore[arg-type]


def place_of(rule: Rule) -> str:
    """What names a rule's counts: the same after other rules came or went, and after its numbers were changed."""
    whom = rule.for_.model_dump_json(exclude_none=True) if rule.for_ is not None else ""
    return f"{' '.join(sorted(rule.match))} {whom}"
