"""How long a connection lasts: whether it is good, still valid, and when it is to be renewed. Pure."""

from datetime import datetime, timedelta
from typing import Final, TypeGuard

from portkey_mcp.vault.connection import Connection

AHEAD: Final = timedelta(seconds=60)
"""A credential is renewed this long before it expires, or in the last fifth of its life where that is shorter."""


def is_good(found: Connection | None) -> TypeGuard[Connection]:
    """Whether there is one, and it has not ended."""
    return found is not None and found.state == "good"


def is_renewable(found: Connection) -> bool:
    """Whether its own tokens renew it."""
    return found.credential.tokens is not None and bool(found.credential.tokens.refresh)


def is_valid(found: Connection, now: datetime) -> bool:
    """Whether its time is not over. One of which nobody said when it ends is used until it is refused."""
    expires = _expires(found)
    return expires is None or now < expires


def is_soon(found: Connection, now: datetime) -> bool:
    """Whether it is time to renew it."""
    expires = _expires(found)
    if expires is None:
        return False
    life = max(expires - (found.refreshed or found.created), timedelta())
    return now >= expires - min(AHEAD, life / 5)


def _expires(found: Connection) -> datetime | None:
    return None if found.credential.tokens is None else found.credential.tokens.expires
