"""A connection as a row of its table, and back.

The seal binds workspace, server, subject, issuer and resource: a row copied onto another one, or an issuer or resource
changed by hand, does not open.
"""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, and_

from portkey_mcp.sealing import KeyRing, Unsealable
from portkey_mcp.vault.connection import Connection, Credential, Place
from portkey_mcp.vault.sealed import bind, seal, unseal
from portkey_mcp.vault.tables import ConnectionRow
from portkey_mcp.vault.written import read, written

UNREADABLE: Final = "what was kept of this account can no longer be read by this gateway; connect it again"


def columns(keyring: KeyRing, place: Place, credential: Credential, generation: int) -> dict[str, Any]:
    """The columns of a good credential that is new; nobody has its lease."""
    sealed = seal(keyring, written(credential), *_bound(place, credential.issuer, credential.resource))
    return {
        "issuer": credential.issuer,
        "resource": credential.resource,
        "state": "good",
        "why": "",
        "scopes": list(credential.scopes),
        "sealed": sealed,
        "expires": None if credential.tokens is None else credential.tokens.expires,
        "generation": generation,
        "lease_holder": "",
        "lease_until": None,
    }


def opened(keyring: KeyRing, row: ConnectionRow) -> tuple[Connection, str]:
    """The connection of a row, and why it does not open, where it does not: then it has ended. Raises nothing."""
    place, problem = Place(row.workspace, row.server, row.subject), ""
    try:
        credential = read(unseal(keyring, row.sealed, *_bound(place, row.issuer, row.resource)), row.resource)
    except (Unsealable, ValueError) as error:
        credential, problem = Credential(row.resource), str(error)
    connection = Connection(
        place,
        credential,
        "good" if row.state == "good" and not problem else "ended",
        row.generation,
        row.connected_by,
        row.created,
        row.refreshed,
        UNREADABLE if problem else row.why,
        tuple(row.wanted),
    )
    return connection, problem


def empty(place: Place, now: datetime) -> dict[str, Any]:
    """The columns of a row that carries only the lease of a first credential."""
    texts = dict.fromkeys(("issuer", "resource", "why", "sealed", "connected_by", "lease_holder"), "")
    none: dict[str, Any] = {"scopes": [], "wanted": []}
    return {**key(place), **texts, **none, "state": "ended", "generation": first(now), "created": now}


def first(now: datetime) -> int:
    """The first generation of a connection that begins now: never one that an earlier connection there had."""
    return int(now.timestamp() * 1000)


def key(place: Place) -> dict[str, str]:
    """The columns that say which row it is."""
    return dict(zip(Place._fields, place, strict=True))


def at(place: Place) -> ColumnElement[bool]:
    """The row of a place."""
    return and_(*(getattr(ConnectionRow, name) == value for name, value in key(place).items()))


def binding(row: ConnectionRow) -> str:
    """What the seal of a row is bound to, for whoever seals it anew."""
    return bind(*_bound(Place(row.workspace, row.server, row.subject), row.issuer, row.resource))


def _bound(place: Place, issuer: str, resource: str) -> tuple[str, ...]:
    return (ConnectionRow.__tablename__, *place, issuer, resource, "sealed")
