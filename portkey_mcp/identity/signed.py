"""Signed tokens (RFC 7519 in the compact form of RFC 7515): reads them, and checks signature and times. Pure.

Reading proves nothing: until `is_signed` says so, everything in a token is a stranger's word. Algorithms are those of
public keys, by name: `none`, and secrets that a published key could be mistaken for, do not exist here (RFC 8725).
"""

import base64
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import Key

from portkey_mcp.wire import Json, MalformedJson, loads

ALGORITHMS: Final = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "ES384": "EC", "EdDSA": "OKP", "Ed25519": "OKP"}
"""Names of algorithms, and the type of key that each takes."""

LONGEST: Final = 16_384
"""Characters of a token that is looked at."""

LEEWAY: Final = 60.0
"""Seconds that the clock of an issuer may be ahead."""

_TOKEN: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")


@dataclass(frozen=True, slots=True)
class Signed:
    """A token that was read. `typ` is its type in lower case, without `application/`; empty where it has none."""

    text: str = field(repr=False)
    header: Json = field(repr=False)
    claims: Json = field(repr=False)

    @property
    def issuer(self) -> str:
        return text_of(self.claims.get("iss"))

    @property
    def typ(self) -> str:
        return text_of(self.header.get("typ")).lower().removeprefix("application/")


class _Registry(jws.JWSRegistry):
    """The algorithms above and no others; unknown members of a header are passed over, but for critical ones."""

    max_header_length = LONGEST
    max_payload_length = LONGEST

    def get_alg(self, name: str) -> Any:
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError(f"Algorithm of '{name}' is not allowed")
        return self.algorithms[name]


_REGISTRY: Final = _Registry(strict_check_header=False)


def read(token: str) -> Signed | None:
    """What a token says; None for what is no signed token of any kind, or too long to be looked at."""
    parts = _TOKEN.fullmatch(token) if len(token) <= LONGEST else None
    if parts is None:
        return None
    try:
        header, claims = (loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in parts.groups()[:2])
    except (ValueError, MalformedJson, RecursionError):
        return None
    return Signed(token, header, claims) if isinstance(header, dict) and isinstance(claims, dict) else None


def is_signed(token: Signed, keys: Iterable[Key]) -> bool:
    """Whether one of these keys signed it, by an algorithm that is allowed and that the key is for."""
    return any(_is_signed_by(token, key) for key in keys)


def _is_signed_by(token: Signed, key: Key) -> bool:
    try:
        jws.deserialize_compact(token.text, key, registry=_REGISTRY)
    except (JoseError, ValueError, TypeError):
        return False
    return True


def time_problem(claims: Json, now: float, *, expires: bool = True) -> str:
    """What is wrong with the times of a token, as words for whoever sent it; empty when nothing is.

    `now` is in seconds since the epoch; `expires` says whether there must be an `exp`.
    """
    ends, begins, made = (claims.get(name) for name in ("exp", "nbf", "iat"))
    if ends is None and expires:
        return "it never expires"
    if any(moment is not None and seconds(moment) is None for moment in (ends, begins, made)):
        return "its times are no numbers"
    if ends is not None and (seconds(ends) or 0.0) <= now:
        return "it has expired"
    if any((seconds(moment) or 0.0) > now + LEEWAY for moment in (begins, made)):
        return "it is not valid yet"
    return ""


def seconds(value: object) -> float | None:
    """A moment of a token in seconds since the epoch; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def text_of(value: object) -> str:
    """A claim that is to be text; empty for what is none."""
    return value if isinstance(value, str) else ""


def texts_of(value: object) -> list[str]:
    """A claim that is one text or a list of them, as `aud` is; what is no text is left out."""
    if isinstance(value, str):
        return [value]
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
