"""What a text is searched for by name. Pure.

    secrets   keys and tokens of the big providers and of this gateway, passwords in URLs, JWTs and private keys
    jwt       JSON Web Tokens           pem    private keys in PEM
    email     e-mail addresses          card   payment cards, by issuer, length and check digit
    iban      bank accounts, by country, length and checksum
    phone     telephone numbers that begin with + and a country's code

Ordinary text, UUIDs, hashes, order numbers and base64 are not found: checksums, lengths, prefixes and the characters
around decide. Time is linear in the text, whatever is in it.
"""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final

from portkey_mcp.policy.guards import credentials, personal
from portkey_mcp.policy.guards.span import Span, merged
from portkey_mcp.policy.parts import Recogniser

_Searches = Callable[[str], list[Iterator[Span]]]

_BY_NAME: Final[dict[Recogniser, _Searches]] = {
    "secrets": lambda text: [*credentials.searches(text), credentials.tokens(text), credentials.private_keys(text)],
    "jwt": lambda text: [credentials.tokens(text)],
    "pem": lambda text: [credentials.private_keys(text)],
    "email": lambda text: [personal.emails(text)],
    "card": lambda text: [personal.cards(text)],
    "iban": lambda text: [personal.ibans(text)],
    "phone": lambda text: [personal.phones(text)],
}

LABELS: Final = frozenset({*credentials.LABELS, *personal.LABELS})
"""Every label that a find may have."""

SHORTEST: Final = 6
"""Characters of the shortest address, a@b.de; all else is longer."""


def searches(name: Recogniser, text: str) -> list[Iterator[Span]]:
    """The searches under this name, not yet begun; each finds from left to right, for as long as it is asked."""
    return _BY_NAME[name](text) if len(text) >= SHORTEST else []


def occurs(name: Recogniser, text: str) -> bool:
    """Whether anything is found under this name; ends with the first find."""
    return next(chain.from_iterable(searches(name, text)), None) is not None


def find(name: Recogniser, text: str) -> list[Span]:
    """What is found under this name, in the order of the text; no two finds overlap."""
    return merged(chain.from_iterable(searches(name, text)))
