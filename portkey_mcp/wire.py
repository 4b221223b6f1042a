"""JSON as it travels: read once, losslessly, and written back.

Big integers, nulls and unknown members survive. What two readers could read differently is refused: duplicate
member names, NaN and Infinity, numbers that overflow a float. Knows nothing of MCP.
"""

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final, NoReturn

from pydantic_core import from_json, to_json

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

    def plus(self, front: Json) -> "Raw | None":
        """This object with further members before its own, its text kept; None where it has one of those names."""
        if not front:
            return self
        if not self.keys().isdisjoint(front):
            return None
        whole, text = {**front, **self}, self._text
        if text is None or not self:
            return Raw(whole)
        own = memoryview(text)[text.index(b"{") + 1 :]
        return Raw(whole, b"".join((dumps(front)[:-1], b",", own)))

    def minus(self, names: Iterable[str]) -> "Raw | None":
        """This object without some members, the text of the others kept; names that it has not are passed over.

        None where the members are not the first or the last ones in the text, or not written as `dumps` writes them.
        Otherwise that is certain: what comes before the first member, and after the last one, can be nothing else, and
        a text has no two readings.
        """
        gone = [name for name in names if name in self]
        if not gone:
            return self
        rest, text = {name: value for name, value in self.items() if name not in gone}, self._text
        if text is None or not rest:
            return Raw(rest)
        start, end = text.index(b"{") + 1, text.rindex(b"}")
        while gone:
            for name in gone:
                member = dumps({name: self[name]})[1:-1]
                if text.startswith(member + b",", start, end):
                    start += len(member) + 1
                    break
                if text.endswith(b"," + member, start, end):
                    end -= len(member) + 1
                    break
            else:
                return None
            gone.remove(name)
        return Raw(rest, b"".join((b"{", memoryview(text)[start:end], b"}")))

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

SAMPLE: Final = 64
"""Bytes at the beginning that show whether the sender puts spaces between names and values."""


def loads(data: bytes | str) -> Any:
    """Read one JSON value.

    Raises:
        MalformedJson: not UTF-8, not JSON, nested too deeply, or ambiguous (duplicate names, NaN, overflow).
    """
    if isinstance(data, bytes) and b'": ' not in data[:SAMPLE] and data.isascii():
        # A quick reader that keeps the last of two members and makes infinity of 1e999. Neither can happen unseen: what
        # is written back as exactly the bytes that came has lost nothing. Compact JSON is, nearly always; what is not
        # in ASCII would be, too, but the detour would cost more than it saves.
        try:
            value = from_json(data, allow_inf_nan=False, cache_strings="keys")
            if to_json(value, inf_nan_mode="null") == data:
                return value
        except ValueError:
            pass
    return _strictly(data)


def _strictly(data: bytes | str) -> Any:
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
    # A level has two brackets, so that short text cannot be deep; nor can text with few brackets.
    if len(text) > 2 * DEEPEST and text.count("{") + text.count("[") > DEEPEST and _is_deep(value):
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


_BREAKS: Final = (
    ("\u2028".encode(), rb"\u2028"),
    ("\u2029".encode(), rb"\u2029"),
    ("\u0085".encode(), rb"\u0085"),
)


def dumps(value: Any) -> bytes:
    """Write one JSON value, which `loads` gave or could give: compact, in UTF-8, on one line.

    No reader can take a character for the end of the line: those that Unicode calls a break are escaped. Lone
    surrogates survive as escapes, and then everything is in ASCII. What JSON has no number for is written as null.
    """
    try:
        text = to_json(value, inf_nan_mode="null")
    except ValueError:  # a lone surrogate, or deeper than the quick writer goes
        return _encoder.encode(value).encode("ascii")
    if not text.isascii():
        for character, escape in _BREAKS:
            # To look for one byte costs nothing, to look for three does.
            if character[:1] in text:
                text = text.replace(character, escape)
    return text
