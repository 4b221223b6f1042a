"""What a provider publishes of itself: its metadata and its keys (OpenID Connect Discovery 1.0), held for an hour."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from portkey_mcp.errors import ProviderDown
from portkey_mcp.identity.fetching import Fetching, usable_url

log = logging.getLogger(__name__)

HELD: Final = 3600.0
"""Seconds that metadata and keys are held."""

KEYS_AGAIN: Final = 30.0
"""Seconds before keys are asked for again because one is missing: a provider that changed its keys has a new one."""

FAILED: Final = 5.0
"""Seconds that a failure is held: people who press a button again need not make the gateway ask each time."""

MOST_KEYS: Final = 50

WELL_KNOWN: Final = "/.well-known/openid-configuration"

PublicKey = RSAKey | ECKey | OKPKey
"""A key that only checks signatures made with another one. A key for HMAC never is one."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is used of a provider's metadata. `userinfo` is empty where it has no such endpoint.

    `says_issuer` is whether its answers name it (RFC 9207), `methods` how clients may prove themselves to it.
    """

    issuer: str
    authorization: str
    token: str
    keys: str
    userinfo: str = ""
    says_issuer: bool = False
    methods: tuple[str, ...] = ("client_secret_basic",)


@dataclass(slots=True)
class _Known:
    """What is held of one provider; moments are of a clock that only goes forward."""

    lock: anyio.Lock = field(default_factory=anyio.Lock)
    metadata: Metadata | None = None
    read: float = 0.0
    keys: tuple[PublicKey, ...] = ()
    keys_read: float = 0.0
    failure: str = ""
    failed: float = 0.0


class Discovery:
    """Asks providers for what they publish, one question at a time for each."""

    def __init__(self, fetching: Fetching, now: Callable[[], float] = time.monotonic) -> None:
        self._fetching = fetching
        self._now = now
        self._known: dict[str, _Known] = {}

    async def metadata(self, issuer: str, whose: str) -> Metadata:
        """The metadata of an issuer; `whose` is the provider's name, for a person.

        Raises:
            ProviderDown: it cannot be had, or says that it is somebody else's.
        """
        known = self._known.setdefault(issuer, _Known())
        async with known.lock:
            return await self._metadata(known, issuer, whose)

    async def keys(self, issuer: str, whose: str, kid: str | None) -> tuple[PublicKey, ...]:
        """The keys with this id or, where a token names none, all of them; empty where there is none.

        Raises:
            ProviderDown: they cannot be had.
        """
        known = self._known.setdefault(issuer, _Known())
        async with known.lock:
            metadata = await self._metadata(known, issuer, whose)
            age = self._now() - known.keys_read
            found = _with_id(known.keys, kid)
            if not known.keys or age >= HELD or (not found and age >= KEYS_AGAIN):
                document = await self._fetching.document(metadata.keys, whose)
                known.keys, known.keys_read = _keys_of(document), self._now()
            return _with_id(known.keys, kid)

    async def _metadata(self, known: _Known, issuer: str, whose: str) -> Metadata:
        now = self._now()
        if known.metadata is not None and now - known.read < HELD:
            return known.metadata
        if known.failure and now - known.failed < FAILED:
            raise ProviderDown(known.failure)
        try:
            document = await self._fetching.document(issuer.rstrip("/") + WELL_KNOWN, whose)
            known.metadata, known.read, known.failure = _metadata_of(document, issuer, whose), self._now(), ""
        except ProviderDown as error:
            known.failure, known.failed = str(error), self._now()
            raise
        return known.metadata


def _metadata_of(document: Mapping[str, Any], issuer: str, whose: str) -> Metadata:
    """What the document says.

    The issuer must be equal to the last character (Discovery 1.0, section 4.3): else one provider could speak for
    another.
    """
    if document.get("issuer") != issuer:
        log.error("%s: the issuer is %r there, and %r in the configuration", whose, document.get("issuer"), issuer)
        raise ProviderDown(f"{whose} says that it is another issuer than the one that is configured.")
    wanted = [document.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
    if not all(usable_url(url) for url in wanted):
        raise ProviderDown(f"{whose} does not say where its endpoints are, or they are not encrypted.")
    authorization, token, keys = map(str, wanted)
    userinfo, methods = document.get("userinfo_endpoint"), document.get("token_endpoint_auth_methods_supported")
    return Metadata(
        issuer=issuer,
        authorization=authorization,
        token=token,
        keys=keys,
        userinfo=str(userinfo) if usable_url(userinfo) else "",
        says_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        methods=tuple(map(str, methods)) if isinstance(methods, list) else ("client_secret_basic",),
    )


def _keys_of(document: Mapping[str, Any]) -> tuple[PublicKey, ...]:
    """The keys of a JWK set (RFC 7517) that check signatures; those that cannot be read are left out."""
    listed = document.get("keys")
    found: list[PublicKey] = []
    for data in listed[:MOST_KEYS] if isinstance(listed, list) else ():
        if not isinstance(data, dict) or data.get("use", "sig") != "sig":
            continue
        try:
            key = JWKRegistry.import_key(data)
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        if isinstance(key, PublicKey) and not key.is_private:
            found.append(key)
    return tuple(found)


def _with_id(keys: tuple[PublicKey, ...], kid: str | None) -> tuple[PublicKey, ...]:
    return keys if kid is None else tuple(key for key in keys if key.get("kid") == kid)
