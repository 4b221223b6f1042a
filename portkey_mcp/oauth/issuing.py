"""Codes and tokens: redeemed, issued and refreshed.

A code is good once, for a minute; a refresh token once, and for a minute more, since clients refresh in parallel
(oauth.md K11, 9.7). One that comes again later was copied: all of its grant ends (RFC 6749 section 4.1.2, RFC 9700
section 4.14.2).
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from portkey_mcp.oauth.authorization_request import allows
from portkey_mcp.oauth.client import Client, digest_of
from portkey_mcp.oauth.grants import RANDOM_BYTES, Grant, Grants, reading, shown, writing
from portkey_mcp.oauth.metadata import OFFLINE
from portkey_mcp.oauth.refusal import OAuthRefusal
from portkey_mcp.oauth.tables import AssertionRow, CodeRow, GrantRow, TokenRow
from portkey_mcp.storage.database import Database
from portkey_mcp.trust import Terms

ACCESS: Final = "pka_"
REFRESH: Final = "pkr_"
"""How tokens begin, so that a person who finds one knows what it is."""

GRACE: Final = timedelta(seconds=60)
"""How long the refresh token before the last one is good."""


@dataclass(frozen=True, slots=True)
class Issued:
    """Fresh tokens, seen this once. `refresh` may be empty; `seconds` is the life of the access token."""

    access: str
    refresh: str
    seconds: int
    scopes: tuple[str, ...]
    grant: Grant


@dataclass(frozen=True, slots=True)
class Redeemed:
    """A code that fits its client. What the client proves beside it is held against `redirect_uri` and `challenge`."""

    digest: str
    grant: Grant
    redirect_uri: str
    challenge: str


class Copied(OAuthRefusal):
    """A code or refresh token came again: its grant has ended."""

    def __init__(self, what: str, grant: Grant) -> None:
        super().__init__("invalid_grant", f"the {what} was used before; everything that came of it has ended")
        self.grant = grant


@dataclass(frozen=True, slots=True)
class Good:
    """A token that is good now."""

    grant: Grant
    kind: str
    scopes: tuple[str, ...]
    created: datetime
    expires: datetime


def _now() -> datetime:
    return datetime.now(UTC)


class Issuing:
    """Redeems codes, and issues, refreshes and reads tokens. Several on one database see the same ones."""

    def __init__(
        self, database: Database, grants: Grants, terms: Callable[[], Terms], now: Callable[[], datetime] = _now
    ) -> None:
        self._database = database
        self._grants = grants
        self._terms = terms
        self._now = now

    async def redeem(self, code: str, client: Client) -> Redeemed:
        """The grant that a code stands for, once.

        The code is used up by the first client that it was made for and that asks, whatever else is wrong.

        Raises:
            Copied: it was used before.
            OAuthRefusal: it is not known, has expired, or was made for another client.
            StoreDown: nobody can say.
        """
        now, copied = self._now(), None
        async with writing(self._database, announce=False) as session:
            row = await session.get(CodeRow, digest_of(code))
            grant = None if row is None else await session.get(GrantRow, row.grant)
            if row is None or grant is None or grant.client != client.id or (row.expires <= now and row.used is None):
                raise OAuthRefusal("invalid_grant", "the code is not known, has expired, or is for another client")
            if row.used is not None:
                copied = shown(grant)
            row.used = row.used or now
        if copied is not None:
            await self._grants.end(copied.id)
            raise Copied("code", copied)
        return Redeemed(row.digest, shown(grant), row.redirect_uri, row.challenge)

    async def issue(self, grant: Grant, *, refreshes: bool = True) -> Issued:
        """Fresh tokens for a grant; `refreshes` says whether there is a refresh token, too.

        Raises:
            OAuthRefusal: it has ended.
            StoreDown: they cannot be kept.
        """
        async with writing(self._database, announce=False) as session:
            return await self._issue(session, grant, grant.granted.scopes, refreshes=refreshes)

    async def refresh(self, token: str, client: Client, scopes: Sequence[str] | None) -> Issued:
        """Fresh tokens for a refresh token, which gives way to a new one; `scopes` fewer than granted, or None.

        Raises:
            Copied: it gave way to another one a while ago.
            OAuthRefusal: it is not known, has expired, is another client's, or more is asked than was granted.
            StoreDown: nobody can say.
        """
        now, copied = self._now(), None
        async with writing(self._database, announce=False) as session:
            row = await session.get(TokenRow, digest_of(token))
            grant = None if row is None else await session.get(GrantRow, row.grant)
            if row is None or grant is None or row.kind != "refresh" or grant.client != client.id or row.expires <= now:
                raise OAuthRefusal(
                    "invalid_grant", "the refresh token is not known, has expired, or is another client's"
                )
            known = shown(grant)
            if row.replaced is not None and row.replaced + GRACE <= now:
                copied = known
            else:
                row.replaced = row.replaced or now
                grant.last_used = now
                return await self._issue(session, known, _fewer(scopes, known.granted.scopes))
        await self._grants.end(copied.id)
        raise Copied("refresh token", copied)

    async def once(self, digest: str, expires: datetime) -> None:
        """Note that an assertion was exchanged.

        Raises:
            OAuthRefusal: it was before.
            StoreDown: nobody can say.
        """
        async with writing(self._database, announce=False) as session:
            session.add(AssertionRow(digest=digest, expires=expires))
            try:
                await session.flush()
            except IntegrityError:
                raise OAuthRefusal("invalid_grant", "the assertion was exchanged before") from None

    async def read(self, token: str, *, replaced: bool = False) -> Good | None:
        """A token that is good now; None for any other, also for a refresh token that gave way, unless `replaced`.

        Raises:
            StoreDown: nobody can say.
        """
        async with reading(self._database) as session:
            row = await session.get(TokenRow, digest_of(token))
            grant = None if row is None else await session.get(GrantRow, row.grant)
        if row is None or grant is None or row.expires <= self._now():
            return None
        if row.replaced is not None and not replaced:
            return None
        return Good(shown(grant), row.kind, tuple(row.scopes), row.created, row.expires)

    async def _issue(
        self, session: AsyncSession, grant: Grant, scopes: tuple[str, ...], *, refreshes: bool = True
    ) -> Issued:
        terms, now = self._terms(), self._now()
        if await session.get(GrantRow, grant.id) is None:
            raise OAuthRefusal("invalid_grant", "the grant has ended")
        access, refresh = (kind + secrets.token_urlsafe(RANDOM_BYTES) for kind in (ACCESS, REFRESH))
        session.add(_row(access, grant, "access", scopes, now, terms.access_seconds))
        if refreshes:
            session.add(_row(refresh, grant, "refresh", grant.granted.scopes, now, terms.refresh_seconds))
        return Issued(access, refresh if refreshes else "", terms.access_seconds, scopes, grant)


def _row(token: str, grant: Grant, kind: str, scopes: Sequence[str], now: datetime, seconds: int) -> TokenRow:
    ends = now + timedelta(seconds=seconds)
    return TokenRow(digest=digest_of(token), grant=grant.id, kind=kind, scopes=list(scopes), created=now, expires=ends)


def _fewer(asked: Sequence[str] | None, granted: tuple[str, ...]) -> tuple[str, ...]:
    """The scopes of a refreshed access token: never more than were granted (RFC 6749, section 6).

    `offline_access` allows nothing: where it was not granted it is left out.
    """
    if asked is None:
        return granted
    wanted = tuple(scope for scope in asked if scope in granted or scope != OFFLINE)
    if not all(allows(granted, scope) for scope in wanted):
        raise OAuthRefusal("invalid_scope", "more scopes are asked for than were granted")
    return wanted
