"""From what an issuer says of a token to the service account that it stands for; or why it stands for none. Pure."""

import hashlib
from typing import Final

from portkey_mcp.identity.signed import Signed, text_of, texts_of
from portkey_mcp.model import LONGEST_LABEL, Principal
from portkey_mcp.trust import TrustedIssuer
from portkey_mcp.wire import Json

TYPES: Final = ("", "jwt", "at+jwt")
"""Types of access tokens (RFC 9068); what says that it is something else is nothing to be let in by (RFC 8725)."""

OTHER_KINDS: Final = {"typ": ("ID", "Refresh", "Offline", "Logout"), "token_use": ("id", "refresh")}
"""Claims by which some issuers tell the kinds of their tokens apart, and the values of the wrong kinds."""

OF_ID_TOKENS: Final = ("nonce", "at_hash", "c_hash", "events")
"""Claims that only tokens have which tell a client who signed in, or out (OpenID Connect Core, section 2)."""

MOST_GROUPS: Final = 200


def kind_problem(token: Signed) -> str:
    """What a token is that is no access token, as words for whoever sent it; empty for one that may be."""
    claims = token.claims
    if token.typ not in TYPES:
        return "it is no access token"
    if any(claims.get(name) in values for name, values in OTHER_KINDS.items() if isinstance(claims.get(name), str)):
        return "it is no access token"
    return "it is no access token" if any(name in claims for name in OF_ID_TOKENS) else ""


def claim_problem(claims: Json, issuer: TrustedIssuer, *, audience: bool = True) -> str:
    """What of the claims does not fit, as words for whoever sent the token; empty when all do.

    `audience` says whether there must be an `aud`: one that is there must fit in any case. Signature and times are
    others' business.
    """
    if claims.get("iss", None if audience else issuer.issuer) != issuer.issuer:
        return "its issuer is another one"
    if ("aud" in claims or audience) and issuer.audience not in texts_of(claims.get("aud")):
        return "it is meant for another audience"
    if "cnf" in claims:
        return "it is bound to a key, which is not checked here"
    if not all(_has(claims, name, value) for name, value in issuer.required.items()):
        return "it lacks a claim that is required here"
    return "" if _subject(claims)[1] else "it does not say whom it is for"


def principal_of(claims: Json, issuer: TrustedIssuer) -> Principal:
    """The service account. Its id is made of issuer and subject, and is nobody else's: of no person, and no key."""
    kind, subject = _subject(claims)
    whole = "\0".join((issuer.issuer, kind, subject)).encode("utf-8", "surrogatepass")
    said = text_of(claim(claims, issuer.name_claim)) if issuer.name_claim else ""
    groups = dict.fromkeys(texts_of(claim(claims, issuer.groups_claim)) if issuer.groups_claim else ())
    return Principal(
        id=f"issuer:{hashlib.sha256(whole).hexdigest()[:24]}",
        name=_label(said) or _label(subject) or "service",
        kind="service",
        workspaces={issuer.workspace: issuer.role},
        groups=tuple(group for group in groups if _label(group) == group)[:MOST_GROUPS],
        client=_label(text_of(claims.get("client_id")) or text_of(claims.get("azp"))),
    )


def claim(claims: Json, name: str) -> object:
    """A claim by its name, or by its path with dots, as in `realm_access.roles`; None where there is none."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _has(claims: Json, name: str, value: str) -> bool:
    """Whether a claim is this, or has it among others; scopes are many in one text (RFC 8693, section 4.2)."""
    found = claim(claims, name)
    if isinstance(found, bool):
        return value == ("true" if found else "false")
    if isinstance(found, int):
        return value == str(found)
    if name in ("scope", "scp") and isinstance(found, str):
        return found == value or value in found.split(" ")
    return value in texts_of(found)


def _subject(claims: Json) -> tuple[str, str]:
    """Whom a token is for, and which claim says so."""
    for name in ("sub", "client_id"):
        if found := text_of(claims.get(name)):
            return name, found
    return "", ""


def _label(text: str) -> str:
    """Text as a name can be: on one line, and not too long."""
    return "".join(char for char in text if char.isprintable()).strip()[:LONGEST_LABEL].strip()
