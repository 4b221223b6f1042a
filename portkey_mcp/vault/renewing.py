"""One renewal of a credential under the lease of its row, which decides among processes who asks for it.

Who does not get the lease looks at the row until it has another generation, or the lease is over: its holder died.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

import anyio

from portkey_mcp.errors import PortkeyError, ProviderDown, StoreDown, TokenRefused
from portkey_mcp.vault.connection import Connection, Credential, Place
from portkey_mcp.vault.connections import Connections
from portkey_mcp.vault.lasting import is_good, is_soon
from portkey_mcp.vault.refusals import is_final, words

log = logging.getLogger(__name__)

Renew = Callable[[Connection | None], Awaitable[Credential]]
"""One request to the token endpoint. Raises TokenRefused, ProviderDown, NotFetched."""

POLL: Final = 0.075
"""Seconds between two looks at a row that another process renews."""

ASKS: Final = 0.8
"""The part of a lease after which its holder gives the request up, so that the answer is stored under the lease."""

WRITE_TRIES: Final = 5
"""How often it is tried to store a new credential: it may be the only one that is good."""


class Renewing:
    """Renews credentials, each under its lease of so many seconds. What holds a lease is not cancelled."""

    def __init__(self, connections: Connections, now: Callable[[], datetime], lease: float) -> None:
        self._connections = connections
        self._now = now
        self._lease = lease
        self._holder = secrets.token_hex(8)
        self._unwritten: dict[Place, tuple[int | None, Credential]] = {}

    async def renewed(self, place: Place, renew: Renew, after: int, *, makes: bool) -> Connection | None:
        """Renew, or wait until whoever has the lease did. Reads the row each time: others write there."""
        while True:
            found = await self._connections.find(place)
            if not is_good(found) and not makes:
                return None
            if is_good(found) and found.generation > after and not is_soon(found, self._now()):
                return found
            generation = None if found is None else found.generation
            with anyio.CancelScope(shield=True):
                if await self._connections.lease(place, generation, self._holder, self._lease):
                    return await self._ask(place, found, renew, makes=makes)
            await anyio.sleep(POLL)

    async def _ask(self, place: Place, found: Connection | None, renew: Renew, *, makes: bool) -> Connection | None:
        """The one token request, under the lease, and what became of it."""
        generation = None if found is None else found.generation
        stored = False
        try:
            before, credential = self._unwritten.get(place, (None, None))
            if credential is None or before != generation:
                with anyio.fail_after(self._lease * ASKS):
                    credential = await renew(found if is_good(found) else None)
                credential = _whole(credential, found)
                self._unwritten[place] = (generation, credential)
            await self._store(place, found, credential)
            stored = True
        except TimeoutError:
            raise ProviderDown("the authorization server did not answer in time") from None
        except TokenRefused as refused:
            return await self._refused(place, found, refused, makes=makes)
        finally:
            if not stored:
                await self._give_back(place)
        return await self._connections.find(place)

    async def _store(self, place: Place, found: Connection | None, credential: Credential) -> None:
        """Write it, or write nothing where the connection is another one by now. What cannot be written is kept for
        the next renewal of this place, which then asks for none.
        """
        for attempt in range(1, WRITE_TRIES + 1):
            try:
                await self._connections.replace(found, place, credential, self._holder)
            except StoreDown:
                if attempt == WRITE_TRIES:
                    log.error("a new credential for %s/%s cannot be stored", place.workspace, place.server)
                    raise
                await anyio.sleep(POLL * attempt)
            else:
                del self._unwritten[place]
                return

    async def _give_back(self, place: Place) -> None:
        try:
            await self._connections.release(place, self._holder)
        except PortkeyError as error:
            log.warning("the lease of a renewal cannot be given back, and ends by itself: %s", error)

    async def _refused(
        self, place: Place, found: Connection | None, refused: TokenRefused, *, makes: bool
    ) -> Connection | None:
        """No token. Another process may have renewed in between, whatever the lease says: then its token counts."""
        now = await self._connections.find(place)
        if is_good(now) and found is not None and now.generation != found.generation:
            return now
        issuer = "" if found is None else found.credential.issuer
        told = words(refused, issuer)
        log.warning("no new token for %s/%s: %s", place.workspace, place.server, told)
        if makes or found is None or not is_final(refused):
            raise ProviderDown(told)
        await self._connections.end(place, found.generation, told)
        return None


def _whole(credential: Credential, before: Connection | None) -> Credential:
    """With the refresh token it had, where the answer brought none (RFC 6749, section 6)."""
    old = before.credential.tokens if is_good(before) else None
    tokens = credential.tokens
    if old is None or tokens is None or tokens.refresh:
        return credential
    return replace(credential, tokens=replace(tokens, refresh=old.refresh))
