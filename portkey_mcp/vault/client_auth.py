"""How the gateway proves, at a token endpoint, which client it is (RFC 6749, section 2.3; RFC 7523; oauth.md A27)."""

import base64
import secrets
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote_plus

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from portkey_mcp.errors import Mistake
from portkey_mcp.proof import OAuthClient
from portkey_mcp.vault.connection import Client, Endpoint

ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

SECONDS: Final = 120
"""How long an assertion is good."""

KEYS: Final[dict[str, type[ECKey] | type[RSAKey] | type[OKPKey]]] = {
    **dict.fromkeys(("ES256", "ES384", "ES512"), ECKey),
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), RSAKey),
    **dict.fromkeys(("EdDSA", "Ed25519"), OKPKey),
}
"""Algorithms of assertions, and the kind of key that each takes. None with a shared secret."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a request says of the client beside its own form: further members and headers."""

    form: dict[str, str] = field(default_factory=dict, repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)


def method_of(client: OAuthClient, supported: Sequence[str]) -> str:
    """The way in which a client that an administrator registered proves itself.

    What they wrote; else by what it has, as the authorization server takes it. `supported` empty: nobody knows, and
    then it is the one that each has to take (RFC 6749, section 2.3.1).
    """
    if client.method != "auto":
        return client.method
    if client.private_key:
        return "private_key_jwt"
    if not client.secret:
        return "none"
    posts = "client_secret_post" in supported and "client_secret_basic" not in supported
    return "client_secret_post" if posts else "client_secret_basic"


def proven(client: Client, at: Endpoint, now: Callable[[], float] = time.time) -> Told:
    """What proves the client to `at`. A client without an id says nothing of itself.

    Raises:
        Mistake: it has no secret or key as its way to prove itself takes; nothing of either is told.
    """
    if not client.id:
        return Told()
    match client.method:
        case "client_secret_basic":
            # Both are encoded as in a form first: a colon in an id would move the border (section 2.3.1).
            pair = f"{quote_plus(client.id)}:{quote_plus(_secret(client))}".encode("ascii")
            return Told(headers={"Authorization": f"Basic {base64.b64encode(pair).decode('ascii')}"})
        case "client_secret_post":
            return Told({"client_id": client.id, "client_secret": _secret(client)})
        case "private_key_jwt":
            assertion = _assertion(client, at, now)
            return Told({"client_id": client.id, "client_assertion_type": ASSERTION, "client_assertion": assertion})
        case "none":
            return Told({"client_id": client.id})
        case _:
            raise Mistake(f"a client cannot prove itself by {client.method!r} here")


def _secret(client: Client) -> str:
    if not client.secret:
        raise Mistake(f"the client {client.id} has no client_secret, which {client.method} needs")
    return client.secret


def _assertion(client: Client, at: Endpoint, now: Callable[[], float]) -> str:
    """A JWT in which the client says who it is (RFC 7523, section 3), to the authorization server alone.

    Its audience is the issuer, as the MCP specification of 2026-07-28 has it: with the token endpoint as the audience,
    one authorization server could use it at another (CVE-2025-27370).
    """
    kind = KEYS.get(client.algorithm)
    if kind is None:
        raise Mistake(f"signing_algorithm {client.algorithm!r} is none that is known here: {', '.join(KEYS)}")
    moment = int(now())
    claims = {
        "iss": client.id,
        "sub": client.id,
        "aud": at.issuer,
        "iat": moment,
        "exp": moment + SECONDS,
        "jti": secrets.token_urlsafe(16),
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # joserfc would rather have EdDSA called Ed25519; some know only that name
            key = kind.import_key(client.private_key)
            if not key.is_private:
                raise ValueError
            return jwt.encode({"alg": client.algorithm}, claims, key, algorithms=[client.algorithm])
    except (ValueError, TypeError, JoseError):
        raise Mistake(f"private_key is no PEM key that can sign with {client.algorithm}") from None
