"""Sealing what is secret in a row: bound to table, row and column, so that copied to another place it does not open.

Whoever can write to the database, and has no key, can take a credential away but never give it to somebody else.
"""

from typing import Any

from portkey_mcp.sealing import KeyRing
from portkey_mcp.wire import dumps, loads


def seal(keyring: KeyRing, value: Any, *place: str) -> str:
    """Seal a JSON value for a place: the table, then what identifies the row there, then the column."""
    return keyring.seal(dumps(value), bind(*place))


def unseal(keyring: KeyRing, sealed: str, *place: str) -> Any:
    """The value that was sealed for this very place.

    Raises:
        Unsealable: it is damaged, was sealed for another place, or with a key that is not on the ring.
    """
    return loads(keyring.open(sealed, bind(*place)))


def bind(*place: str) -> str:
    """A place as text. Parts may hold anything: no two places are the same text."""
    return dumps(["vault", *place]).decode()
