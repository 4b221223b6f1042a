"""Changing the strings of a JSON value. Pure. What did not change is the same object, so its bytes may pass untouched.

One call a level: the 500 levels that `wire` reads leave room on Python's stack for whoever calls.
"""

import re
from collections.abc import Callable
from typing import Any, Final

_BASE64: Final = re.compile(r"[A-Za-z0-9+/\r\n]*={0,2}\s?")
"""The standard alphabet alone: a key with a dash or a token with dots is no payload, whatever stands next to it."""

_FREE: Final = frozenset({"structuredContent", "_meta", "data"})
"""Members of a message in which the server says what it likes; in all others MCP says what there is."""

_FRAME: Final = frozenset(
    {
        *("content", "contents", "messages", "structuredContent", "isError", "_meta", "completion", "values"),
        *("type", "text", "data", "blob", "mimeType", "uri", "uriTemplate", "name", "title", "description", "size"),
        *("annotations", "audience", "priority", "lastModified", "resource", "role", "icons", "src", "sizes"),
        *("total", "hasMore", "progress", "progressToken", "message", "level", "logger", "requestId", "reason"),
        *("resultType", "requestState", "inputRequests", "task", "taskId", "status", "ttl", "pollInterval"),
        *("createdAt", "lastUpdatedAt", "statusMessage", "method", "params", "mode", "requestedSchema", "properties"),
        *("required", "systemPrompt", "maxTokens", "temperature", "includeContext", "modelPreferences", "ref"),
    }
)
"""Names that MCP gives to members of messages: they are nobody's data, nor are the numbers under them."""

_PHONE: Final = re.compile(r"phone|mobile|handset|(?<![A-Za-z])(?:tel|fax|msisdn|sms)(?![a-z])", re.IGNORECASE)
"""A number's name that says that it is dialled; a number itself has no + in JSON."""


def changed(value: Any, change: Callable[[str], str], *, keys: bool = False) -> Any:
    """`value` with every string replaced by what `change` makes of it; the same object when nothing changes.

    `keys`: names of members, too. Of two that become alike the one that was right before stays, else the first.
    """
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        made: Any = None
        for name, old in value.items():
            if isinstance(old, str | dict | list):
                new = changed(old, change, keys=keys)
                if new is not old:
                    made = dict(value) if made is None else made
                    made[name] = new
        return _renamed(value if made is None else made, change) if keys else value if made is None else made
    if isinstance(value, list):
        made = None
        for place, old in enumerate(value):
            if isinstance(old, str | dict | list):
                new = changed(old, change, keys=keys)
                if new is not old:
                    made = list(value) if made is None else made
                    made[place] = new
        return value if made is None else made
    return value


def replaced(value: Any, change: Callable[[str], str], *, message: bool, name: str = "") -> Any:
    """`value` with all that somebody said in it replaced by what `change` makes of it; the same where nothing changes.

    That is every string; every whole number as its digits, which stays a number unless they change; and, in a message
    of a server (`message`), the names of members that MCP does not give: two that become alike are told apart by a
    number. There base64 is left alone where MCP puts it, see `is_payload`; elsewhere nothing is.

    `name`: of the member that this is. A number whose name says that it is dialled is read with its +.
    """
    return _replaced(value, change, message, message, name)


def _replaced(value: Any, change: Callable[[str], str], framed: bool, names: bool, name: str) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        made: Any = None
        for member, old in value.items():
            if old is None or (framed and _is_of_mcp(value, member)):
                continue
            new = _replaced(old, change, framed and member not in _FREE, names, member)
            if new is not old:
                made = dict(value) if made is None else made
                made[member] = new
        made = value if made is None else made
        return _told_apart(made, change, framed) if names else made
    if isinstance(value, list):
        made = None
        for place, old in enumerate(value):
            new = _replaced(old, change, framed, names, name)
            if new is not old:
                made = list(value) if made is None else made
                made[place] = new
        return value if made is None else made
    digits = _digits(value, name)
    made = digits and change(digits)
    return value if made == digits else made


def is_payload(block: dict[str, Any], name: str) -> bool:
    """Whether this member of a message is base64 of an image, a sound or a resource, and nothing else inside."""
    kind = block.get("type")
    held = (name == "data" and kind in ("image", "audio")) or (name == "blob" and "uri" in block)
    text = block[name]
    return held and isinstance(text, str) and _BASE64.fullmatch(text) is not None


def _is_of_mcp(block: dict[str, Any], name: str) -> bool:
    """Whether nothing of this member can be somebody's data: base64, or a number that MCP asks for."""
    return (name in _FRAME and isinstance(block[name], int | float)) or is_payload(block, name)


def _digits(value: Any, name: str) -> str:
    """A whole number as it is written; empty for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if isinstance(value, float):
        if not value.is_integer() or abs(value) >= _LARGEST:
            return ""
        value = int(value)
    digits = str(value) if abs(value) < _LARGEST else ""
    return f"+{digits}" if 10**8 <= value < 10**15 and _PHONE.search(name) else digits


_LARGEST: Final = 10**40
"""Whole numbers from here on stand for no card or telephone; Python takes longer and longer to write them."""


def _renamed(value: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    names = {name: change(name) for name in value}
    if all(new == name for name, new in names.items()):
        return value
    made: dict[str, Any] = {}
    for name, new in names.items():
        if new == name or (new not in made and new not in value):
            made[new] = value[name]
    return made


def _told_apart(value: dict[str, Any], change: Callable[[str], str], framed: bool) -> dict[str, Any]:
    names = {name: name if framed and name in _FRAME else change(name) for name in value}
    if all(new == name for name, new in names.items()):
        return value
    made: dict[str, Any] = {}
    kept = {name for name, new in names.items() if new == name}
    times: dict[str, int] = {}
    for name, new in names.items():
        given = new
        while given in made or (new != name and given in kept):
            times[new] = times.get(new, 1) + 1
            given = f"{new} ({times[new]})"
        made[given] = value[name]
    return made
