"""Checking an ID token (OpenID Connect Core 1.0, section 3.1.3.7). Pure: keys and claims in, claims out.

Signatures are always checked, and only by public keys. HMAC is not taken at all: its key would be the client's secret,
and every library that takes both has been tricked into taking a public key for one.
"""

import hmac
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from portkey_mcp.errors import Unauthenticated
from portkey_mcp.identity.claims import LONGEST_SUBJECT, Claims
from portkey_mcp.identity.discovery import PublicKey

ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "Ed25519"),
)
"""Those that are taken. `EdDSA` is not: RFC 9864 has `Ed25519` for it."""

LEEWAY: Final = 60
"""Seconds by which clocks may differ."""

LONGEST: Final = 64 * 1024
"""Characters of a token."""

_REGISTRY: Final = JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say: who made it, for whom, and for which sign-in. `access_token` is what came with it.

    `nonce` None: it is not looked at. Tokens that come by a refresh token need not name one (OpenID Connect Core 12.2).
    """

    issuer: str
    client_id: str
    nonce: str | None
    access_token: str


def key_id(token: str) -> str | None:
    """The id of the key that a token says it was signed with; nothing about it is checked yet.

    Raises:
        Unauthenticated: it is no token, or signed in a way that is not taken.
    """
    try:
        if len(token) > LONGEST:
            raise ValueError
        header = jws.extract_compact(token.encode("ascii"), registry=_REGISTRY).headers()
    except (JoseError, ValueError):
        raise Unauthenticated("The identity provider's ID token cannot be read.") from None
    if header.get("alg") not in ALGORITHMS:
        raise Unauthenticated("The identity provider's ID token is not signed in a way that this gateway takes.")
    kid = header.get("kid")
    return kid if isinstance(kid, str) else None


def verified(token: str, keys: Iterable[PublicKey], expected: Expected, now: int | None = None) -> Claims:
    """The claims of a token that is good.

    Raises:
        Unauthenticated: it is not; `str()` says why, for a person.
    """
    for key in keys:
        try:
            found = jwt.decode(token, key, registry=_REGISTRY)
        except (JoseError, ValueError, TypeError):
            continue
        return _checked(found.claims, found.header, expected, int(time.time()) if now is None else now)
    raise Unauthenticated("The signature of the identity provider's ID token is not right.")


def _checked(claims: dict[str, Any], header: dict[str, Any], expected: Expected, now: int) -> Claims:
    """What the signature says nothing about. `azp` and `at_hash` are checked by Authlib's class, too."""
    options = {
        "iss": {"essential": True, "value": expected.issuer},
        "aud": {"essential": True, "value": expected.client_id},
    }
    params = {"nonce": expected.nonce, "client_id": expected.client_id, "access_token": expected.access_token}
    try:
        CodeIDToken(claims, header, options, params).validate(now, LEEWAY)
    except (JoseError, ValueError, TypeError) as error:
        claim = getattr(error, "claim", None) or getattr(error, "description", None) or "a claim"
        raise Unauthenticated(f"The identity provider's ID token is not for this sign-in ({claim}).") from None
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
        raise Unauthenticated("The identity provider's ID token names nobody.")
    if expected.nonce is not None and not _same(claims.get("nonce"), expected.nonce):
        raise Unauthenticated("The identity provider's ID token is not for this sign-in (nonce).")
    return claims


def _same(nonce: object, expected: str) -> bool:
    return isinstance(nonce, str) and hmac.compare_digest(nonce.encode(), expected.encode())
