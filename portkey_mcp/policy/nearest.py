"""What somebody may have meant: the nearest of the names that there are. Pure."""

import difflib
import re
from collections.abc import Collection
from typing import Final

from portkey_mcp.policy.match import glob

ALIKE: Final = 0.6
"""How alike two names are at least, from 0 to 1; a slip of the finger in a short word is 0.75."""

_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
"""A word of a name: of `delete_issue`, `deleteIssue` and `DELETE-ISSUE` the same two."""


def nearest_name(name: str, names: Collection[str]) -> str | None:
    """The name most like this one, whatever its letter case; None where none is."""
    by_folded = {known.casefold(): known for known in sorted(names)}
    found = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=ALIKE)
    return by_folded[found[0]] if found else None


def nearest_pattern(pattern: str, names: Collection[str]) -> str | None:
    """The pattern like this one that fits some of the names, its wildcards kept; else the nearest name; else None."""
    if not {"*", "?"} & set(pattern):
        return nearest_name(pattern, names)
    words = {word for name in names for word in _WORD.findall(name)}
    corrected = _WORD.sub(lambda found: _nearest_word(found[0], words), pattern)
    for candidate in (corrected, corrected.replace("-", "_"), corrected.replace("_", "-")):
        if candidate != pattern and any(map(glob(candidate), names)):
            return candidate
    return nearest_name(pattern.replace("*", "").replace("?", ""), names)


def _nearest_word(word: str, words: Collection[str]) -> str:
    return word if word in words else nearest_name(word, words) or word
