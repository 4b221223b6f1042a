"""`redact:` — what is searched for in arguments and results, and taken out, refused or noted. Pure.

Every string is searched: text, JSON inside text, structured content, `_meta`. Names of members are not, nor is the
base64 of images, audio and files. What is taken out leaves a marker, `[email removed]`; a marker is never searched, so
to redact twice is to redact once.
"""

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

from portkey_mcp.errors import Refused
from portkey_mcp.policy.guards import recognise
from portkey_mcp.policy.guards.regex import compile_own
from portkey_mcp.policy.guards.span import Span, merged
from portkey_mcp.policy.guards.walk import changed, strings
from portkey_mcp.policy.parts import Redaction

Where = Literal["arguments", "result"]

MOST_FOUND: Final = 10_000
"""Finds of one pattern of a person's own in one text; after that many the rest of the text is one find. Each search of
a badly written pattern may read to the end of the text, which is quadratic even where each search is linear."""

_ROUNDS: Final = 4
"""How often a text is searched again after something was taken out: what is left may look different without it."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """The value, the same object when nothing was masked, and the labels of the redactions that found something."""

    value: Any
    found: tuple[str, ...] = ()


def redact(redactions: tuple[Redaction, ...], value: Any, where: Where) -> Redacted:
    """Search all strings of `value`, a JSON value, with those redactions that are for `where`.

    Raises:
        Refused: something was found that may not pass (`do: block`). Its text names what, and does not quote it.
    """
    applied = tuple(one for one in redactions if one.in_ in (where, "both"))
    finding = _finding(applied, value)
    if not finding:
        return Redacted(value)
    search = _Search(applied, finding, where)
    made = changed(value, search.text, payloads=False)
    labels = dict.fromkeys(one.label for one in applied)
    return Redacted(made, tuple(label for label in labels if label in search.found))


def _finding(redactions: tuple[Redaction, ...], value: Any) -> tuple[Redaction, ...]:
    """Those that may find something. Most find nothing, and of many short texts that is seen sooner in one long one.

    A pattern of a person's own may ask for the beginning or the end of a text, and always goes on to see each.
    """
    named = {one.find for one in redactions if one.find is not None}
    if named:
        whole = "\n".join(strings(value, payloads=False))
        named = {name for name in named if recognise.find(name, whole)}
    return tuple(one for one in redactions if one.find is None or one.find in named)


class _Search:
    """One pass over one value: all redactions for it, and those that may find something. `found` grows."""

    def __init__(self, redactions: tuple[Redaction, ...], finding: tuple[Redaction, ...], where: Where) -> None:
        self.found: set[str] = set()
        self._finding = finding
        self._masking = tuple(one for one in redactions if one.do == "mask")
        self._markers = _markers(redactions)
        self._where = where

    def text(self, text: str) -> str:
        """`text` without what is masked.

        Raises:
            Refused: it has something that may not pass.
        """
        spans = []
        for redaction in self._finding:
            finds = self._finds(redaction, text)
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
            for redaction in self._masking:
                if finds := self._finds(redaction, text):
                    self.found.add(redaction.label)
                    spans += finds
        return text

    def _finds(self, redaction: Redaction, text: str) -> list[Span]:
        found = _found(redaction, text)
        if not found or " removed]" not in text:
            return found
        # What lies in a marker is none; a marker at the edge of something goes with it.
        markers = [marker.span() for marker in self._markers.finditer(text)]
        begins, ends = [start for start, _ in markers], [end for _, end in markers]
        kept = []
        for start, end, label in found:
            touched = markers[bisect_right(ends, start) : bisect_left(begins, end)]
            if not touched:
                kept.append(Span(start, end, label))
            elif not (touched[0][0] <= start and end <= touched[0][1]):
                kept.append(Span(min(start, touched[0][0]), max(end, touched[-1][1]), label))
        return kept


def _found(redaction: Redaction, text: str) -> list[Span]:
    if redaction.find is not None:
        named = redaction.name
        spans = recognise.find(redaction.find, text)
        return [span._replace(label=named) for span in spans] if named is not None else spans
    assert redaction.pattern is not None
    spans = []
    for found in compile_own(redaction.pattern).finditer(_searchable(text)):
        if found.start() < found.end():
            spans.append(Span(found.start(), found.end(), redaction.label))
        if len(spans) == MOST_FOUND:
            return [*spans, Span(found.end(), len(text), redaction.label)]
    return spans


_SURROGATES: Final = re.compile("[\ud800-\udfff]")


def _searchable(text: str) -> str:
    """The text for RE2, which reads UTF-8: half a pair has none, and is read as U+FFFD; every place stays as it is."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub("\ufffd", text)
    return text


def _marker(label: str) -> str:
    return f"[{label} removed]"


@lru_cache(maxsize=1024)
def _markers(redactions: tuple[Redaction, ...]) -> re.Pattern[str]:
    labels = recognise.LABELS | {redaction.label for redaction in redactions}
    return re.compile("|".join(re.escape(_marker(label)) for label in sorted(labels, key=len, reverse=True)))


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
