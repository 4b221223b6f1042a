"""ID-JAG assertions: an enterprise's identity provider says that a client may act for one of its people (SEP-990).

What is checked are the processing rules of draft-ietf-oauth-identity-assertion-authz-grant and RFC 7523, section 3,
with `resource` required as in MCP's Enterprise-Managed Authorization. Whether an assertion was used before, who the
person is here, and what the client gets is the token endpoint's business.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from portkey_mcp.errors import Refusal
from portkey_mcp.identity.jwks import KeySets
from portkey_mcp.identity.signed import LEEWAY, Signed, is_signed, read, seconds, text_of, time_problem
from portkey_mcp.trust import Enterprise
from portkey_mcp.wire import Json

TYPE: Final = "oauth-id-jag+jwt"
LONGEST_LIFE: Final = 3600.0
"""Seconds between `iat` and `exp`: an assertion is exchanged at once, and its `jti` remembered for as long."""
LONGEST_ID: Final = 255
"""Characters of a `jti` and of a `sub` (OpenID Connect Core, section 2)."""


class AssertionRefused(Refusal):
    """An assertion that is not taken: `invalid_grant` of RFC 6749, section 5.2. `str()` is its description: ASCII,
    and nothing of what was sent."""

    error: Final = "invalid_grant"


@dataclass(frozen=True, slots=True)
class Assertion:
    """What an assertion says, once it is certain who says it.

    `email` is empty where the provider gives none, or says itself that it was not verified. `resource` is where the
    access token is to be good, `scopes` what it may allow at most: empty where nothing is said. `expires` is in seconds
    since the epoch; until then `jti` of this `issuer` must not be taken again.
    """

    issuer: str
    subject: str
    email: str
    client_id: str
    resource: str
    scopes: tuple[str, ...]
    jti: str
    expires: float


async def verify_id_jag(
    assertion: str, enterprises: Iterable[Enterprise], keys: KeySets, *, audience: str, client_id: str, now: float
) -> Assertion:
    """What an assertion says to the authorization server whose issuer is `audience`.

    `client_id` is that of the client that has authenticated itself with this request; `now` in seconds since the epoch.

    Raises:
        AssertionRefused: it is not one to take.
        ProviderDown: the provider's keys cannot be fetched; nothing is wrong with the assertion, to be tried again.
    """
    token = read(assertion)
    if token is None or token.typ != TYPE:
        raise AssertionRefused("The assertion is no ID-JAG: a signed token of type oauth-id-jag+jwt is expected.")
    enterprise = next((one for one in enterprises if one.issuer == token.issuer), None)
    if enterprise is None:
        raise AssertionRefused("The issuer of the assertion is not trusted here.")
    if not is_signed(token, await keys.keys(enterprise.issuer, enterprise.jwks_url, token)):
        raise AssertionRefused("The signature of the assertion is not one of its issuer's.")
    if problem := _problem(token, audience, client_id, now):
        raise AssertionRefused(f"The assertion is not valid here: {problem}.")
    return _assertion(token, client_id)


def _problem(token: Signed, audience: str, client_id: str, now: float) -> str:
    claims = token.claims
    made, ends = seconds(claims.get("iat")), seconds(claims.get("exp"))
    if made is None:
        return "it does not say when it was made"
    if problem := time_problem(claims, now):
        return problem
    if ends is None or ends - made > LONGEST_LIFE or ends > now + LONGEST_LIFE + LEEWAY:
        return "it is good for more than an hour"
    if claims.get("aud") not in (audience, [audience]):
        return "it is meant for another authorization server"
    if claims.get("client_id") != client_id:
        return "it was issued to another client"
    if "cnf" in claims:
        return "it is bound to a key, which is not checked here"
    for name in ("sub", "jti"):
        if not 0 < len(text_of(claims.get(name))) <= LONGEST_ID:
            return f"it has no {name}, or one of more than {LONGEST_ID} characters"
    if not text_of(claims.get("resource")):
        return "it names no single resource"
    if not isinstance(claims.get("scope", ""), str):
        return "its scope is no text"
    return ""


def _assertion(token: Signed, client_id: str) -> Assertion:
    claims: Json = token.claims
    return Assertion(
        issuer=token.issuer,
        subject=claims["sub"],
        email=text_of(claims.get("email")) if claims.get("email_verified", True) in (True, "true") else "",
        client_id=client_id,
        resource=claims["resource"],
        scopes=tuple(dict.fromkeys(claims.get("scope", "").split())),
        jti=claims["jti"],
        expires=float(claims["exp"]),
    )
