"""Clients that register themselves (RFC 7591): whoever asks, so within bounds.

All users of a hosted client come from one range of addresses, so nobody is slowed by address for asking again: a
public client that says the same of itself is the same client, and gets the same id (oauth.md K5; A16). Only what is
new counts, by address and in all. What is not used is forgotten.
"""

import secrets
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from mcp.shared.auth import OAuthClientMetadata
from pydantic import ValidationError
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from portkey_mcp.oauth.client import digest_of
from portkey_mcp.oauth.grants import reading, writing
from portkey_mcp.oauth.metadata import JWT_BEARER
from portkey_mcp.oauth.redirects import MOST, redirect_problem
from portkey_mcp.oauth.refusal import OAuthRefusal
from portkey_mcp.oauth.tables import ClientRow, GrantRow
from portkey_mcp.storage.database import Database
from portkey_mcp.trust import Terms
from portkey_mcp.wire import dumps

CLIENT: Final = "client_"
SECRETS_BEGIN: Final = "pks_"

UNUSED_FOR: Final = timedelta(days=30)
"""How long a client without any grant is kept since it was last seen."""

NEW_EACH: Final = 60
"""Clients that were not known before which one address may register in an hour."""
HOUR: Final = 3600.0
MOST_CLIENTS: Final = 10_000
"""Clients without any grant that are kept; one more, and the oldest of them is forgotten."""
MOST_ADDRESSES: Final = 10_000

LARGEST: Final = 16 * 1024
"""Bytes kept of one client: anybody may register many."""

LONGEST_NAME: Final = 200
ECHOED: Final = ("client_uri", "logo_uri", "tos_uri", "policy_uri", "contacts", "software_id", "software_version")
"""What else it said of itself and is told again; nothing is done with it."""


class Registration:
    """Takes clients in."""

    def __init__(
        self, database: Database, terms: Callable[[], Terms], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._terms = terms
        self._clock = clock
        self._new: dict[str, deque[float]] = {}

    async def register(self, said: Any, address: str) -> dict[str, Any]:
        """Register a client; returns what it is told (RFC 7591, section 3.2.1), its secret for the only time.

        Raises:
            OAuthRefusal: it cannot be registered, or there are too many new ones.
            StoreDown: it cannot be kept.
        """
        terms = self._terms()
        if not terms.registration:
            raise OAuthRefusal(
                "access_denied", "this gateway takes no registrations; ask its administrator", status=403
            )
        kept = _read(said, terms)
        method = kept["token_endpoint_auth_method"]
        written = dumps(kept)
        if len(written) > LARGEST:
            raise OAuthRefusal("invalid_client_metadata", f"what is kept of a client has at most {LARGEST} bytes")
        digest = digest_of(written.decode())
        if method == "none" and (known := await self._known(digest)) is not None:
            return _told(known, None)
        await self._refuse_flood(address)
        secret = None if method == "none" else SECRETS_BEGIN + secrets.token_urlsafe(32)
        row = ClientRow(
            id=CLIENT + secrets.token_urlsafe(16),
            name=kept["client_name"],
            redirect_uris=kept["redirect_uris"],
            auth_method=method,
            secret="" if secret is None else digest_of(secret),
            digest=digest,
            said=kept,
            address=address,
            created=datetime.now(UTC),
            last_used=None,
        )
        async with writing(self._database, announce=False) as session:
            await _make_room(session)
            session.add(row)
        return _told(row, secret)

    async def tidy(self) -> None:
        """Forget clients that nobody allowed anything and that were not seen for long.

        Raises:
            StoreDown: it cannot be written; to be tried again later.
        """
        before = datetime.now(UTC) - UNUSED_FOR
        unused = ~ClientRow.id.in_(select(GrantRow.client))
        old = func.coalesce(ClientRow.last_used, ClientRow.created) <= before
        async with writing(self._database, announce=False) as session:
            await session.execute(delete(ClientRow).where(unused, old))

    async def _known(self, digest: str) -> ClientRow | None:
        """The public client that said the same before, which is seen again now."""
        async with reading(self._database) as session:
            row: ClientRow | None = await session.scalar(select(ClientRow).filter_by(digest=digest).limit(1))
        now = datetime.now(UTC)
        if row is not None and (row.last_used or row.created) <= now - timedelta(days=1):
            async with writing(self._database, announce=False) as session:
                await session.execute(update(ClientRow).filter_by(id=row.id).values(last_used=now))
        return row

    async def _refuse_flood(self, address: str) -> None:
        now = self._clock()
        if len(self._new) >= MOST_ADDRESSES:
            self._new = {key: times for key, times in self._new.items() if times and times[-1] > now - HOUR}
        times = self._new.get(address) or deque()
        while times and times[0] <= now - HOUR:
            times.popleft()
        if len(times) >= NEW_EACH:
            raise _too_many("this address registered too many different clients", int(times[0] + HOUR - now) + 1)
        times.append(now)
        self._new[address] = times


async def _make_room(session: AsyncSession) -> None:
    """Forget the oldest clients that nobody allowed anything, so that a flood keeps nobody else out."""
    idle = ~ClientRow.id.in_(select(GrantRow.client))
    number = await session.scalar(select(func.count()).select_from(ClientRow).where(idle)) or 0
    if number >= MOST_CLIENTS:
        oldest = select(ClientRow.id).where(idle).order_by(ClientRow.created).limit(number - MOST_CLIENTS + 1)
        await session.execute(delete(ClientRow).where(ClientRow.id.in_(oldest)))


def _too_many(why: str, seconds: int) -> OAuthRefusal:
    return OAuthRefusal("temporarily_unavailable", f"{why}; try again later", status=429, retry_after=seconds)


def _read(said: Any, terms: Terms) -> dict[str, Any]:
    """What is kept of what a client says of itself, in one form, so that the same gives the same."""
    try:
        metadata = OAuthClientMetadata.model_validate(said)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in wrong["loc"]) or "the document"
        code = "invalid_redirect_uri" if wrong["loc"][:1] == ("redirect_uris",) else "invalid_client_metadata"
        raise OAuthRefusal(code, _ascii(f"{place}: {wrong['msg']}")) from None
    raw = said["redirect_uris"] or ()
    if not 0 < len(raw) <= MOST or not all(isinstance(uri, str) for uri in raw):
        raise OAuthRefusal("invalid_redirect_uri", f"a client has 1 to {MOST} redirect URIs")
    problems = {uri: redirect_problem(uri, terms.native_schemes) for uri in raw}
    if wrong_ones := [problem for problem in problems.values() if problem]:
        raise OAuthRefusal("invalid_redirect_uri", wrong_ones[0])
    if "authorization_code" not in metadata.grant_types or "code" not in metadata.response_types:
        raise OAuthRefusal(
            "invalid_client_metadata", "the grant authorization_code and the response type code are needed"
        )
    if JWT_BEARER in metadata.grant_types:
        raise OAuthRefusal("invalid_client_metadata", "the jwt-bearer grant is for clients an administrator declared")
    method = metadata.token_endpoint_auth_method or "client_secret_basic"
    if method == "private_key_jwt":
        raise OAuthRefusal("invalid_client_metadata", "token_endpoint_auth_method private_key_jwt is not supported")
    name = " ".join((metadata.client_name or "").split())[:LONGEST_NAME]
    more = {key: value for key, value in metadata.model_dump(mode="json").items() if key in ECHOED and value}
    return {
        "client_name": "".join(character for character in name if character.isprintable()) or "An app without a name",
        "redirect_uris": list(dict.fromkeys(raw)),
        "token_endpoint_auth_method": method,
        "grant_types": [kind for kind in ("authorization_code", "refresh_token") if kind in metadata.grant_types],
        "response_types": ["code"],
        "application_type": metadata.application_type,
        **({"scope": metadata.scope} if metadata.scope else {}),
        **more,
    }


def _told(row: ClientRow, secret: str | None) -> dict[str, Any]:
    issued = {"client_id": row.id, "client_id_issued_at": int(row.created.timestamp())}
    if secret is None:
        return {**issued, **row.said}
    return {**issued, "client_secret": secret, "client_secret_expires_at": 0, **row.said}


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode().replace('"', "'").replace("\\", "/")[:300]
