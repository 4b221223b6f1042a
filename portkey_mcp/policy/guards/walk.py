"""Changing the strings of a JSON value. Pure. What did not change is the same object, so its bytes may pass untouched.

One call a level: the 500 levels that `wire` reads leave room on Python's stack for whoever calls.
"""

import re
from collections.abc import Callable
from typing import Any, Final

_BASE64: Final = re.compile(r"[A-Za-z0-9+/\r\n]*={0,2}\s?")
"""The standard alphabet alone: a key with a dash or a token with dots is no payload, whatever stands next to it."""

PAYLOADS: Final = ("data", "blob")
"""Where MCP puts base64: images and audio in `data`, the contents of a resource in `blob`."""


def changed(value: Any, change: Callable[[str], str], *, keys: bool = False, payloads: bool = True) -> Any:
    """`value` with every string replaced by what `change` makes of it; the same object when nothing changes.

    `keys`: names of members, too. Of two that become alike the one that was right before stays, else the first.
    `payloads=False` leaves base64 alone, see `is_payload`.
    """
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        made: Any = None
        for name, old in value.items():
            if not isinstance(old, str | dict | list) or not (payloads or not is_payload(value, name)):
                continue
            new = changed(old, change, keys=keys, payloads=payloads)
            if new is not old:
                made = dict(value) if made is None else made
                made[name] = new
        return _renamed(value if made is None else made, change) if keys else value if made is None else made
    if isinstance(value, list):
        made = None
        for place, old in enumerate(value):
            if isinstance(old, str | dict | list):
                new = changed(old, change, keys=keys, payloads=payloads)
                if new is not old:
                    made = list(value) if made is None else made
                    made[place] = new
        return value if made is None else made
    return value


def strings(value: Any, *, payloads: bool = True) -> list[str]:
    """The strings that `changed` would hand to `change`, in some order; names of members are not among them."""
    found: list[str] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            waiting += one.values() if payloads else [one[name] for name in one if not is_payload(one, name)]
    return found


def is_payload(block: dict[str, Any], name: str) -> bool:
    """Whether this member is base64 of a content block: named for it, next to a `mimeType`, and nothing else inside."""
    if name not in PAYLOADS or "mimeType" not in block:
        return False
    text = block[name]
    return isinstance(text, str) and _BASE64.fullmatch(text) is not None


def _renamed(value: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    names = {name: change(name) for name in value}
    if all(new == name for name, new in names.items()):
        return value
    made: dict[str, Any] = {}
    for name, new in names.items():
        if new == name or (new not in made and new not in value):
            made[new] = value[name]
    return made
