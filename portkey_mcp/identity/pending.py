"""Sign-ins that went to an identity provider and have not come back: the `state` of OAuth, and what it stands for.

The state *is* what it stands for, sealed, so any worker and a restarted one can take it. It opens for ten minutes, for
the provider it was made for, and together with a cookie of the browser that it was made in. Each is taken once by one
process; in another one, or after a restart, the provider itself refuses the code that came with it a second time.
"""

import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from portkey_mcp.errors import Unauthenticated
from portkey_mcp.sealing import KeyRing, Unsealable
from portkey_mcp.trust import Provider

LIFE: Final = 600
"""Seconds that somebody has for signing in at the provider's."""

MOST_TAKEN: Final = 100_000
"""States that are remembered as taken; beyond, the oldest are forgotten."""

RANDOM_BYTES: Final = 32
BROWSER: Final = re.compile(r"[A-Za-z0-9_-]{43}")
"""What the value in a browser's cookie looks like."""

STALE: Final = (
    "This sign-in was not begun in this browser, was begun too long ago, or was used already. Please begin again."
)


@dataclass(frozen=True, slots=True)
class Pending:
    """One sign-in under way. `onto` is the path to go on to, `verifier` the secret half of PKCE (RFC 7636)."""

    onto: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


def new_browser() -> str:
    """A value for the cookie of a browser that has none."""
    return secrets.token_urlsafe(RANDOM_BYTES)


class PendingSignIns:
    """Makes states and takes them. `now` is in seconds since the epoch."""

    def __init__(self, keyring: KeyRing, now: Callable[[], float] = time.time) -> None:
        self._keyring = keyring
        self._now = now
        self._taken: dict[str, float] = {}

    def make(self, provider: Provider, browser: str, onto: str) -> tuple[str, Pending]:
        """Begin a sign-in: its state, and what that stands for. `browser` is the value in the browser's cookie."""
        pending = Pending(onto, secrets.token_urlsafe(RANDOM_BYTES), secrets.token_urlsafe(RANDOM_BYTES))
        held = [secrets.token_urlsafe(16), self._now() + LIFE, onto, pending.nonce, pending.verifier]
        return self._keyring.seal(json.dumps(held).encode(), _bind(provider, browser)), pending

    def take(self, provider: Provider, browser: str, state: str) -> Pending:
        """What a state stands for; never again from then on.

        Raises:
            Unauthenticated: it is not good: another browser's, another provider's, too old, or taken already.
        """
        if not BROWSER.fullmatch(browser):
            raise Unauthenticated(STALE)
        try:
            ident, ends, onto, nonce, verifier = json.loads(self._keyring.open(state, _bind(provider, browser)))
        except Unsealable:
            raise Unauthenticated(STALE) from None
        if ends <= self._now() or ident in self._taken:
            raise Unauthenticated(STALE)
        self._remember(ident, ends)
        return Pending(onto, nonce, verifier)

    def _remember(self, ident: str, ends: float) -> None:
        now = self._now()
        for old, until in list(self._taken.items()):  # they end about in the order in which they were taken
            if until > now and len(self._taken) < MOST_TAKEN:
                break
            del self._taken[old]
        self._taken[ident] = ends


def _bind(provider: Provider, browser: str) -> str:
    """What a state is for. With the issuer: a provider that is configured anew never gets the code of the old one."""
    digest = hashlib.sha256(browser.encode("utf-8", "surrogatepass")).hexdigest()
    return "\n".join(("sign-in", provider.id, provider.issuer, provider.client_id, digest))
