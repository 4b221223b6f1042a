"""How much work a CEL expression makes of one call's values, told before it is done. Pure.

Once begun the engine cannot be stopped, and nobody else is served meanwhile. It copies the whole of `args.paths` each
time that is mentioned, and `map` and `filter` copy their list once more for each element. So what is counted here is an
upper bound of copies, one value or 1,000 characters each (about 100 ns): with W the most elements of any one list or
object, V all values, and d the comprehensions around a place,

    args, principal, tool, +       W^d * V           a bound name                  W^(d-1) * V
    map, filter                    W^d * V           anything else, per word       W^d
    matches                        W^d * (V + what its pattern takes to compile)

`map` makes lists that may be longer: `+` and commas in it count as more elements, and each `map` as W times the values.
"""

import re
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

DEEPEST: Final = 2
"""How deep comprehensions may stand in one another."""

MOST_WORK: Final = 3_000_000
"""Copies that one call may cost, about a quarter of a second: `a.all(x, b.exists(y, …))` of 350 elements each."""

MOST_VALUES: Final = 100_000
"""Values in the arguments, the principal and the tool together; the engine gets a copy of each, used or not."""

_WIDEST: Final = 2**63
"""CEL's integers have 64 bits; of anything wider it would see something else than the upstream."""

_TEXT: Final = 1000
"""Characters that are copied in the time of one value."""

COMPREHENSIONS: Final = ("all", "exists", "exists_one", "existsOne", "map", "filter")
"""All that the engine repeats."""

_QUOTED: Final = re.compile(
    r"//[^\n]*"
    r"|(?<!\w)(?P<raw>[bB]?[rR])(?:'''(?s:.*?)'''|\"\"\"(?s:.*?)\"\"\"|'[^'\n]*'|\"[^\"\n]*\")"
    r"|'''(?s:\\.|.)*?'''|\"\"\"(?s:\\.|.)*?\"\"\"|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\""
)
_BINDING: Final = re.compile(rf"\.\s*(?:{'|'.join(COMPREHENSIONS)})\s*\(\s*(\w+)\s*,")
_TOKEN: Final = re.compile(
    rf"\.\s*(?P<loop>{'|'.join(COMPREHENSIONS)})\s*\("
    r"|\.\s*matches\s*\((?P<pattern>\s*\"\d+\"\s*\))?"
    r"|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<comma>,)|(?P<plus>\+)"
    r"|(?P<member>\.\s*\w+)|(?P<name>[A-Za-z_]\w*)|\"\d+\"|[^\s\w]|\w+"
)
_PART: Final = re.compile(r"(\[(?:\\.|[^\]\\])*\]|\\.|.)(?:\{(\d*),?(\d*)\})?", re.DOTALL)
_OUTER: Final = frozenset({"args", "principal", "tool"})


class Size(NamedTuple):
    """What a call brings: all its values, the elements of its longest list or object, and the characters of its texts.
    `wide`: there is an integer that CEL has not."""

    values: int
    widest: int
    text: int
    wide: bool


def measured(*values: Any) -> Size:
    """Measure JSON values, names of members as text; beyond `MOST_VALUES` it stops, as nobody wants to know more."""
    count, widest, text, wide = len(values), 0, 0, False
    waiting: list[Any] = list(values)
    while waiting and count <= MOST_VALUES:
        one = waiting.pop()
        if isinstance(one, str):
            text += len(one)
        elif isinstance(one, dict | list):
            count += len(one)
            widest = max(widest, len(one))
            if isinstance(one, dict):
                text += sum(len(name) for name in one)
                waiting += one.values()
            else:
                waiting += one
        elif isinstance(one, int) and not -_WIDEST <= one < _WIDEST:
            wide = True
    return Size(count, widest, text, wide)


@dataclass(frozen=True, slots=True)
class Workload:
    """The work of one expression: copies of all values, and single steps, by the comprehensions around them."""

    copies: tuple[int, ...]
    steps: tuple[int, ...]
    literal: int
    """Elements that a list in the expression itself may have."""
    maps: int
    growth: int

    def of(self, size: Size) -> int:
        """The most that it can cost, in copies."""
        values = size.values + size.text // _TEXT
        if len(self.copies) == 1:
            return self.copies[0] * values * self.growth + self.steps[0]
        width = max(size.widest, self.literal, 1) * self.growth
        values = max(values, self.literal) * self.growth * width**self.maps
        return sum(
            width**deep * (copies * values + steps)
            for deep, (copies, steps) in enumerate(zip(self.copies, self.steps, strict=True))
        )


def bound_names(text: str) -> frozenset[str]:
    """Names that an expression binds itself: `args.paths.all(path, path.startsWith("/srv/"))`."""
    return frozenset(_BINDING.findall(_code(text)[0]))


def workload(text: str) -> Workload:
    """Read how much work an expression makes; it is one that the engine has compiled.

    Raises:
        ValueError: it is more than any call could be allowed.
    """
    found = _Reading(*_code(text)).workload()
    if found.of(Size(1, 1, 0, False)) > MOST_WORK:
        raise ValueError("makes too much work of lists or patterns of its own; make them shorter, or nest them less")
    return found


def _code(text: str) -> tuple[str, list[str]]:
    """The expression with comments gone and numbers in the place of its texts, and those texts in quotes."""
    texts: list[str] = []

    def numbered(found: re.Match[str]) -> str:
        if found[0].startswith("//"):
            return " "
        texts.append(found[0] if found["raw"] else found[0].replace("\\\\", "\\"))
        return f'"{len(texts) - 1}"'

    return _QUOTED.sub(numbered, text), texts


class _Bracket:
    """An open bracket: of which comprehension, if of any, and what makes lists longer in it."""

    __slots__ = ("growing", "loop")

    def __init__(self, loop: str = "") -> None:
        self.loop = loop
        self.growing = -1  # the comma between the name and the expression makes nothing longer


class _Reading:
    """Reads an expression from left to right, once."""

    def __init__(self, code: str, texts: list[str]) -> None:
        self._code, self._texts = code, texts
        self._open: list[_Bracket] = []
        self._copies, self._steps = [0], [0]
        self._growth = 1
        self._maps = 0

    def workload(self) -> Workload:
        commas = plus = 0
        for token in _TOKEN.finditer(self._code):
            commas += token["comma"] is not None
            plus += token["plus"] is not None
            self._read(token)
        literal = commas + 1 if "[" in self._code or "{" in self._code else 0
        growth = self._growth * (1 + plus)
        return Workload(tuple(self._copies), tuple(self._steps), literal, self._maps, growth)

    def _read(self, token: re.Match[str]) -> None:
        deep = sum(one.loop != "" for one in self._open)
        self._steps[deep] += 1
        if token["loop"]:
            self._enter(token["loop"], deep + 1)
        elif token["name"] == "matches" or (token[0].endswith("(") and token["open"] is None):
            raise ValueError("`matches` needs its pattern in quotes: one that a caller could choose may take any time")
        elif token["pattern"]:
            self._copies[deep] += 1
            self._steps[deep] += _weight(self._texts[int(token["pattern"].strip(' )\t\r\n"'))])
        elif token["open"]:
            self._open.append(_Bracket())
        elif token["close"]:
            self._leave()
        elif token["comma"] or token["plus"]:
            self._grow(deep if token["plus"] else None)
        elif token["name"] in _OUTER:
            self._copies[deep] += 1
        elif token["name"] and deep:
            self._copies[deep - 1] += 1

    def _enter(self, loop: str, deep: int) -> None:
        if deep > DEEPEST:
            raise ValueError(
                f"`all`, `exists`, `exists_one`, `map` and `filter` may stand in one another {DEEPEST} deep, and these "
                f"stand {deep} deep; the work of one call would have no bound"
            )
        if deep == len(self._copies):
            self._copies.append(0)
            self._steps.append(0)
        self._open.append(_Bracket(loop))
        self._steps[deep] += 4
        self._copies[deep - 1] += 1  # each element is copied to its name
        if loop in ("map", "filter"):
            self._copies[deep] += 1
            self._maps += loop == "map"

    def _leave(self) -> None:
        last = self._open.pop() if self._open else _Bracket()
        if last.loop == "map":
            self._growth *= 1 + max(0, last.growing)

    def _grow(self, copied: int | None) -> None:
        for one in self._open:
            one.growing += 1
        if copied is not None:
            self._copies[copied] += 1


def _weight(pattern: str) -> int:
    """What the engine takes to compile a pattern, which it does each time. Classes of letters are the dear ones."""
    total, times = 130, 1
    for part, least, most in _PART.findall(pattern):
        again = max(1, int(most or least or 0))
        if part == ")":
            times *= again
        total += again * (20 + sum(_OF_CLASS.get(letter, 0) for letter in re.findall(r"\\(.)", part)))
    return min(total * times, _DEAREST)


_OF_CLASS: Final = {**dict.fromkeys("wWpPbB", 4500), **dict.fromkeys("dDsS", 400)}
_DEAREST: Final = 700_000
"""The engine refuses patterns that would take longer."""
