"""JSON as it travels: read once, losslessly, and written back.

Big integers, nulls and unknown members survive. What two readers could read differently is refused: duplicate
member names, NaN and Infinity, numbers that overflow a float. Knows nothing of MCP.
"""

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final, NoReturn

Json = dict[str, Any]
"""One JSON object; the shape of every MCP message, params and result on the raw path."""


class Raw(dict[str, Any]):
    """An object with its own JSON, `text`, so that it need not be written again; who changes it makes a plain dict.

    What is made of it again and again is made once, see `once`.
    """

    __slots__ = ("_made", "_text")

    MOST_MADE: Final = 64
    """Things kept that were made of one object; the oldest go first."""

    def __init__(self, members: Json, text: bytes | None = None) -> None:
        super().__init__(members)
        self._text = text
        self._made: dict[Hashable, Raw] | None = None

    @property
    def text(self) -> bytes:
        """The JSON: as it came, or written when it is first asked for."""
        if self._text is None:
            self._text = dumps(self)
        return self._text

    def once(self, key: Hashable, make: Callable[[Json], Json]) -> "Raw":
        """What `make` makes of this object, made once per key and kept as long as the object.

        `key` must say all that the outcome depends on. What `make` returns unchanged is this object itself.
        """
        if self._made is None:
            self._made = {}
        made = self._made.get(key)
        if made is None:
            fresh = make(self)
            made = self._made[key] = fresh if isinstance(fresh, Raw) else Raw(fresh)
            if len(self._made) > self.MOST_MADE:
                del self._made[next(iter(self._made))]
        return made


DEEPEST: Final = 500
"""Levels of nesting that are read. What was read must be writable wherever it goes, and Python 3.11 counts the levels
of both, and the calls around them, against one limit of 1000."""


class MalformedJson(ValueError):
    """The bytes are not JSON that every reader would read alike. `str()` says what is wrong, for a person."""


def _object(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        times = Counter(name for name, _ in pairs)
        twice = next(name for name in times if times[name] > 1)
        raise MalformedJson(f"duplicate member name {twice!r}")
    return found


def _constant(name: str) -> NoReturn:
    raise MalformedJson(f"{name} is not JSON")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise MalformedJson(f"number {text[:32]} is out of range")
    return value


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
_encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def loads(data: bytes | str) -> Any:
    """Read one JSON value.

    Raises:
        MalformedJson: not UTF-8, not JSON, nested too deeply, or ambiguous (duplicate names, NaN, overflow).
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        value = _decoder.decode(text)
    except MalformedJson:
        raise
    except UnicodeDecodeError as error:
        raise MalformedJson(f"not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise MalformedJson("nested too deeply") from None
    except ValueError as error:
        raise MalformedJson(str(error)) from None
    # Text with few brackets cannot be deep; counting them costs next to nothing.
    if text.count("{") + text.count("[") > DEEPEST and _is_deep(value):
        raise MalformedJson("nested too deeply")
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level if isinstance(outer, dict | list) for inner in _inside(outer)]
        if not level:
            return False
    return any(isinstance(inner, dict | list) for inner in level)


def _inside(outer: Json | list[Any]) -> Iterable[Any]:
    return outer.values() if isinstance(outer, dict) else outer


def dumps(value: Any) -> bytes:
    """Write one JSON value, compact and in ASCII, so that lone surrogates survive as escapes."""
    return _encoder.encode(value).encode("ascii")
