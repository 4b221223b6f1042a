"""The gateway's own signing keys: with them it says to servers who calls. Servers read the public halves as a JWK set.

Keys are made on first need, ES256 (RFC 7518, section 3.4), and known by their thumbprint (RFC 7638). All processes on
one database have the same ones. What is published is taken from what is sealed, never from the row's `public`, which is
for people to look at: whoever can write to the database, and has no key of the ring, publishes nothing.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from portkey_mcp.errors import StoreDown
from portkey_mcp.sealing import KeyRing, Unsealable
from portkey_mcp.storage.database import Database
from portkey_mcp.vault.sealed import seal, unseal
from portkey_mcp.vault.tables import SigningKeyRow
from portkey_mcp.wire import Json

log = logging.getLogger(__name__)

ALGORITHM: Final = "ES256"

HEAD_START: Final = timedelta(minutes=10)
"""How long a further key is only published before it signs: servers that hold the JWK set have read it by then."""

KEPT: Final = timedelta(hours=1)
"""How long a key is published after it gave way: longer than anything that it signed is good."""

HELD: Final = timedelta(seconds=30)
"""How long keys are held in memory before the database is asked again: others on it add some."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key. `kid` is its id in tokens and in the JWK set."""

    kid: str
    created: datetime
    key: ECKey = field(repr=False)

    def sign(self, claims: Json, kind: str = "JWT") -> str:
        """A signed JWT with these claims; `kind` is the `typ` of its header."""
        return jwt.encode({"alg": ALGORITHM, "kid": self.kid, "typ": kind}, claims, self.key)

    def public(self) -> Json:
        """Its public half, as a JWK."""
        found: Json = self.key.as_dict(private=False)
        return {**found, "kid": self.kid, "alg": ALGORITHM, "use": "sig"}


def _now() -> datetime:
    return datetime.now(UTC)


class SigningKeys:
    """The keys of one gateway. Several on one database see the same ones."""

    def __init__(self, database: Database, keyring: KeyRing, now: Callable[[], datetime] = _now) -> None:
        self._database = database
        self._keyring = keyring
        self._now = now
        self._held: tuple[SigningKey, ...] = ()
        self._read: datetime | None = None

    async def current(self) -> SigningKey:
        """The key that signs now; made where there is none.

        Raises:
            StoreDown: keys cannot be read or kept.
        """
        return _current(await self._keys() or await self._first(), self._now())

    async def published(self) -> Json:
        """Every key as a JWK set (RFC 7517, section 5); empty as long as nothing was ever signed.

        Raises:
            StoreDown: keys cannot be read.
        """
        return {"keys": [key.public() for key in await self._keys()]}

    async def rotate(self) -> str:
        """Put a new key beside those that there are, and forget those that gave way long ago. Returns the new `kid`.

        It signs once it has been published for `HEAD_START`; the first one of all at once.

        Raises:
            StoreDown: it cannot be kept, and nothing has changed.
        """
        with _told():
            async with self._database.write(announce=False) as session:
                known = await self._all(session)
                over = self._now() - HEAD_START - KEPT
                for key, next_one in pairwise(known):
                    if next_one.created <= over:
                        await session.delete(await session.get_one(SigningKeyRow, key.kid))
                added = self._add(session)
        self._read = None
        return added.kid

    async def _keys(self) -> tuple[SigningKey, ...]:
        """All keys, the oldest first. That there is none is never held: another process may make one any moment."""
        now = self._now()
        if not self._held or self._read is None or now - self._read >= HELD:
            with _told():
                async with self._database.read() as session:
                    self._held, self._read = await self._all(session), now
        return self._held

    async def _first(self) -> tuple[SigningKey, ...]:
        """Make a key, unless another process was faster: whoever writes waits here for whoever is writing."""
        with _told():
            async with self._database.write(announce=False) as session:
                found = await self._all(session) or (self._add(session),)
        self._held, self._read = found, self._now()
        return found

    def _add(self, session: AsyncSession) -> SigningKey:
        made = ECKey.generate_key("P-256")
        kid = made.thumbprint()
        key = SigningKey(kid, self._now(), made)
        sealed = seal(self._keyring, made.as_dict(private=True), *_place(kid))
        session.add(SigningKeyRow(kid=kid, public=key.public(), sealed=sealed, created=key.created))
        return key

    async def _all(self, session: AsyncSession) -> tuple[SigningKey, ...]:
        rows = await session.scalars(select(SigningKeyRow).order_by(SigningKeyRow.created, SigningKeyRow.kid))
        return tuple(key for row in rows if (key := self._opened(row)) is not None)

    def _opened(self, row: SigningKeyRow) -> SigningKey | None:
        """The key in a row; None, and a line in the log, where it does not open: then it signs nothing."""
        try:
            key = ECKey.import_key(unseal(self._keyring, row.sealed, *_place(row.kid)))
        except (Unsealable, JoseError, ValueError) as error:
            log.error("the signing key %s is left out, since it cannot be read: %s", row.kid, error)
            return None
        return SigningKey(row.kid, row.created, key)


def _current(keys: tuple[SigningKey, ...], now: datetime) -> SigningKey:
    """The newest that has been published long enough, else the oldest."""
    return next((key for key in reversed(keys) if key.created + HEAD_START <= now), keys[0])


def _place(kid: str) -> tuple[str, ...]:
    return SigningKeyRow.__tablename__, kid, "sealed"


@contextmanager
def _told() -> Iterator[None]:
    """Tell of a store that fails as `StoreDown`."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreDown(f"signing keys cannot be read or written: {type(error).__name__}") from None
