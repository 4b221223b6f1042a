"""Proofs that whoever sends a token holds the key it is bound to: DPoP (RFC 9449), with ES256."""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from joserfc import jws
from joserfc.jwk import ECKey

from portkey_mcp.wire import dumps

ALGORITHM: Final = "ES256"


def new_key() -> str:
    """A fresh private key, PEM."""
    return ECKey.generate_key("P-256").as_pem(private=True).decode("ascii")


def proof(
    key: str, method: str, url: str, access_token: str = "", nonce: str = "", now: Callable[[], float] = time.time
) -> str:
    """One proof for one request (section 4.2): its method, its URL without query, and the token that goes with it.

    `key` is a PEM of `new_key`. `nonce` is the one the server gave last. Never to be sent twice.

    Raises:
        ValueError: `key` is no key.
    """
    private = _key(key)
    header = {"typ": "dpop+jwt", "alg": ALGORITHM, "jwk": private.as_dict(private=False)}
    claims: dict[str, object] = {
        "jti": secrets.token_urlsafe(16),
        "htm": method,
        "htu": url.partition("#")[0].partition("?")[0],
        "iat": int(now()),
    }
    if access_token:
        claims["ath"] = _digest(access_token.encode("ascii"))
    if nonce:
        claims["nonce"] = nonce
    return jws.serialize_compact(header, dumps(claims), private, algorithms=[ALGORITHM])


def thumbprint(key: str) -> str:
    """What tokens are bound to: the key's thumbprint (RFC 7638), the `jkt` of a confirmation.

    Raises:
        ValueError: `key` is no key.
    """
    return _key(key).thumbprint()


@lru_cache(maxsize=256)
def _key(pem: str) -> ECKey:
    """Read once: a proof is made for every request."""
    return ECKey.import_key(pem)


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode("ascii")
