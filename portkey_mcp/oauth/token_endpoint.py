"""The token endpoint: what each grant type needs, held against what was granted (RFC 6749 sections 4.1.3 and 6).

Knows no HTTP. A grant is good at the resource it was granted for: another one is `invalid_target` (RFC 8707).
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from portkey_mcp.activity.acts import Act
from portkey_mcp.oauth.authorization_request import Parameters, needed, one, place_asked, scopes_of
from portkey_mcp.oauth.client import Client
from portkey_mcp.oauth.grants import Grant
from portkey_mcp.oauth.issuing import Copied, Issued
from portkey_mcp.oauth.metadata import JWT_BEARER, OFFLINE
from portkey_mcp.oauth.refusal import OAuthRefusal
from portkey_mcp.oauth.server import OAuthServer

VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")
"""RFC 7636, section 4.1."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the token endpoint, of a client that proved who it is. `issuer` is ours, where it was asked."""

    client: Client
    given: Parameters
    issuer: str
    address: str


Assert = Callable[[Request], Awaitable[Issued]]
"""Exchanges an assertion (RFC 7523); raises OAuthRefusal or StoreDown."""


class TokenEndpoint:
    """Issues tokens. `assertions` exchanges those of enterprises."""

    def __init__(self, server: OAuthServer, assertions: Assert) -> None:
        self._server = server
        self._kinds: dict[str, Assert] = {
            "authorization_code": self._code,
            "refresh_token": self._refresh,
            JWT_BEARER: assertions,
        }

    async def issue(self, request: Request) -> dict[str, Any]:
        """Fresh tokens, as they are told to the client (RFC 6749, section 5.1).

        Raises:
            OAuthRefusal: it is not entitled to any.
            StoreDown: nobody can say.
        """
        name = needed(request.given, "grant_type")
        kind = self._kinds.get(name)
        if kind is None or (name == JWT_BEARER and not self._server.trust().enterprises):
            raise OAuthRefusal("unsupported_grant_type", "this grant type is not supported")
        try:
            issued = await kind(request)
        except Copied as copied:
            self._note(request, "refused", copied.grant, str(copied))
            self._note_end(request, copied)
            raise
        except OAuthRefusal as refusal:
            self._note(request, "refused", None, str(refusal))
            raise
        self._note(request, "done", issued.grant, name)
        return {
            "access_token": issued.access,
            "token_type": "Bearer",
            "expires_in": issued.seconds,
            "scope": " ".join(issued.scopes),
            **({"refresh_token": issued.refresh} if issued.refresh else {}),
        }

    async def _code(self, request: Request) -> Issued:
        given = request.given
        code, verifier = needed(given, "code"), one(given, "code_verifier") or ""
        redeemed = await self._server.issuing.redeem(code, request.client)
        if not _proves(verifier, redeemed.challenge):
            raise OAuthRefusal("invalid_grant", "code_verifier does not fit the code_challenge")
        if (one(given, "redirect_uri") or redeemed.redirect_uri) != redeemed.redirect_uri:
            raise OAuthRefusal("invalid_grant", "redirect_uri is not the one that the code was sent to")
        self._check_resource(given, redeemed.grant)
        return await self._server.issuing.issue(redeemed.grant)

    async def _refresh(self, request: Request) -> Issued:
        given = request.given
        token, scope = needed(given, "refresh_token"), one(given, "scope")
        if "resource" in given and (good := await self._server.issuing.read(token)) is not None:
            self._check_resource(given, good.grant)
        asked = None if scope is None or scope.split() == [OFFLINE] else scopes_of(scope)
        return await self._server.issuing.refresh(token, request.client, asked)

    def _check_resource(self, given: Parameters, grant: Grant) -> None:
        """A resource may be left out (oauth.md 9.2); a wrong one is refused."""
        aliases = self._server.directory().hosts
        place, _ = place_asked(given, self._server.addresses, aliases)
        if place is None:
            return
        granted = grant.granted
        meant = self._server.addresses.place(granted.resource, aliases) if granted.resource else place
        reach = tuple(granted.reach.split("/"))
        if place != meant or (place and place[: len(reach)] != reach):
            raise OAuthRefusal("invalid_target", "the resource is not the one that was granted")

    def _note(self, request: Request, outcome: Any, grant: Grant | None, why: str) -> None:
        granted = None if grant is None else grant.granted
        self._server.note(
            Act(
                "token",
                actor=granted.person if granted else "",
                address=request.address,
                workspace=granted.workspace if granted else "",
                subject=grant.id if grant else "",
                outcome=outcome,
                why=why if outcome == "refused" else "",
                client=request.client.id[:200],
                detail={"grant_type": (one(request.given, "grant_type") or "")[:60]},
            )
        )

    def _note_end(self, request: Request, copied: Copied) -> None:
        granted = copied.grant.granted
        self._server.note(
            Act(
                "revoke",
                actor=granted.person,
                address=request.address,
                workspace=granted.workspace,
                subject=copied.grant.id,
                client=request.client.id[:200],
                detail={"because": str(copied)},
            )
        )


def _proves(verifier: str, challenge: str) -> bool:
    """Whether a verifier is what the challenge was made of (RFC 7636, section 4.6)."""
    if not VERIFIER.fullmatch(verifier):
        return False
    made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return hmac.compare_digest(made, challenge)
