"""What a server says with 401 and 403 about the credential it wants (RFC 6750, section 3; RFC 9728, section 5.1).

Pure.
"""

import re
from collections.abc import Mapping
from typing import Final

_SCHEME: Final = re.compile(r"(?:^|,)\s*(?:bearer|dpop)\b", re.IGNORECASE)
_PARAMETER: Final = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")

LONGEST: Final = 4096
"""Characters of a challenge that are read."""

MOST_SCOPES: Final = 50
"""Scopes of a challenge that are heeded."""


def parameters(challenge: str) -> Mapping[str, str]:
    """The parameters of the Bearer or DPoP challenges of a `WWW-Authenticate` value; the first of a name counts."""
    found: dict[str, str] = {}
    start = _SCHEME.search(challenge[:LONGEST])
    if start is None:
        return found
    for name, quoted, bare in _PARAMETER.findall(challenge[start.start() : LONGEST]):
        found.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) if quoted else bare)
    return found


def scopes_in(text: str) -> tuple[str, ...]:
    """The scopes of a list with spaces (RFC 6749, section 3.3), each once; what can be none is left out."""
    return tuple(dict.fromkeys(one for one in text.split() if _SCOPE.fullmatch(one)))[:MOST_SCOPES]


def wants_scopes(status: int, challenge: str) -> tuple[str, ...]:
    """The scopes that a request lacked, empty where the answer does not say so."""
    said = parameters(challenge)
    if status != 403 or said.get("error") != "insufficient_scope":
        return ()
    return scopes_in(said.get("scope", ""))
