"""What a policy says, in words: for explanations, warnings, and what a change of it would bring. Pure.

No value of an argument is quoted: it may be a secret.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from portkey_mcp.errors import Mistake
from portkey_mcp.policy.conditions import Condition
from portkey_mcp.policy.decide import Thing
from portkey_mcp.policy.document import Rule
from portkey_mcp.policy.match import KINDS
from portkey_mcp.policy.parts import Argument, Limit, MaxResult, Redaction, Whom
from portkey_mcp.policy.terms import FOLDED

_LENGTHS: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_SIZES: Final = ((1_000_000, "MB"), (1024 * 1024, "MiB"), (1000, "KB"), (1024, "KiB"))

_FLAGS: Final[Mapping[tuple[str, object], str]] = {
    ("read_only", True): "only tools that say they only read (readOnlyHint)",
    ("read_only", False): "tools may write, too",
    ("check_arguments", True): "arguments are compared with the schema",
    ("check_arguments", False): "arguments are not compared with the schema",
    ("require_approval", True): "a person is asked before each call",
    ("require_approval", False): "no person is asked",
    ("hidden_text", "keep"): "hidden characters stay",
    ("hidden_text", "remove"): "hidden characters are removed",
    ("hidden_text", "refuse"): "what has hidden characters is refused",
}

_SENTENCES: Final = {
    "rename": "called {}",
    "describe": "described in the policy's words",
    "cost": "a call costs {}",
    "timeout": "timeout {}",
    "max_timeout": "ends after {} whatever its server says",
    "max_arguments": "arguments up to {}",
}

_DOINGS: Final = {"mask": "masks", "block": "blocks", "log": "notes"}
_PLACES: Final = {"arguments": "in arguments", "result": "in results", "both": "in arguments and results"}


def printable(text: str) -> str:
    """A stranger's text without what could steer a terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def thing_text(thing: Thing) -> str:
    """A thing as a pattern that fits exactly it would be written: `linear/delete_issue`, `prompt:linear/review`."""
    return f"{'' if thing.kind == 'tool' else f'{thing.kind}:'}{thing.server}/{printable(thing.name)}"


def thing_of(text: str) -> Thing:
    """What `server/tool`, `prompt:server/name` or `resource:server/uri` names.

    Raises:
        Mistake: it is none of them.
    """
    head, slash, name = text.partition("/")
    prefix, colon, server = head.rpartition(":")
    kind = next((kind for kind in KINDS if kind == (prefix if colon else "tool")), None)
    if not slash or not server or not name or kind is None:
        raise Mistake(f"{text!r} is not understood; expected server/tool, prompt:server/name or resource:server/uri")
    return Thing(kind, server, name)


def duration_text(seconds: float) -> str:
    """`60 s`, `5 min`, `500 ms`: in the largest unit that leaves nothing over, a minute as its seconds."""
    if seconds < 1 or seconds % 1:
        return f"{seconds * 1000:g} ms" if seconds < 1 else f"{seconds:g} s"
    length, unit = next((length, unit) for length, unit in _LENGTHS if not seconds % length)
    return f"{seconds:g} s" if seconds == 60 else f"{seconds / length:g} {unit}"


def size_text(size: int) -> str:
    """`150 KB`, `64 KiB`, `1,234 bytes`."""
    return next((f"{size // unit:,} {name}" for unit, name in _SIZES if not size % unit), f"{size:,} bytes")


def limit_text(limit: Limit) -> str:
    """`20 calls per hour for each user`."""
    return f"{amount_text(limit, limit.amount)} {each_text(limit)}"


def amount_text(limit: Limit, amount: int) -> str:
    """`20 calls per hour`, `100 cost units per day`, `2 calls at the same time`, of any amount."""
    noun = "cost unit" if limit.cost is not None else "call"
    when = f"per {limit.per}" if limit.per is not None else "at the same time"
    return f"{amount:,} {noun}{'' if amount == 1 else 's'} {when}"


def each_text(limit: Limit) -> str:
    """`for each user and tool`: who has a count of their own."""
    subjects = [subject for subject in dict.fromkeys(limit.each) if subject not in ("workspace", "all")]
    if not subjects:
        return "for all workspaces together" if limit.each == ("all",) else "for the whole workspace"
    return f"for each {listing(subjects)}{' in all workspaces together' if 'all' in limit.each else ''}"


def whom_text(whom: Whom | None) -> str:
    """`role member or viewer, group ops`; `everybody` for None. Each member must fit."""
    if whom is None:
        return "everybody"
    names = {"service_accounts": "API key", "people": "person"}
    return ", ".join(
        f"{names.get(member, member.removesuffix('s'))} {listing([str(value) for value in values], 'or')}"
        for member in type(whom).model_fields
        if (values := getattr(whom, member)) is not None
    )


_MEASURES: Final[Mapping[str, Callable[[Any], str]]] = {
    "cost": "{:,}".format,
    "timeout": duration_text,
    "max_timeout": duration_text,
    "max_arguments": size_text,
}


def term_text(member: str, value: Any) -> str:
    """What a rule's member demands, as a clause: `timeout 60 s`."""
    if (flag := _FLAGS.get((member, value)) if isinstance(value, bool | str) else None) is not None:
        return flag
    match value:
        case Condition():
            return f"only when {value.text}"
        case MaxResult():
            return f"results up to {size_text(value.size)}, {'cut there' if value.over == 'cut' else 'else refused'}"
        case dict():
            return _arguments(value)
        case tuple():
            return _redactions(value)
    sentence = _SENTENCES.get(member, member + " {}")
    return sentence.format(_MEASURES[member](value) if member in _MEASURES else value)


def rule_says(rule: Rule) -> dict[str, str]:
    """Every member of a rule that says something, in words; limits one by one, as `limits.1`, `limits.2`."""
    said = {} if rule.enabled is None else {"enabled": "enables" if rule.enabled else "disables"}
    said |= {name: term_text(name, value) for name in FOLDED if (value := getattr(rule, name)) is not None}
    return said | {f"limits.{n}": limit_text(limit) for n, limit in enumerate(rule.limits, start=1)}


def listing(words: Sequence[str], last: str = "and", most: int = 6) -> str:
    """`a, b and c`; of many only the first, and how many more."""
    if len(words) > most:
        return f"{', '.join(words[: most - 1])} {last} {len(words) - most + 1} more"
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""


def _arguments(arguments: Mapping[str, Argument]) -> str:
    fixed = [name for name, argument in arguments.items() if not argument.hidden]
    hidden = [name for name, argument in arguments.items() if argument.hidden]
    said = [f"{verb} {listing(names)}" for verb, names in (("fills in", fixed), ("hides", hidden)) if names]
    return f"{' and '.join(said)}" if said else "callers give every argument"


def _redactions(redactions: Sequence[Redaction]) -> str:
    groups: dict[tuple[str, str], list[str]] = {}
    for redaction in redactions:
        groups.setdefault((redaction.do, redaction.in_), []).append(redaction.label)
    said = [f"{_DOINGS[do]} {listing(labels)} {_PLACES[place]}" for (do, place), labels in groups.items()]
    return "; ".join(said) or "nothing is redacted"
