"""People on their way to an authorization server and back: OAuth's `state`, and what it stands for (RFC 9700, 4.7).

All of it is in the database, so that who begins at one process may come back at another one. A flow is taken out as it
is read: of any number who come with one state, at whatever process, one gets it. Only the digest of a state is kept,
and what is secret is sealed for exactly that row.
"""

import hashlib
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from portkey_mcp.errors import StoreDown
from portkey_mcp.sealing import KeyRing, Unsealable
from portkey_mcp.storage.database import Database
from portkey_mcp.vault.connection import Client, Endpoint, Place
from portkey_mcp.vault.sealed import seal, unseal
from portkey_mcp.vault.tables import ConnectFlowRow

LIFE: Final = timedelta(minutes=10)
"""How long somebody may take at the authorization server (B1)."""

RANDOM_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Flow:
    """One person on their way.

    `place` is where the account will be, `person` the id of who began. `endpoint` names the only issuer who may answer,
    `says_issuer` whether it promised to say so itself (RFC 9207); `is_named` false: nobody knows its name. `url` is the
    MCP server's, `resource` the value of RFC 8707, empty where none is sent. `scopes` are those asked for, `onto` is
    the path to go on to, or empty.
    """

    place: Place
    person: str
    url: str
    endpoint: Endpoint
    is_named: bool
    says_issuer: bool
    client: Client
    resource: str
    scopes: tuple[str, ...]
    redirect_uri: str
    onto: str
    verifier: str = field(repr=False)


def new_verifier() -> str:
    """The secret half of PKCE (RFC 7636, section 4.1)."""
    return secrets.token_urlsafe(RANDOM_BYTES)


def _now() -> datetime:
    return datetime.now(UTC)


class Flows:
    """Keeps flows and gives each back once. Several on one database keep the same ones."""

    def __init__(self, database: Database, keyring: KeyRing, now: Callable[[], datetime] = _now) -> None:
        self._database = database
        self._keyring = keyring
        self._now = now

    async def begin(self, flow: Flow) -> str:
        """Keep a flow for ten minutes; returns its `state`.

        Raises:
            StoreDown: it cannot be kept.
        """
        state = secrets.token_urlsafe(RANDOM_BYTES)
        row = ConnectFlowRow(
            state=_digest(state),
            workspace=flow.place.workspace,
            server=flow.place.server,
            person=flow.person,
            expires=self._now() + LIFE,
        )
        row.sealed = seal(self._keyring, asdict(flow), *_place(row))
        async with self._writing() as session:
            session.add(row)
        return state

    async def take(self, state: str) -> Flow | None:
        """What a state stands for, never again from then on; None for one that is unknown, taken, or too old.

        Raises:
            StoreDown: nobody can say.
        """
        gone = delete(ConnectFlowRow).filter_by(state=_digest(state)).returning(ConnectFlowRow)
        async with self._writing() as session:
            row = await session.scalar(gone)
        if row is None or row.expires <= self._now():
            return None
        try:
            return _flow(unseal(self._keyring, row.sealed, *_place(row)))
        except Unsealable:  # somebody wrote into the row, or its key is gone
            return None

    async def tidy(self) -> None:
        """Forget those who did not come back.

        Raises:
            StoreDown: they cannot be deleted.
        """
        async with self._writing() as session:
            await session.execute(delete(ConnectFlowRow).where(ConnectFlowRow.expires <= self._now()))

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncSession]:
        """Nobody serves from these rows, so nothing is announced."""
        try:
            async with self._database.write(announce=False) as session:
                yield session
        except (SQLAlchemyError, OSError) as error:
            raise StoreDown(f"connect flows cannot be read or written: {type(error).__name__}") from None


def _digest(state: str) -> str:
    return hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()


def _place(row: ConnectFlowRow) -> tuple[str, ...]:
    """What the secret of a row is sealed for: all of the row, so that nobody makes it another person's."""
    return "connect_flows", row.state, row.workspace, row.server, row.person, "sealed"


def _flow(kept: dict[str, Any]) -> Flow:
    endpoint = kept["endpoint"]
    lists = {name: tuple(endpoint[name]) for name in ("methods", "dpop")}
    whole = {
        **kept,
        "place": Place(*kept["place"]),
        "endpoint": Endpoint(**{**endpoint, **lists}),
        "client": Client(**kept["client"]),
        "scopes": tuple(kept["scopes"]),
    }
    return Flow(**whole)
