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
from typing import Any, Final, Literal

from portkey_mcp.errors import Refused
from portkey_mcp.policy.guards.walk import changed

Mode = Literal["keep", "remove", "refuse"]
Where = Literal["definition", "arguments", "result"]

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
_JOINING: Final = (
    "\u0600-\u061b\u061d-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u17b3\u17b6-\u17dd\u1820-\u18aa\u1a20-\u1aad\u1b00-\u1c4f\ua800-\ua82c\ua840-\ua877"
    "\ua880-\ua9df\uaa00-\uaadf\uabc0-\uabff\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U00010aff\U00011000-\U000119ff"
    "\U0001e900-\U0001e95f"
)
"""Letters and marks of scripts whose letters join or stack: Arabic, Syriac, N'Ko, Indic, Tibetan, Mongolian."""
_VIRAMA: Final = "\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca"
"""After these a joiner may end a word, as the old way to write a Malayalam chillu does."""
_EMOJI: Final = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u2460-\u24ff\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff"
    "\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
)

_SIGNS: Final = dict(_KINDS)
_CONTEXT: Final = ("joiners", "variants")
"""Kinds of which some characters stay for what is around them; of the others none does, but the tags of a flag."""

_SUSPECT: Final = re.compile("[" + "".join(_SIGNS.values()) + "]")
"""Any character of these: most texts have none, and one class is looked for faster than what it is to be told from."""

_OF_KIND: Final = {kind: re.compile(f"[{signs}]+") for kind, signs in _KINDS}
_PLAIN: Final = re.compile(
    "[" + "".join(signs for kind, signs in _KINDS if kind not in (*_CONTEXT, "tags")) + "]+",
)
_TAGS: Final = re.compile(
    f"(\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{{3,6}}\U000e007f)|[{_SIGNS['tags']}]+"
)
"""A flag, whose tags stay: a region and a part of it in at most six letters, too few to tell anybody anything."""

_AFTER_VIRAMA: Final = re.compile(f"(?<=[{_VIRAMA}])([\u200c\u200d])[\u200c\u200d]+")
_RUN: Final = re.compile("[\u200c\u200d]+(?=[\u200c\u200d])")
"""Joiners before another joiner: of a run the last may be needed, after a virama the first."""

_NEEDLESS: Final = re.compile(
    f"[{''.join(_SIGNS[kind] for kind in _CONTEXT)}](?!"
    f"(?<=[{_VIRAMA}][\u200c\u200d])"
    f"|(?<=[{_JOINING}][\u200c\u200d])(?=[{_JOINING}])"
    f"|(?<=[{_EMOJI}\ufe0f]\u200d)(?=[{_EMOJI}])"
    f"|(?<=[{_EMOJI}][\ufe0e\ufe0f])"
    "|(?<=[0-9#*][\ufe0e\ufe0f])(?=\u20e3)"
    "|(?<=[\u1820-\u18aa][\u180b-\u180d\u180f])"
    ")"
)
"""A joiner or a variant that the writing does not need where it stands."""


def find(text: str) -> tuple[str, ...]:
    """The kinds of hidden characters in the text, sorted; empty when there is none."""
    left = clean(text)
    return () if left is text else tuple(sorted(k for k in _OF_KIND if _count(k, text) != _count(k, left)))


def _count(kind: str, text: str) -> int:
    return sum(map(len, _OF_KIND[kind].findall(text)))


def clean(text: str) -> str:
    """The text without its hidden characters; the same object when it has none. A few passes, each linear."""
    if _SUSPECT.search(text) is None:
        return text
    made = _TAGS.sub(r"\1", _PLAIN.sub("", text))
    made = _RUN.sub("", _AFTER_VIRAMA.sub(r"\1", made))
    # Twice: a joiner may have stood after a variant that was taken out. What stays then needs nothing that can go.
    made = _NEEDLESS.sub("", _NEEDLESS.sub("", made))
    return text if made == text else made


def first(text: str) -> str | None:
    """The kind of one hidden character, None when there is none. Stops at the first it finds."""
    if _SUSPECT.search(text) is None:
        return None
    if (found := _PLAIN.search(text)) is not None:
        return _kind(found[0][0])
    if any(found[1] is None for found in _TAGS.finditer(text)):
        return "tags"
    if _AFTER_VIRAMA.search(text) or _RUN.search(text):
        return "joiners"
    found = _NEEDLESS.search(text)
    return None if found is None else _kind(found[0])


def _kind(sign: str) -> str:
    return next(kind for kind, of in _OF_KIND.items() if of.match(sign))


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


def guard(mode: Mode, value: Any, where: Where) -> Any:
    """`value` as `mode` lets it pass: as it is, cleaned, or not at all.

    Raises:
        Refused: it has a hidden character and the mode is `refuse`; the first that is found is named.
    """
    if mode == "keep":
        return value
    if mode == "remove":
        return clean_value(value)
    changed(value, lambda text: _refusing(text, where), keys=True)
    return value


def _refusing(text: str, where: Where) -> str:
    kind = first(text)
    if kind is None:
        return text
    ran = where == "result"
    raise Refused(
        "content",
        f"{'The call ran, but its' if ran else 'The'} {where} {'have' if where == 'arguments' else 'has'} characters "
        f"that people do not see and models read ({kind}), which often hide instructions; this gateway's policy "
        "refuses them. Tell the person you work for; an administrator of it can set `hidden_text: remove`.",
        {"found": [kind], "in": where},
        sent=ran,
    )
