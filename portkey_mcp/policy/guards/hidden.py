"""`hidden_text:` — characters that people do not see and models read. Pure.

    tags         U+E0000-E0FFF: a second alphabet nobody sees; kept in flags like that of Scotland
    direction    marks, embeddings, overrides and isolates, which show text in another order than it is read in
    invisible    zero-width and blank characters, soft hyphens, deprecated format characters
    joiners      U+200C and U+200D; kept where Arabic, Indic and like scripts need them, and inside emoji
    variants     U+FE00-FE0F, the last two kept after emoji; Mongolian's, kept there. U+E0100-E01EF are among the tags
    controls     U+0000-001F but tab and line breaks, U+007F-009F but U+0085

What is kept needs its neighbours: a joiner between two Latin letters, or a second one, is hidden text. Source:
Unicode Technical Reports 36 and 51, and https://www.unicode.org/reports/tr9/ for directions.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, Literal

from portkey_mcp.errors import Refused
from portkey_mcp.policy.guards.walk import changed

Mode = Literal["keep", "remove", "refuse"]

_KINDS: Final = (
    ("tags", "\U000e0000-\U000e0fff"),
    ("direction", "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"),
    (
        "invisible",
        "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
        "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a",
    ),
    ("joiners", "\u200c\u200d"),
    ("variants", "\u180b-\u180d\u180f\ufe00-\ufe0f"),
    ("controls", "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f"),
)
_FLAG: Final = "(?:(?<=\U0001f3f4)[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f)"
"""The tags of a flag: a region and a part of it in at most six letters, which is too few to tell anybody anything."""

_HIDDEN: Final = re.compile(f"{_FLAG}|" + "|".join(f"(?P<{kind}>[{signs}])" for kind, signs in _KINDS))
_SUSPECT: Final = re.compile("[" + "".join(signs for _, signs in _KINDS) + "]")
"""Any character of these: most texts have none, and one class is looked for faster than what it is to be told from."""

_JOINING: Final = re.compile(
    "[\u0600-\u061b\u061d-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u17b3\u17b6-\u17dd\u1820-\u18aa\u1a20-\u1aad\u1b00-\u1c4f\ua800-\ua82c\ua840-\ua877"
    "\ua880-\ua9df\uaa00-\uaadf\uabc0-\uabff\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U00010aff\U00011000-\U000119ff"
    "\U0001e900-\U0001e95f]"
)
"""Letters and marks of scripts whose letters join or stack: Arabic, Syriac, N'Ko, Indic, Tibetan, Mongolian."""
_VIRAMA: Final = frozenset("\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca")
"""After these a joiner may end a word, as the old way to write a Malayalam chillu does."""
_EMOJI: Final = re.compile(
    "[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u2460-\u24ff\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff"
    "\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
)


_KEYS: Final = frozenset("0123456789#*")
_MONGOLIAN_VARIANTS: Final = frozenset("\u180b\u180c\u180d\u180f")


def find(text: str) -> tuple[str, ...]:
    """The kinds of hidden characters in the text, sorted; empty when there is none."""
    return tuple(sorted({str(found.lastgroup) for found in _hidden(text)}))


def clean(text: str) -> str:
    """The text without its hidden characters; the same object when it has none."""
    parts, done = [], 0
    for found in _hidden(text):
        parts.append(text[done : found.start()])
        done = found.end()
    return "".join([*parts, text[done:]]) if parts else text


def clean_value(value: Any) -> Any:
    """A JSON value, names of members included, without hidden characters; the same object when it has none."""
    return changed(value, clean, keys=True)


def find_value(value: Any) -> tuple[str, ...]:
    """The kinds of hidden characters anywhere in a JSON value, names of members included, sorted."""
    kinds: set[str] = set()

    def note(text: str) -> str:
        kinds.update(find(text))
        return text

    changed(value, note, keys=True)
    return tuple(sorted(kinds))


def guard(mode: Mode, value: Any, where: Literal["definition", "arguments", "result"]) -> Any:
    """`value` as `mode` lets it pass: as it is, cleaned, or not at all.

    Raises:
        Refused: it has hidden characters and the mode is `refuse`.
    """
    if mode == "keep":
        return value
    if mode == "remove":
        return clean_value(value)
    kinds = find_value(value)
    if not kinds:
        return value
    ran = where == "result"
    raise Refused(
        "content",
        f"{'The call ran, but its' if ran else 'The'} {where} {'have' if where == 'arguments' else 'has'} characters "
        f"that people do not see and models read ({', '.join(kinds)}), which often hide instructions; this gateway's "
        "policy refuses them. Tell the person you work for; an administrator of it can set `hidden_text: remove`.",
        {"found": list(kinds), "in": where},
        sent=ran,
    )


def _hidden(text: str) -> Iterator[re.Match[str]]:
    """What has to go, from left to right. What stays does so by what is before it in the text that is left."""
    if _SUSPECT.search(text) is None:
        return
    done, before = 0, ""
    for found in _HIDDEN.finditer(text):
        if found.start() > done:
            before = text[found.start() - 1]
        done = found.end()
        if found.lastgroup is None or _is_needed(found[0], before, text[done : done + 1]):
            before = found[0][-1]
        else:
            yield found


def _is_needed(sign: str, before: str, after: str) -> bool:
    """Whether the writing needs this character between these two."""
    if sign in ("\u200c", "\u200d") and _JOINING.match(before):
        return before in _VIRAMA or _JOINING.match(after) is not None
    if sign == "\u200d":
        return _EMOJI.match(after) is not None and (before == "\ufe0f" or _EMOJI.match(before) is not None)
    if sign in ("\ufe0e", "\ufe0f"):
        return _EMOJI.match(before) is not None or (before in _KEYS and after == "\u20e3")
    return sign in _MONGOLIAN_VARIANTS and "\u1820" <= before <= "\u18aa"
