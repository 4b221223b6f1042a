"""Tokens that machine clients bring from an issuer of their own: signed JWTs, or whatever the issuer vouches for.

A token is checked once and then known by its digest, for minutes: the same token is the same principal object, and
costs a call neither cryptography nor a question. Nothing of it is kept. Fails closed: an issuer that cannot be asked
lets nobody in whom it did not let in a moment ago.
"""

import hashlib
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio

from portkey_mcp.errors import ProviderDown, Unauthenticated
from portkey_mcp.identity.fetching import SECONDS, Fetching
from portkey_mcp.identity.jwks import KeySets
from portkey_mcp.identity.services import claim_problem, kind_problem, principal_of
from portkey_mcp.identity.signed import LONGEST, Signed, is_signed, read, seconds, time_problem
from portkey_mcp.model import Principal
from portkey_mcp.trust import Trust, TrustedIssuer

log = logging.getLogger(__name__)

KNOWN_FOR: Final = 300.0
"""Seconds after which a signature is checked again, with the keys that the issuer has then."""

VOUCHED_FOR: Final = 30.0
"""Seconds that an issuer's answer about a token is believed, yes or no (RFC 7662, section 4)."""

DOWN_FOR: Final = 5.0
"""Seconds until an issuer that did not answer is asked about the same token again."""

MOST_KNOWN: Final = 10_000
MOST_REFUSED: Final = 2_000
"""Tokens that are remembered; strangers choose how many of the second there are."""

ASKED_AT_ONCE: Final = 8
"""Questions to issuers at the same time."""

OPAQUE: Final = re.compile(r"[A-Za-z0-9._~+/=-]{16,}")
"""What an opaque token looks like (RFC 6750, section 2.1); nothing else is sent to an issuer."""

DOWN: Final = "This token cannot be checked just now: its issuer does not answer. Try again in a moment."


@dataclass(frozen=True, slots=True)
class _Known:
    """Whose a token is, until then; after that it is checked again, and is the same object if nothing changed."""

    principal: Principal
    until: float


@dataclass(frozen=True, slots=True)
class _Refused:
    """Why a token is refused, until then."""

    why: str
    until: float


class ForeignTokens:
    """Says whose tokens of trusted issuers are. `trust` is asked each time; `now` are seconds since the epoch."""

    def __init__(
        self,
        trust: Callable[[], Trust],
        fetching: Fetching,
        keys: KeySets,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._trust = trust
        self._fetching = fetching
        self._keys = keys
        self._now = now
        self._trusted: Trust | None = None
        self._issuers: dict[str, TrustedIssuer] = {}
        self._known: dict[str, _Known] = {}
        self._refused: dict[str, _Refused] = {}
        self._underway: dict[str, anyio.Event] = {}
        self._at_once = anyio.Semaphore(ASKED_AT_ONCE)

    async def verify(self, credential: str) -> Principal | None:
        """Whose token this is; None when it is of no issuer that is trusted.

        Raises:
            Unauthenticated: an issuer that is trusted may have made it, and it does not verify.
        """
        if self._trust() is not self._trusted:
            self._begin()
        if not self._issuers or len(credential) > LONGEST:
            return None
        digest = hashlib.sha256(credential.encode("utf-8", "surrogatepass")).hexdigest()
        while True:
            known = self._known.get(digest)
            if known is not None and self._now() < known.until:
                return known.principal
            refused = self._refused.get(digest)
            if refused is not None and self._now() < refused.until:
                raise Unauthenticated(refused.why)
            if (underway := self._underway.get(digest)) is None:
                return await self._check_alone(digest, credential)
            await underway.wait()

    def _begin(self) -> None:
        """Trust somebody else from now on: nothing that was found under the last trust counts any more."""
        self._trusted = self._trust()
        self._issuers = {issuer.issuer: issuer for issuer in self._trusted.issuers}
        self._known.clear()
        self._refused.clear()

    async def _check_alone(self, digest: str, credential: str) -> Principal | None:
        """Check a token; whoever brings the same one meanwhile waits."""
        done = self._underway[digest] = anyio.Event()
        try:
            return await self._check(digest, credential)
        finally:
            del self._underway[digest]
            done.set()

    async def _check(self, digest: str, credential: str) -> Principal | None:
        while True:
            trusted = self._trusted
            found = await self._found(credential)
            if self._trust() is trusted:
                break
            self._begin()  # what was found is the word of somebody who may not be trusted any more
        if isinstance(found, _Refused):
            self._refuse(digest, found)
            raise Unauthenticated(found.why)
        return None if found is None else self._remember(digest, found)

    async def _found(self, credential: str) -> _Known | _Refused | None:
        token = read(credential)
        issuer = None if token is None else self._issuers.get(token.issuer)
        try:
            if token is None:
                return await self._opaque(credential)
            if issuer is None:
                return None
            if issuer.introspection_url:
                return await self._vouched_for(credential, issuer)
            return await self._signed(token, issuer)
        except Unauthenticated as refusal:
            return _Refused(str(refusal), self._now() + VOUCHED_FOR)
        except ProviderDown as error:
            log.warning("a token cannot be checked: %s", error)
            return _Refused(DOWN, self._now() + DOWN_FOR)

    async def _signed(self, token: Signed, issuer: TrustedIssuer) -> _Known:
        """Whose signed token this is, and how long that holds."""
        if problem := kind_problem(token):
            raise _invalid(problem)
        if not is_signed(token, await self._keys.keys(issuer.issuer, issuer.jwks_url, token)):
            raise _invalid("its signature is not one of its issuer's")
        now, claims = self._now(), token.claims
        if problem := time_problem(claims, now) or claim_problem(claims, issuer):
            raise _invalid(problem)
        return _Known(principal_of(claims, issuer), min(now + KNOWN_FOR, seconds(claims["exp"]) or 0.0))

    async def _opaque(self, credential: str) -> _Known | None:
        """Whose opaque token this is: that of the first issuer that vouches for it; None where nobody does."""
        for issuer in self._issuers.values():
            if issuer.introspection_url and OPAQUE.fullmatch(credential):
                try:
                    return await self._vouched_for(credential, issuer)
                except _Inactive:
                    continue
        return None

    async def _vouched_for(self, credential: str, issuer: TrustedIssuer) -> _Known:
        """Whose token this is by its issuer's own word, and how long that is believed (RFC 7662, section 2)."""
        form = {"token": credential, "token_type_hint": "access_token"}
        with anyio.move_on_after(SECONDS) as waiting:
            await self._at_once.acquire()
        if waiting.cancelled_caught:
            raise ProviderDown(f"too many questions wait for {issuer.issuer}")
        try:
            # Whoever asks may leave, and others wait for the same answer; its time is bounded anyway.
            with anyio.CancelScope(shield=True):
                claims = await self._fetching.answer(
                    issuer.introspection_url, issuer.issuer, form, issuer.client_id, issuer.client_secret
                )
        finally:
            self._at_once.release()
        if claims.get("active") is not True:
            raise _Inactive("This token is not valid here: its issuer does not know it any more.")
        now = self._now()
        problem = time_problem(claims, now, expires=False) or claim_problem(claims, issuer, audience=False)
        if problem:
            raise _invalid(problem)
        ends = seconds(claims["exp"]) if claims.get("exp") is not None else None
        until = now + VOUCHED_FOR
        return _Known(principal_of(claims, issuer), until if ends is None else min(until, ends))

    def _remember(self, digest: str, found: _Known) -> Principal:
        before = self._known.pop(digest, None)
        if before is not None and before.principal == found.principal:
            found = _Known(before.principal, found.until)
        if len(self._known) >= MOST_KNOWN:
            now = self._now()
            self._known = {one: known for one, known in self._known.items() if now < known.until}
            while len(self._known) >= MOST_KNOWN:
                del self._known[next(iter(self._known))]
        self._known[digest] = found
        return found.principal

    def _refuse(self, digest: str, refused: _Refused) -> None:
        self._known.pop(digest, None)
        if len(self._refused) >= MOST_REFUSED:
            self._refused.clear()
        self._refused[digest] = refused


class _Inactive(Unauthenticated):
    """An issuer does not vouch for a token."""


def _invalid(problem: str) -> Unauthenticated:
    return Unauthenticated(f"This token is not valid here: {problem}.")
