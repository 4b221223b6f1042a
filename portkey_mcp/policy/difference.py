r"""What two definitions of a tool differ in, word by word, for the person who decides whether that is well. Pure.

What a stranger wrote is made safe to show. Characters that people do not see and models read, and those that steer a
terminal, stand as escapes, `\u{E0041}`; only line breaks and tabs stay. Two different definitions never look alike.
The work is bounded, whatever a hostile server sends: texts too different to be compared are shown one after the other.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from portkey_mcp.wire import Json

DEEPEST: Final = 32
"""Levels that are told apart by their path; what lies deeper is one text, as JSON."""

MOST_EDITS: Final = 600
"""Words taken away or put in, in one text, up to which it is compared; beyond, it is another text anyway."""

MOST_STEPS: Final = 2_000_000
"""Comparisons for all texts together: about a second."""

MOST_KEPT: Final = 400
"""Characters that did not change and are shown between two changes; of more, only both ends."""

UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
"""Characters that Python calls printable and that show nothing: joiners, fillers, blanks, variation selectors."""

_ESCAPE: Final = re.compile(r"\\(?=u\{)")
_WORD: Final = re.compile(r"\\u\{[0-9A-F]+\}|\w+|\s+|[^\w\s]")
_MARK: Final = re.compile(r"\[-|-\]|\{\+|\+\}")
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_$@-]{1,64}")

_Leaf = tuple[str | int, ...]


class Run(NamedTuple):
    """A piece of text that was kept, taken away or put in, made safe to show."""

    kind: Literal["kept", "removed", "added"]
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """One member that is not what it was. `path` is like `inputSchema.properties.repo.description`.

    Of a member that only one side has, `runs` is a single one.
    """

    path: str
    runs: tuple[Run, ...]

    @property
    def what(self) -> Literal["new", "gone", "changed"]:
        """Whether the member itself came, went, or changed."""
        only = self.runs[0].kind if len(self.runs) == 1 else "kept"
        return "new" if only == "added" else "gone" if only == "removed" else "changed"


def words(before: Json, after: Json) -> list[Change]:
    """What changed, in the order of the later definition; empty only when nothing did but the order of members.

    A string is shown as it is, unless it could be taken for another value; everything else as JSON.
    """
    was, now = _leaves(before), _leaves(after)
    effort = _Effort(MOST_STEPS)
    changes = []
    for place in [*now, *(place for place in was if place not in now)]:
        old, new = was.get(place), now.get(place)
        if old is None or new is None:
            runs = [Run("added", new)] if new is not None else [Run("removed", old or "")]
        elif old != new:
            runs = _compare(old, new, effort)
        else:
            continue
        changes.append(Change(_path(place), tuple(runs)))
    return changes


def text(changes: Iterable[Change], colour: bool) -> str:
    """The changes for a terminal: `[-taken away-]` and `{+put in+}`, and in red and green where `colour` is wanted.

    Where a stranger's own text has such a mark, its first character stands as an escape.
    """
    lines: list[str] = []
    for change in changes:
        lines.append(change.path + {"new": " (new)", "gone": " (gone)", "changed": ""}[change.what])
        body = "".join(_marked(run, colour) for run in change.runs)
        lines += [f"  {line}" for line in body.split("\n")]
    return "\n".join(lines)


def visible(said: str) -> str:
    r"""A stranger's text with all that is not seen as `\u{…}`; a `\u{` of its own has its backslash escaped, too."""
    if said.isprintable() and said.isascii() and "\\" not in said:
        return said
    said = UNSEEN.sub(_escaped, _ESCAPE.sub(_escaped, said))
    return "".join(char if char.isprintable() or char in "\n\t" else _escape(char) for char in said)


def _escape(char: str) -> str:
    return f"\\u{{{ord(char):X}}}"


def _escaped(found: re.Match[str]) -> str:
    return _escape(found[0])


def _marked(run: Run, colour: bool) -> str:
    said = _MARK.sub(lambda found: _escape(found[0][0]) + found[0][1], run.text)
    if run.kind == "kept":
        if len(said) <= MOST_KEPT:
            return said
        end = MOST_KEPT // 2
        return f"{said[:end]}\n(… {len(said) - 2 * end} characters as they were …)\n{said[-end:]}"
    marked = f"[-{said}-]" if run.kind == "removed" else f"{{+{said}+}}"
    return f"\x1b[{31 if run.kind == 'removed' else 32}m{marked}\x1b[0m" if colour else marked


def _leaves(definition: Json) -> dict[_Leaf, str]:
    """Every value that holds no further one, by its place and safe to show; a list of plain values is one value."""
    found: dict[_Leaf, str] = {}
    rest: list[tuple[_Leaf, Any]] = [((key,), value) for key, value in reversed(definition.items())]
    while rest:
        place, value = rest.pop()
        if isinstance(value, dict) and value and len(place) < DEEPEST:
            rest += [((*place, key), inner) for key, inner in reversed(value.items())]
        elif isinstance(value, list) and len(place) < DEEPEST and any(isinstance(v, dict | list) for v in value):
            rest += [((*place, index), inner) for index, inner in reversed(list(enumerate(value)))]
        else:
            found[place] = visible(_shown(value))
    return found


def _shown(value: Any) -> str:
    """A string as it is, unless it reads as JSON; everything else as JSON: no two values are shown alike."""
    if isinstance(value, str) and not _reads_as_json(value):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _reads_as_json(said: str) -> bool:
    try:
        json.loads(said, parse_int=str, parse_float=str)
    except ValueError:
        return said == ""
    except RecursionError:
        return True
    return True


def _path(place: _Leaf) -> str:
    parts = []
    for key in place:
        if isinstance(key, int):
            parts.append(f"[{key}]")
        elif _PLAIN_KEY.fullmatch(key):
            parts.append(f".{key}")
        else:
            parts.append(f"[{visible(json.dumps(key, ensure_ascii=False))}]")
    return "".join(parts).removeprefix(".")


class _Effort:
    """What may still be spent on comparing."""

    def __init__(self, steps: int) -> None:
        self.steps = steps


def _compare(old: str, new: str, effort: _Effort) -> list[Run]:
    a, b = _WORD.findall(old), _WORD.findall(new)
    shorter, start = min(len(a), len(b)), 0
    while start < shorter and a[start] == b[start]:
        start += 1
    end = 0
    while end < shorter - start and a[-1 - end] == b[-1 - end]:
        end += 1
    middle_a, middle_b = a[start : len(a) - end], b[start : len(b) - end]
    pairs = _common(middle_a, middle_b, effort)
    blocks = [["".join(a[:start]), "", ""]]
    x = y = 0
    for i, j in [*pairs, (len(middle_a), len(middle_b))]:
        if i > x or j > y:
            blocks[-1][1], blocks[-1][2] = "".join(middle_a[x:i]), "".join(middle_b[y:j])
            blocks.append(["", "", ""])
        blocks[-1][0] += "".join(middle_a[i : i + 1])
        x, y = i + 1, j + 1
    blocks[-1][0] += "".join(a[len(a) - end :])
    return _joined(blocks)


def _joined(blocks: Sequence[Sequence[str]]) -> list[Run]:
    """Blocks of (kept, removed, added) as runs. Mere space between two changes belongs to both: they read as one."""
    merged: list[list[str]] = []
    for place, (kept, removed, added) in enumerate(blocks):
        if 0 < place < len(blocks) - 1 and kept.isspace() and merged:
            merged[-1][1] += kept + removed
            merged[-1][2] += kept + added
        else:
            merged.append([kept, removed, added])
    kinds: tuple[Literal["kept", "removed", "added"], ...] = ("kept", "removed", "added")
    return [Run(kind, said) for block in merged for kind, said in zip(kinds, block, strict=True) if said]


def _common(a: Sequence[str], b: Sequence[str], effort: _Effort) -> list[tuple[int, int]]:
    """Places of words that both have, in order: a longest such row by Myers (1986), "An O(ND) Difference Algorithm".

    None at all when the texts are too different, or too much was spent already.
    """
    reached, trace = {1: 0}, []
    for edits in range(min(len(a) + len(b), MOST_EDITS) + 1):
        trace.append(reached.copy())
        for diagonal in range(-edits, edits + 1, 2):
            down = diagonal == -edits or (diagonal != edits and reached[diagonal - 1] < reached[diagonal + 1])
            begun = x = reached[diagonal + 1] if down else reached[diagonal - 1] + 1
            while x < len(a) and x - diagonal < len(b) and a[x] == b[x - diagonal]:
                x += 1
            reached[diagonal] = x
            effort.steps -= x - begun + 1
            if x >= len(a) and x - diagonal >= len(b):
                return _traced(trace, len(a), len(b))
        if effort.steps < 0:
            break
    return []


def _traced(trace: Sequence[dict[int, int]], x: int, y: int) -> list[tuple[int, int]]:
    """The way back: the words on its diagonals are common."""
    pairs = []
    for edits in range(len(trace) - 1, -1, -1):
        reached, diagonal = trace[edits], x - y
        down = diagonal == -edits or (diagonal != edits and reached[diagonal - 1] < reached[diagonal + 1])
        before = diagonal + 1 if down else diagonal - 1
        from_x = reached[before] if edits else 0
        from_y = from_x - before if edits else 0
        while x > from_x and y > from_y:
            x, y = x - 1, y - 1
            pairs.append((x, y))
        x, y = from_x, from_y
    return pairs[::-1]
