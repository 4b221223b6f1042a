"""Where the values of a YAML document stand in its text, and how new ones are written. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import yaml

_WIDEST: Final = 2**31
"""No line is ever folded."""


@dataclass(slots=True)
class Piece:
    """A value, from `start` to `end` in the text; what YAML allows between the last thing in it and `end` is not in it.

    An alias stands where it is written, not where its anchor is. `text` is a scalar's value, `style` its quotes.
    """

    kind: Literal["scalar", "alias", "map", "list"]
    start: int
    end: int
    column: int
    is_flow: bool = False
    text: str = ""
    style: str = ""
    pairs: "list[tuple[Piece, Piece]]" = field(default_factory=list)
    items: "list[Piece]" = field(default_factory=list)

    def value_of(self, key: str) -> "Piece | None":
        """The value of a mapping's own key; one that is merged in is not its own."""
        return next((value for name, value in self.pairs if name.kind == "scalar" and name.text == key), None)

    @property
    def inner_end(self) -> int:
        """The end of the last value inside."""
        return self.pairs[-1][1].end if self.pairs else self.items[-1].end if self.items else self.start

    @property
    def is_json(self) -> bool:
        """Whether this mapping is written as JSON: what is added to it had better be JSON as well."""
        return self.is_flow and bool(self.pairs) and all(name.style == '"' for name, _ in self.pairs)


def pieces(text: str) -> Piece | None:
    """The root of a document; None where there is none.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    events = iter(yaml.parse(text, Loader=yaml.SafeLoader))
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            return _piece(text, next(events), events)
    return None


def _piece(text: str, event: Any, events: Iterator[Any]) -> Piece:
    start, end, column = event.start_mark.index, event.end_mark.index, event.start_mark.column
    if isinstance(event, yaml.AliasEvent):
        return Piece("alias", start, end, column)
    if isinstance(event, yaml.ScalarEvent):
        # A block scalar ends after its last line break, and after blank lines and comments.
        end = len(text[:end].rstrip()) if event.style in ("|", ">") else end
        return Piece("scalar", start, max(start, end), column, text=event.value, style=event.style or "")
    is_map = isinstance(event, yaml.MappingStartEvent)
    made = Piece("map" if is_map else "list", start, end, column, is_flow=bool(event.flow_style))
    while not isinstance(inner := next(events), yaml.MappingEndEvent | yaml.SequenceEndEvent):
        found = _piece(text, inner, events)
        if is_map:
            made.pairs.append((found, _piece(text, next(events), events)))
        else:
            made.items.append(found)
    made.end = _end(inner) if made.is_flow else made.inner_end
    return made


def _end(event: Any) -> int:
    return int(event.end_mark.index)


def flow(value: Any, *, as_json: bool = False) -> str:
    """A value on one line, fit to stand in brackets."""
    if as_json:
        return json.dumps(value, ensure_ascii=False)
    return str(yaml.dump([value], Dumper=_OneLine, default_flow_style=True, **_SHARED))[1:-2]


def quoted(text: str) -> str:
    """A text in double quotes, on one line."""
    return str(yaml.dump(text, Dumper=_OneLine, default_style='"', **_SHARED)).rstrip("\n")


class _OneLine(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = '"' if not text.isprintable() else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_OneLine.add_representer(str, _text)

_SHARED: Final[dict[str, Any]] = {"width": _WIDEST, "sort_keys": False, "allow_unicode": True}
