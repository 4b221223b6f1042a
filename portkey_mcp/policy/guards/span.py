"""A find in a text, and how several finds become one. Pure."""

from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """`text[start:end]`, and what it is, in a person's words."""

    start: int
    end: int
    label: str


def merged(spans: Iterable[Span]) -> list[Span]:
    """The finds in the order of the text, none empty and none over another.

    Where several overlap, all that they cover becomes one find; the first of them, and of those the longest, names it.
    Nothing that was found is left over at the edge of something else.
    """
    found: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if span.start >= span.end:
            continue
        if found and span.start < found[-1].end:
            if span.end > found[-1].end:
                found[-1] = found[-1]._replace(end=span.end)
        else:
            found.append(span)
    return found
