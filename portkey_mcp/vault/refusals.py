"""What an authorization server's refusal of a token request means: whether it is final, and in words. Pure.

| error | means | so |
| --- | --- | --- |
| invalid_grant | RFC 6749, 5.2: the refresh token is invalid, expired, revoked, or another client's | ended |
| unsupported_grant_type | RFC 6749, 5.2: it renews nothing, and never will | ended |
| interaction_required, login_required, consent_required, access_denied | the person is wanted (OpenID) | ended |
| invalid_client | RFC 6749, 5.2: the gateway's own id or secret is wrong; its admin can put that right | kept |
| unauthorized_client | RFC 6749, 5.2: the client may not renew; an admin of the server can allow it | kept |
| invalid_request, invalid_scope, invalid_target | RFC 6749, 5.2; RFC 8707, 2: what `auth:` says does not fit | kept |
| temporarily_unavailable, server_error, slow_down | it will pass | kept |
| anything else | nobody knows, so nothing is taken away | kept |

What is final ends one account, and its person connects it again. What is kept is tried again, and no person can help
by connecting: where a wrong secret ended accounts, all of them would be lost by one typing error.
"""

from typing import Final

from portkey_mcp.errors import TokenRefused

WITHDRAWN: Final = "the account's access was withdrawn or has expired at {issuer}; connect it again"
ASKS: Final = "{issuer} wants the person to sign in there again; connect the account again"
NEVER: Final = "{issuer} does not renew credentials; connect the account again"

FINAL: Final = {
    "invalid_grant": WITHDRAWN,
    "unsupported_grant_type": NEVER,
    "interaction_required": ASKS,
    "login_required": ASKS,
    "consent_required": ASKS,
    "access_denied": WITHDRAWN,
}

KEPT: Final = {
    "invalid_client": "{issuer} does not accept the gateway's client id or secret; an admin has to put that right",
    "unauthorized_client": "{issuer} does not let the gateway renew credentials; an admin has to allow it there",
    "invalid_request": "{issuer} does not understand the gateway's token request; an admin has to look at `auth:`",
    "invalid_scope": "{issuer} does not give the scopes that `auth:` asks for; an admin has to look at it",
    "invalid_target": "{issuer} gives no credential for this server's URL; an admin has to look at `auth:`",
}

PASSING: Final = "{issuer} gives no credential just now ({error})"

SHOWN: Final = 60
"""Characters of an unknown error that are told; it is a stranger's text."""


def is_final(refused: TokenRefused) -> bool:
    """Whether renewing will never succeed, so that the account has to be connected again."""
    return refused.error in FINAL


def words(refused: TokenRefused, issuer: str) -> str:
    """What a person is told. Nothing of the description: it may quote what was sent."""
    text = FINAL.get(refused.error) or KEPT.get(refused.error) or PASSING
    error = "".join(char for char in refused.error if char.isascii() and char.isprintable())[:SHOWN]
    return text.format(issuer=issuer or "the authorization server", error=error)
