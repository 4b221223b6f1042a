"""What identity providers gave when people signed in: kept, sealed, for servers that take it (SEP-990, RFC 8693).

Kept only while some server is configured to take it, one for each person and provider, the last one. An ID token that
has ended is renewed where the provider gave a refresh token (its `scopes` hold `offline_access`, mostly).

Signing out in one browser forgets nothing: what is kept serves the person's clients, which stay connected as well.
Signing out everywhere does: who does that says that nothing may rest on their sign-ins any more. What servers' own
authorization servers gave for it ends by itself, soon.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import anyio
from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError

from portkey_mcp.errors import SignInNeeded, StoreDown, Unauthenticated
from portkey_mcp.model import Directory
from portkey_mcp.proof import EnterpriseAuth, ExchangeAuth
from portkey_mcp.sealing import KeyRing, Unsealable
from portkey_mcp.storage.database import Database
from portkey_mcp.trust import Provider, ProviderTokens, Trust
from portkey_mcp.vault.sealed import seal, unseal
from portkey_mcp.vault.tables import SignInTokenRow

log = logging.getLogger(__name__)

SPARE: Final = timedelta(seconds=30)
"""What an ID token has left at least when it is used: it travels, and clocks differ."""

KEPT: Final = timedelta(days=90)
"""How long what can be renewed is kept after it was last."""

Renew = Callable[[Provider, ProviderTokens], Awaitable[ProviderTokens]]
"""Another ID token of the same person. Raises Unauthenticated where the provider says no, ProviderDown."""


def _now() -> datetime:
    return datetime.now(UTC)


def is_wanted(directory: Directory, provider: str) -> bool:
    """Whether any server takes what a provider says of people."""
    servers = (server for workspace in directory.workspaces.values() for server in workspace.servers.values())
    return any(_takes(server.auth, provider) for server in servers)


def _takes(auth: object, provider: str) -> bool:
    if isinstance(auth, EnterpriseAuth):
        return auth.provider == provider
    return isinstance(auth, ExchangeAuth) and auth.subject == "sign_in"


class SignInTokens:
    """Keeps them. `trust` says which providers there are now, `wanted` whether one's tokens are of any use.

    Several on one database see the same ones.
    """

    def __init__(
        self,
        database: Database,
        keyring: KeyRing,
        trust: Callable[[], Trust],
        wanted: Callable[[str], bool],
        renew: Renew,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._trust = trust
        self._wanted = wanted
        self._renew = renew
        self._now = now
        self._renewing: dict[tuple[str, str], anyio.Lock] = {}

    async def keep(self, person: str, provider: Provider, tokens: ProviderTokens) -> None:
        """Keep what a person's sign-in gave, where it is wanted. Never fails: without it they are asked to sign in."""
        if not self._wanted(provider.id):
            return
        try:
            await self._write(person, provider, tokens)
        except (SQLAlchemyError, StoreDown) as error:
            log.error("what a sign-in gave is not kept: %s", type(error).__name__)

    async def good(self, person: str, provider: str = "") -> tuple[Provider, str]:
        """An ID token of a person that is good now, and who gave it; `provider` is the id of the only one to take.

        Raises:
            SignInNeeded: there is none, or it has ended.
            ProviderDown: it has ended, and the provider cannot be asked for another one now.
            StoreDown: nobody can say.
        """
        known = {one.id: one for one in self._trust().providers if provider in ("", one.id)}
        found = [(known[row.provider], row) for row in await self._rows(person) if row.provider in known]
        given = [(one, row, tokens) for one, row in found if (tokens := self._opened(one, row)) is not None]
        given.sort(key=lambda each: each[2].expires, reverse=True)
        for one, _, tokens in given:
            if self._is_good(tokens):
                return one, tokens.id_token
        for one, _, tokens in given:
            if tokens.refresh and (renewed := await self._renewed(person, one)) is not None:
                return one, renewed.id_token
        raise _needed(self._trust(), provider)

    async def forget(self, person: str, provider: str = "") -> None:
        """Forget what a person's sign-ins gave, or only one provider's.

        Raises:
            StoreDown: it cannot be written, and it is still there.
        """
        mine = delete(SignInTokenRow).filter_by(person=person)
        with _told():
            async with self._database.write(announce=False) as session:
                await session.execute(mine.filter_by(provider=provider) if provider else mine)

    async def tidy(self) -> None:
        """Forget what is of no use any more: what is over, and what no server takes any longer.

        Raises:
            StoreDown: it cannot be written.
        """
        with _told():
            async with self._database.write(announce=False) as session:
                await session.execute(delete(SignInTokenRow).where(SignInTokenRow.expires <= self._now()))
                for provider in await session.scalars(select(SignInTokenRow.provider).distinct()):
                    if not self._wanted(provider):
                        await session.execute(delete(SignInTokenRow).filter_by(provider=provider))
        self._renewing = {place: lock for place, lock in self._renewing.items() if lock.statistics().locked}

    async def _renewed(self, person: str, provider: Provider) -> ProviderTokens | None:
        """Renew what a person has, one at a time; None where the provider says no: then it is forgotten.

        Another process may do the same at the same time. Whoever is refused looks whether somebody else was faster.
        """
        async with self._renewing.setdefault((person, provider.id), anyio.Lock()):
            before = await self._one(person, provider)
            if before is None or not before.refresh or self._is_good(before):
                return before if before is not None and self._is_good(before) else None
            try:
                renewed = await self._renew(provider, before)
            except Unauthenticated as error:
                now = await self._one(person, provider)
                if now is not None and now != before:
                    return now if self._is_good(now) else None
                log.warning("the sign-in of %s at %s is not renewed: %s", person, provider.id, error)
                await self.forget(person, provider.id)
                return None
            with _told():
                await self._write(person, provider, renewed)
            return renewed

    async def _write(self, person: str, provider: Provider, tokens: ProviderTokens) -> None:
        place = (SignInTokenRow.__tablename__, person, provider.id, "sealed")
        secret = {
            "issuer": provider.issuer,
            "client": provider.client_id,
            "subject": tokens.subject,
            "expires": int(tokens.expires.timestamp()),
            "id_token": tokens.id_token,
            "refresh": tokens.refresh,
        }
        row = SignInTokenRow(
            person=person,
            provider=provider.id,
            issuer=provider.issuer,
            sealed=seal(self._keyring, secret, *place),
            expires=self._now() + KEPT if tokens.refresh else tokens.expires,
        )
        async with self._database.write(announce=False) as session:
            await session.merge(row)

    async def _one(self, person: str, provider: Provider) -> ProviderTokens | None:
        rows = [row for row in await self._rows(person) if row.provider == provider.id]
        return self._opened(provider, rows[0]) if rows else None

    async def _rows(self, person: str) -> list[SignInTokenRow]:
        with _told():
            async with self._database.read() as session:
                return list(await session.scalars(select(SignInTokenRow).filter_by(person=person)))

    def _opened(self, provider: Provider, row: SignInTokenRow) -> ProviderTokens | None:
        """What a row holds; None where it does not open, or is of another issuer or client than the provider is now."""
        try:
            found = unseal(self._keyring, row.sealed, row.__tablename__, row.person, row.provider, "sealed")
        except Unsealable as error:
            log.error("what the sign-in of %s at %s gave cannot be read: %s", row.person, row.provider, error)
            return None
        if (found["issuer"], found["client"]) != (provider.issuer, provider.client_id):
            return None
        ends = datetime.fromtimestamp(found["expires"], UTC)
        return ProviderTokens(found["subject"], ends, found["id_token"], found["refresh"])

    def _is_good(self, tokens: ProviderTokens) -> bool:
        return self._now() + SPARE < tokens.expires


def _needed(trust: Trust, provider: str) -> SignInNeeded:
    """What a person is told who has nothing that is good."""
    usable = [one for one in trust.providers if provider in ("", one.id)]
    if not usable:
        what = f"the identity provider {provider!r}" if provider else "an identity provider"
        return SignInNeeded(f"This server needs {what}, which this gateway does not have; an administrator can add it.")
    names = " or ".join(one.name or one.id for one in usable)
    text = (
        f"This server takes your sign-in with {names}, and there is none, or it has ended. Sign in with {names} again."
    )
    return SignInNeeded(text, usable[0].id)


@contextmanager
def _told() -> Iterator[None]:
    """Tell of a store that fails as `StoreDown`."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreDown(f"what sign-ins gave cannot be read or written: {type(error).__name__}") from None
