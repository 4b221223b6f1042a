"""What an identity provider says of somebody, read out of its claims. Pure.

Claims are a stranger's words: whatever cannot be an e-mail address, a name or a group's name is left out, never
shortened into another one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from portkey_mcp.model import email_problem, label_problem
from portkey_mcp.trust import Provider, ProviderTokens

Claims = Mapping[str, Any]

MOST_GROUPS: Final = 200
"""Groups that are taken; the first ones. Entra ID, for one, names no more in a token either."""

MOST_LOOKED_AT: Final = 2000
"""Values among which groups are looked for."""

DEEPEST: Final = 4
"""Lists within lists that are looked into."""

LONGEST_SUBJECT: Final = 255
"""Characters of a `sub` (OpenID Connect Core, section 2)."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Somebody, as the provider knows them. `subject` is the only thing that names them for good.

    `email` and `name` are empty where nothing was said that can be one; `verified` says whether the provider has made
    sure that the address is theirs. `tokens` are what it gave to prove all this.
    """

    issuer: str
    subject: str
    email: str = ""
    verified: bool = False
    name: str = ""
    groups: tuple[str, ...] = ()
    tokens: ProviderTokens | None = field(default=None, compare=False, repr=False)


def is_whole(claims: Claims, provider: Provider) -> bool:
    """Whether these claims say all that is wanted; else the userinfo endpoint may say more."""
    return "email" in claims and "email_verified" in claims and _at(claims, provider.groups_claim) is not None


def subject_of(claims: Claims, further: Claims, provider: Provider) -> Subject:
    """Who that is: by the claims of the ID token and, for what these leave out, by those of the userinfo endpoint.

    Whether an address is verified is believed only of the address that it was said with.
    """
    has_own = "email" in claims and ("email_verified" in claims or "email" not in further)
    by = claims if has_own else further
    groups = _at(claims, provider.groups_claim)
    return Subject(
        issuer=provider.issuer,
        subject=claims["sub"],
        email=_email(by.get("email")),
        verified=by.get("email_verified") in (True, "true"),  # Cognito, for one, sends a string
        name=_name(claims) or _name(further),
        groups=_groups(groups if groups is not None else _at(further, provider.groups_claim)),
    )


def _email(value: object) -> str:
    text = value.strip() if isinstance(value, str) else ""
    return "" if email_problem(text) else text


def _name(claims: Claims) -> str:
    for claim in ("name", "preferred_username"):
        text = claims.get(claim)
        text = " ".join(text.split()) if isinstance(text, str) else ""
        if text and not label_problem(text, "name of a person"):
            return text
    return ""


def _at(claims: Claims, path: str) -> Any:
    """The claim of this name or, where there is none, what is at this path: Keycloak has `realm_access.roles`."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _groups(value: Any) -> tuple[str, ...]:
    """The names in a claim: one text, a list of texts or of objects with a `name`, or an object whose keys they are."""
    found: dict[str, None] = {}
    named = list(value) if isinstance(value, Mapping) else value
    for number, text in enumerate(_texts(named, DEEPEST)):
        if number >= MOST_LOOKED_AT or len(found) >= MOST_GROUPS:
            break
        if not label_problem(text, "name of a group"):
            found[text] = None
    return tuple(found)


def _texts(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts(value.get("name"), 0)
    elif isinstance(value, list) and depth:
        for one in value:
            yield from _texts(one, depth - 1)
