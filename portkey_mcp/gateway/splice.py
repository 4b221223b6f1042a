"""A result passed on as the bytes that came: only the message around it is made anew.

Pure. Possible where the upstream's message has its three members in one of the orders that servers write; any other
is written anew from what was read, which costs more and says the same.
"""

import re
from typing import Final

from portkey_mcp.gateway.inbound import RequestId
from portkey_mcp.wire import Raw, dumps

_ID: Final = rb'\s*(?:-?\d+|"[^"\\]*")\s*'
_VERSION: Final = rb'\s*"jsonrpc"\s*:\s*"2\.0"\s*'
_RESULT_LAST: Final = re.compile(
    rb"\s*\{(?:" + _VERSION + rb',\s*"id"\s*:' + _ID + rb'|\s*"id"\s*:' + _ID + rb"," + _VERSION + rb'),\s*"result"\s*:'
)
_RESULT_FIRST: Final = re.compile(rb'\s*\{\s*"result"\s*:')
_AFTER_RESULT: Final = re.compile(
    rb",(?:" + _VERSION + rb',\s*"id"\s*:' + _ID + rb'|\s*"id"\s*:' + _ID + rb"," + _VERSION + rb")\}\s*$"
)

LONGEST_TAIL: Final = 200
"""Bytes at the end in which the members after a result are looked for: an id longer than that is written anew."""


def result_text(raw: Raw) -> bytes | None:
    """The text of a result in the message it came in; None where the message has another form.

    The message has three members and no name twice (see `Raw`): one that begins with `jsonrpc` and `id` has nothing
    but the result up to its end, and one that begins with the result nothing but those two after it.
    """
    text = raw.source
    if before := _RESULT_LAST.match(text):
        end = text.rstrip()
        return end[before.end() : -1]
    if before := _RESULT_FIRST.match(text):
        tail_at = max(before.end(), len(text) - LONGEST_TAIL)
        after = _AFTER_RESULT.search(text, tail_at)
        return text[before.end() : after.start()] if after else None
    return None


def spliced(ident: RequestId, raw: Raw) -> bytes | None:
    """The whole answer for this client around the upstream's own result; None where that cannot be."""
    text = result_text(raw)
    return None if text is None else b'{"jsonrpc":"2.0","id":' + dumps(ident) + b',"result":' + text + b"}"
