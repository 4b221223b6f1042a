"""`redact:` — what is searched for in arguments and results, and taken out, refused or noted. Pure.

Everything is searched that somebody said: text, JSON inside text, structured content, `_meta`, whole numbers, and in
results the names of members that MCP does not give. The base64 of images, audio and files is not. What is taken out
leaves a marker, `[email removed]`; a marker is never searched, so to redact twice is to redact once.

The work is bounded, whatever the text is, and what was not searched does not pass: of one value 1 MiB of text is
searched. Each text for which there is no more room is left out of a result, and a line says so; arguments are refused
then, as is everything where something is to be blocked; where all is only noted, it is noted as `unsearched`. After
very many finds the rest of a text is one find.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal

from portkey_mcp.errors import Refused
from portkey_mcp.policy.guards import recognise
from portkey_mcp.policy.guards.regex import compile_own
from portkey_mcp.policy.guards.span import Span, merged
from portkey_mcp.policy.guards.walk import replaced
from portkey_mcp.policy.parts import Redaction

Where = Literal["arguments", "result"]

MOST_SEARCHED: Final = 2**20
"""Bytes of text of one value that are searched; the recognisers take half a second for as many at worst."""

_EACH: Final = 32
"""Bytes that each text counts more than it has: to begin a search takes its time, too."""

MOST_LEFT_OUT: Final = 10_000
"""Texts that are left out of one value; one with more is refused, as hardly anything of it would be left."""

MOST_FOUND: Final = 10_000
"""Finds of one redaction in one value; after that many, the rest of a text is one find."""

MOST_READ: Final = 2**27
"""Characters that a pattern of a person's own may read in one value, each as often as it is read; about a quarter of a
second. Each search may read to the end of the text, which is quadratic even where each search is linear."""

UNSEARCHED: Final = "unsearched"
"""What is reported as found where something was not searched."""

_ROUNDS: Final = 4
"""How often a text is searched again after something was taken out: what is left may look different without it."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """The value, the same object when nothing was masked, and the labels of the redactions that found something."""

    value: Any
    found: tuple[str, ...] = ()


def redact(redactions: tuple[Redaction, ...], value: Any, where: Where) -> Redacted:
    """Search all that was said in `value`, a JSON value, with those redactions that are for `where`.

    Raises:
        Refused: something was found that may not pass (`do: block`), or there is too much to search. Its text names
            what, and does not quote it.
    """
    applied = tuple(one for one in redactions if one.in_ in (where, "both"))
    if not applied:
        return Redacted(value)
    fits, texts = _Fits(applied), []

    def note(text: str) -> str:
        if fits.take(text):
            texts.append(text)
        elif fits.refused > MOST_LEFT_OUT and any(one.do != "log" for one in applied):
            raise _too_much(where)
        return text

    replaced(value, note, message=where == "result")
    finding = _finding(applied, texts)
    if not finding and not fits.refused:
        return Redacted(value)
    search = _Search(applied, finding, where)
    made = replaced(value, search.text, message=where == "result")
    labels = dict.fromkeys((*(one.label for one in applied), UNSEARCHED))
    return Redacted(made, tuple(label for label in labels if label in search.found))


def _finding(redactions: tuple[Redaction, ...], texts: list[str]) -> tuple[Redaction, ...]:
    """Those that may find something. Most find nothing, and of many short texts that is seen sooner in one long one.

    A pattern of a person's own may ask for the beginning or the end of a text, and always goes on to see each.
    """
    named = {one.find for one in redactions if one.find is not None}
    if named:
        whole = "\n".join(texts)
        named = {name for name in named if recognise.occurs(name, whole)}
    return tuple(one for one in redactions if one.find is None or one.find in named)


class _Fits:
    """Which texts of one value are searched: those for which there is room, in their order."""

    def __init__(self, redactions: tuple[Redaction, ...]) -> None:
        self._left = MOST_SEARCHED
        self._shortest = 0 if any(one.find is None for one in redactions) else recognise.SHORTEST
        self.refused = 0
        """Texts for which there was no room."""

    def take(self, text: str) -> bool:
        if len(text) < self._shortest:
            return True  # nothing is found in so little
        size = _bytes(text)
        if size + _EACH > self._left:
            self.refused += 1
            return False
        self._left -= size + _EACH
        return True


@dataclass(slots=True)
class _Budget:
    """What one redaction may still find and, with a pattern of a person's own, read in one value."""

    finds: int = field(default_factory=lambda: MOST_FOUND)
    read: int = field(default_factory=lambda: MOST_READ)


class _Search:
    """One pass over one value: all redactions for it, and those that may find something. `found` grows."""

    def __init__(self, redactions: tuple[Redaction, ...], finding: tuple[Redaction, ...], where: Where) -> None:
        self.found: set[str] = set()
        self._finding = finding
        self._masking = tuple(one for one in redactions if one.do == "mask")
        self._budgets = {one: _Budget() for one in redactions}
        self._markers = _markers(redactions)
        self._where = where
        self._fits = _Fits(redactions)
        self._blocking = any(one.do == "block" for one in redactions)

    def text(self, text: str) -> str:
        """`text` without what is masked.

        Raises:
            Refused: it has something that may not pass, or there is no room to search it and it may not be left out.
        """
        if not self._fits.take(text):
            return self._unsearched(text)
        spans = []
        marked = self._marked(text)
        for redaction in self._finding:
            finds = self._finds(redaction, text, marked)
            if finds:
                self.found.add(redaction.label)
                if redaction.do == "block":
                    raise _refusal(redaction, finds[0], self._where)
                if redaction.do == "mask":
                    spans += finds
        for _ in range(_ROUNDS):
            if not spans:
                break
            text = _without(text, merged(spans))
            spans = []
            if self._markers.fullmatch(text):
                break
            marked = self._marked(text)
            for redaction in self._masking:
                if finds := self._finds(redaction, text, marked):
                    self.found.add(redaction.label)
                    spans += finds
        return text

    def _unsearched(self, text: str) -> str:
        """What stands for a text that is not searched. Of arguments nothing is left out: they would mean another."""
        if self._blocking or (self._masking and self._where == "arguments"):
            raise _too_much(self._where)
        self.found.add(UNSEARCHED)
        return _left_out(text) if self._masking else text

    def _finds(self, redaction: Redaction, text: str, marked: "_Marked") -> list[Span]:
        """What is found and lies in no marker. When there is no more budget, the next find goes to the end."""
        budget, kept = self._budgets[redaction], []
        for search in _searches(redaction, text, budget):
            for one in search:
                if (span := marked.around(one)) is None:
                    continue
                if budget.finds <= 0:
                    kept.append(span._replace(end=len(text)))
                    break
                budget.finds -= 1
                kept.append(span)
        return kept

    def _marked(self, text: str) -> "_Marked":
        if _REMOVED not in text and _LEFT_OUT not in text:
            return _Marked([], [])
        markers = [marker.span() for marker in self._markers.finditer(text)]
        return _Marked([start for start, _ in markers], [end for _, end in markers])


@dataclass(frozen=True, slots=True)
class _Marked:
    """Where the markers of a text are."""

    begins: list[int]
    ends: list[int]

    def around(self, span: Span) -> Span | None:
        """A find with the markers that it touches; None where it lies in one."""
        if not self.begins:
            return span
        first, last = bisect_right(self.ends, span.start), bisect_left(self.begins, span.end)
        if first >= last:
            return span
        begin, end = self.begins[first], self.ends[last - 1]
        if last - first == 1 and begin <= span.start and span.end <= end:
            return None
        return Span(min(span.start, begin), max(span.end, end), span.label)


def _searches(redaction: Redaction, text: str, budget: _Budget) -> list[Iterator[Span]]:
    if redaction.find is None:
        return [_own(redaction, text, budget)]
    searches = recognise.searches(redaction.find, text)
    named = redaction.name
    return searches if named is None else [_called(named, search) for search in searches]


def _called(name: str, spans: Iterator[Span]) -> Iterator[Span]:
    return (span._replace(label=name) for span in spans)


def _own(redaction: Redaction, text: str, budget: _Budget) -> Iterator[Span]:
    """The finds of a pattern of a person's own; one to the end of the text when it has read too much."""
    assert redaction.pattern is not None
    further = _further(redaction.pattern)
    done = 0
    for found in compile_own(redaction.pattern).finditer(_searchable(text)):
        start, end = found.span()
        budget.read -= end - done + min(further, len(text) - end)
        done = end
        if budget.read < 0 and start < len(text):
            yield Span(start, len(text), redaction.label)
            return
        if start < end:
            yield Span(start, end, redaction.label)
    budget.read -= len(text) - done


_UNITS: Final = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]", re.DOTALL)
_ENDLESS: Final = re.compile(r"[*+]|\{\d+,\}")


@lru_cache(maxsize=1024)
def _further(pattern: str) -> int:
    """How far a search may read beyond what it finds: as far as the longest find, for which there may be no bound.

    RE2 repeats nothing more than 1,000 times, repetitions within one another together.
    """
    bare = _UNITS.sub("x", pattern)
    if _ENDLESS.search(bare) or "\\Q" in pattern:
        return MOST_SEARCHED
    return len(pattern) * (1000 if "{" in bare else 1)


_SURROGATES: Final = re.compile("[\ud800-\udfff]")


def _searchable(text: str) -> str:
    """The text for RE2, which reads UTF-8: half a pair has none, and is read as U+FFFD; every place stays as it is."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub("\ufffd", text)
    return text


_REMOVED: Final = " removed]"
_LEFT_OUT: Final = " bytes not searched and left out]"


def _marker(label: str) -> str:
    return f"[{label}{_REMOVED}"


def _left_out(text: str) -> str:
    return f"[text of {_bytes(text):,}{_LEFT_OUT}"


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


@lru_cache(maxsize=1024)
def _markers(redactions: tuple[Redaction, ...]) -> re.Pattern[str]:
    labels = recognise.LABELS | {redaction.label for redaction in redactions}
    known = [re.escape(_marker(label)) for label in sorted(labels, key=len, reverse=True)]
    return re.compile("|".join([*known, rf"\[text of [0-9,]{{1,20}}{re.escape(_LEFT_OUT)}"]))


def _without(text: str, spans: list[Span]) -> str:
    parts, done = [], 0
    for start, end, label in spans:
        parts += [text[done:start], _marker(label)]
        done = end
    return "".join([*parts, text[done:]])


def _refusal(redaction: Redaction, found: Span, where: Where) -> Refused:
    label = redaction.label
    what = label if found.label == label else f"{label} ({found.label})"
    if where == "arguments":
        text = (
            f"The arguments contain what this gateway's policy lets nobody send: {what}. The server was not called. "
            "Take it out, or use a reference to it, and call again."
        )
    else:
        text = (
            f"The call ran, but its result contains what this gateway's policy lets nobody see: {what}. Do not call "
            "again with the same arguments: ask for a part without it, or ask an administrator of the gateway."
        )
    return Refused("content", text, {"found": label, "in": where}, sent=where == "result")


def _too_much(where: Where) -> Refused:
    if where == "arguments":
        text = (
            "The arguments have more text than this gateway can search for what its policy lets nobody send (about "
            f"{MOST_SEARCHED:,} bytes). The server was not called. Send less, or send it in parts."
        )
    else:
        text = (
            "The call ran, but its result has more text than this gateway can search for what its policy lets nobody "
            f"see (about {MOST_SEARCHED:,} bytes). Do not call again with the same arguments: ask for less, or for a "
            "part."
        )
    return Refused("content", text, {"found": UNSEARCHED, "in": where}, sent=where == "result")
