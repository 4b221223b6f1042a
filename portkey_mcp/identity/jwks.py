"""Key sets of identity providers (RFC 7517): where they are, fetched when needed, kept for an hour.

A key that is not in the set may be a new one, so the set is fetched again, but at most every half minute: strangers
choose what a token says of its key. While a provider is down, what is known of its keys is believed for a day.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import anyio
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc.jwk import JWKRegistry, Key

from portkey_mcp.errors import ProviderDown
from portkey_mcp.identity.fetching import Fetching, usable_url
from portkey_mcp.identity.signed import ALGORITHMS, Signed, text_of

log = logging.getLogger(__name__)

FRESH: Final = 3600.0
STALE: Final = 86_400.0
"""Seconds that a set is believed without asking again, and while the provider cannot be asked."""

PAUSE: Final = 30.0
"""Seconds between two fetches while there is a set."""
FIRST_PAUSE: Final = 5.0
"""The same while there is none."""

MOST_KEYS: Final = 100
MOST_TRIED: Final = 8
"""Keys that one token is tried with, where it does not say which is its own."""
MOST_SETS: Final = 100

SHORTEST_RSA: Final = 2048
"""Bits (RFC 7518, section 3.3)."""


class _Known(NamedTuple):
    """One key of a set; `kid` and `algorithm` are empty where the set says none."""

    kid: str
    kind: str
    algorithm: str
    key: Key


@dataclass(slots=True)
class _Set:
    """A provider's keys. Moments are those of the clock; `why` is what was wrong at the last failure, else empty."""

    keys: tuple[_Known, ...] = ()
    fetched: float = -STALE
    tried: float = -STALE
    why: str = ""
    lock: anyio.Lock = field(default_factory=anyio.Lock)


class KeySets:
    """The key sets of all providers that are asked for. `clock` counts seconds."""

    def __init__(self, fetching: Fetching, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetching = fetching
        self._clock = clock
        self._sets: dict[tuple[str, str], _Set] = {}

    async def keys(self, issuer: str, url: str, token: Signed) -> list[Key]:
        """The keys that may have signed a token; none where its provider has none that fits.

        `url` is where the set is; empty: where the issuer's metadata says.

        Raises:
            ProviderDown: nothing is known of the provider's keys, and it gives none now.
        """
        if text_of(token.header.get("alg")) not in ALGORITHMS:
            return []
        held = self._held(issuer, url)
        if self._age(held) >= FRESH:
            await self._refresh(held, issuer, url, waits=self._age(held) >= STALE)
        if not (found := list(_fitting(held.keys, token))):
            await self._refresh(held, issuer, url, waits=True)
            found = list(_fitting(held.keys, token))
        return found[:MOST_TRIED]

    def _held(self, issuer: str, url: str) -> _Set:
        held = self._sets.get((issuer, url))
        if held is None:
            if len(self._sets) >= MOST_SETS:
                self._sets.clear()  # of providers that nobody trusts any more, mostly
            held = self._sets[issuer, url] = _Set(fetched=self._clock() - STALE, tried=self._clock() - STALE)
        return held

    def _age(self, held: _Set) -> float:
        return self._clock() - held.fetched

    async def _refresh(self, held: _Set, issuer: str, url: str, *, waits: bool) -> None:
        """Fetch a set, unless that was tried just now. Where somebody else fetches it, their answer is everybody's.

        Raises:
            ProviderDown: there is none that could be believed.
        """
        if held.lock.locked() and not waits:
            return
        seen = held.fetched
        async with held.lock:
            usable = self._age(held) < STALE
            if held.fetched != seen:
                return
            if self._clock() - held.tried < (PAUSE if usable else FIRST_PAUSE):
                if usable:
                    return
                raise ProviderDown(held.why)
            held.tried = self._clock()
            try:
                # Whoever waits may leave, and others wait for the same answer; its time is bounded anyway.
                with anyio.CancelScope(shield=True):
                    keys = await self._fetch(issuer, url)
            except ProviderDown as error:
                self._tell(held, issuer, str(error))
                if not usable:
                    raise
                return
            held.keys, held.fetched = keys, self._clock()
            self._tell(held, issuer, "")

    def _tell(self, held: _Set, issuer: str, why: str) -> None:
        if why and not held.why:
            log.warning("the keys of %s cannot be fetched: %s", issuer, why)
        elif held.why and not why:
            log.info("the keys of %s were fetched again", issuer)
        held.why = why

    async def _fetch(self, issuer: str, url: str) -> tuple[_Known, ...]:
        found = (await self._fetching.document(url or await self._url(issuer), issuer)).get("keys")
        keys = tuple(_known(found[:MOST_KEYS])) if isinstance(found, list) else ()
        if not keys:
            raise ProviderDown(f"the key set of {issuer} has no key that can be used")
        return keys

    async def _url(self, issuer: str) -> str:
        """Where an issuer has its keys: RFC 8414 first, then OpenID Connect Discovery.

        The issuer that a document names must be the very one it was looked up for (RFC 8414, section 3.3).
        """
        why = ""
        for place in metadata_urls(issuer):
            try:
                found = await self._fetching.document(place, issuer)
            except ProviderDown as error:
                why = str(error)
                continue
            url = text_of(found.get("jwks_uri"))
            if found.get("issuer") != issuer:
                why = f"the metadata at {place} is that of another issuer"
            elif not usable_url(url):
                why = f"the metadata at {place} names no key set that could be trusted"
            else:
                return url
        raise ProviderDown(why)


def metadata_urls(issuer: str) -> tuple[str, str]:
    """Where the metadata of an issuer may be, in the order of asking."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    return (
        f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{path}",
        f"{parts.scheme}://{parts.netloc}{path}/.well-known/openid-configuration",
    )


def _known(found: list[object]) -> Iterator[_Known]:
    """Those of a set that check signatures. What cannot be read, is secret or is too weak is passed over."""
    for one in found:
        if not isinstance(one, dict) or one.get("kty") not in ALGORITHMS.values():
            continue
        if one.get("use") not in (None, "sig") or "verify" not in one.get("key_ops", ["verify"]) or "d" in one:
            continue
        try:
            key = JWKRegistry.import_key(one)
            public = key.public_key
        except Exception as error:  # whatever a stranger's document makes the library raise
            log.debug("a key of a set cannot be read (%s)", type(error).__name__)
            continue
        if not isinstance(public, RSAPublicKey) or public.key_size >= SHORTEST_RSA:
            yield _Known(text_of(one.get("kid")), str(one["kty"]), text_of(one.get("alg")), key)


def _fitting(keys: tuple[_Known, ...], token: Signed) -> Iterator[Key]:
    """The keys of a set that a token may be signed with, by what both say."""
    algorithm, kid = text_of(token.header.get("alg")), text_of(token.header.get("kid"))
    for one in keys:
        named = not kid or not one.kid or one.kid == kid
        if named and one.kind == ALGORITHMS[algorithm] and one.algorithm in ("", algorithm):
            yield one.key
