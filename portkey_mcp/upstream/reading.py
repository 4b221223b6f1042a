"""A message as it came, read once: its members, and the text of its result, which then travels on as it is.

Pure. A result has its text where the message has nothing but `jsonrpc`, `id` and `result`, in one of the orders that
servers write; any other is written anew where it goes out, which costs more and says the same.
"""

import re
from collections import OrderedDict
from typing import Any, Final

from portkey_mcp.wire import Json, Raw, loads

_ID: Final = rb'\s*(-?(?:0|[1-9]\d{0,17})|"[^"\\]{0,100}")\s*'
_VERSION: Final = rb'\s*"jsonrpc"\s*:\s*"2\.0"\s*'
_BEFORE: Final = re.compile(
    rb"\s*\{(?:" + _VERSION + rb',\s*"id"\s*:' + _ID + rb'|\s*"id"\s*:' + _ID + rb"," + _VERSION + rb'),\s*"result"\s*:'
)
_FIRST: Final = re.compile(rb'\s*\{\s*"result"\s*:')
_AFTER: Final = re.compile(
    rb",(?:" + _VERSION + rb',\s*"id"\s*:' + _ID + rb'|\s*"id"\s*:' + _ID + rb"," + _VERSION + rb")\}\s*$"
)

_COMPACT: Final = b'{"jsonrpc":"2.0","id":'
_RESULT: Final = b',"result":'
_LONGEST_NUMBER: Final = 18

LISTS: Final = frozenset({"tools/list", "prompts/list", "resources/list", "resources/templates/list"})
"""Methods whose results are long, come again and again, and seldom change."""

LONGEST_TAIL: Final = 300
"""Bytes at the end in which the members after a result are looked for: an id longer than that is written anew."""


def split(data: bytes) -> tuple[bytes, bytes] | None:
    """The texts of a message's id and of its result; None where the message has another form.

    Right only for bytes that are a message of exactly three members, each once: one that begins with `jsonrpc` and
    `id` has nothing but the result up to its end, and one that begins with the result nothing but those two after it.
    """
    if data.startswith(_COMPACT) and data.endswith(b"}"):  # the commonest form, without an expression
        start = len(_COMPACT)
        after_id = data.find(_RESULT, start, start + _LONGEST_NUMBER + len(_RESULT))
        ident = data[start:after_id] if after_id > start else b""
        if ident.isdigit() and (len(ident) == 1 or not ident.startswith(b"0")):
            return ident, data[after_id + len(_RESULT) : -1]
    if before := _BEFORE.match(data):
        end = data.rstrip()
        return (before[1] or before[2], end[before.end() : -1]) if end.endswith(b"}") else None
    if before := _FIRST.match(data):
        after = _AFTER.search(data, max(before.end(), len(data) - LONGEST_TAIL))
        return (after[1] or after[2], data[before.end() : after.start()]) if after else None
    return None


def read(data: bytes, last: Raw | None = None) -> Any:
    """Read a message, or whatever else the bytes are. A result object with a text of its own is a `Raw`.

    Where the result's text is that of `last`, `last` itself is the result, and nothing is parsed but the id.

    Raises:
        MalformedJson: see `wire.loads`.
    """
    parts = None
    if last is not None:
        parts = split(data)
        if parts is not None and parts[1] == last.text:
            return {"jsonrpc": "2.0", "id": loads(parts[0]), "result": last}
    message = loads(data)
    if isinstance(message, dict) and len(message) == 3 and isinstance(result := message.get("result"), dict):
        parts = parts or split(data)
        if parts is not None:
            message["result"] = Raw(result, parts[1])
    return message


class Recall:
    """The last lists of one server, so that what has not changed is not read again; see `read`.

    Never an answer by itself: the server is asked each time, and only the same bytes are the same list.
    """

    MOST: Final = 32
    """Pages remembered per server; the longest unused go first."""

    LARGEST: Final = 1024 * 1024
    """Bytes of a page that is remembered: ten times a long list. A server may send more, and then is read each time."""

    def __init__(self) -> None:
        self._pages: OrderedDict[tuple[str, Any], Raw] = OrderedDict()

    def last(self, method: str, params: Json | None) -> Raw | None:
        """The result this request had the last time, whoever asked; None for what is no list."""
        return self._pages.get(_page(method, params)) if method in LISTS else None

    def keep(self, method: str, params: Json | None, result: Json) -> None:
        """Remember a result, if it is a list's and has a text."""
        if method in LISTS and isinstance(result, Raw) and len(result.text) <= self.LARGEST:
            page = _page(method, params)
            self._pages[page] = result
            self._pages.move_to_end(page)
            if len(self._pages) > self.MOST:
                self._pages.popitem(last=False)


def _page(method: str, params: Json | None) -> tuple[str, str]:
    cursor = (params or {}).get("cursor")
    return method, cursor if isinstance(cursor, str) else ""
