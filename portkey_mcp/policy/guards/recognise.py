"""What a text is searched for by name. Pure.

    secrets   keys and tokens of the big providers and of this gateway, passwords in URLs, JWTs and private keys
    jwt       JSON Web Tokens           pem    private keys in PEM
    email     e-mail addresses          card   payment cards, by issuer, length and check digit
    iban      bank accounts, by country, length and checksum
    phone     telephone numbers that begin with + and a country's code

Ordinary text, UUIDs, hashes, order numbers and base64 are not found: checksums, lengths, prefixes and the characters
around decide. Time is linear in the text, whatever is in it.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from portkey_mcp.policy.guards import credentials, personal
from portkey_mcp.policy.guards.span import Span, merged
from portkey_mcp.policy.parts import Recogniser


def _secrets(text: str) -> Iterator[Span]:
    yield from credentials.keys(text)
    yield from credentials.tokens(text)
    yield from credentials.private_keys(text)


_BY_NAME: Final[dict[Recogniser, Callable[[str], Iterable[Span]]]] = {
    "secrets": _secrets,
    "jwt": credentials.tokens,
    "pem": credentials.private_keys,
    "email": personal.emails,
    "card": personal.cards,
    "iban": personal.ibans,
    "phone": personal.phones,
}

LABELS: Final = frozenset({*credentials.LABELS, *personal.LABELS})
"""Every label that a find may have."""

_SHORTEST: Final = 6
"""Characters of the shortest address, a@b.de; all else is longer."""


def find(name: Recogniser, text: str) -> list[Span]:
    """What is found under this name, in the order of the text; no two finds overlap."""
    return merged(_BY_NAME[name](text)) if len(text) >= _SHORTEST else []
