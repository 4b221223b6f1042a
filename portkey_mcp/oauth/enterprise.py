"""Assertions of an enterprise's identity provider for tokens: nobody is asked, the enterprise has decided (SEP-990).

Only for clients that somebody vouches for: declared ones that have proved who they are, and those known by a document
at their own host, since an assertion names its client and is good once. One that registered itself gets nothing. There
is no refresh token: the provider is asked again, and can then say no. Fails closed.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from portkey_mcp.errors import ProviderDown
from portkey_mcp.identity.assertions import Assertion, AssertionRefused, verify_id_jag
from portkey_mcp.identity.jwks import KeySets
from portkey_mcp.identity.logins import Logins
from portkey_mcp.model import Principal
from portkey_mcp.oauth.authorization_request import needed, one, place_asked, scopes_of
from portkey_mcp.oauth.authorizing import Choice, choices
from portkey_mcp.oauth.client import digest_of
from portkey_mcp.oauth.grants import Granted
from portkey_mcp.oauth.issuing import Issued
from portkey_mcp.oauth.refusal import OAuthRefusal
from portkey_mcp.oauth.server import OAuthServer
from portkey_mcp.oauth.token_endpoint import Request


class Enterprises:
    """Exchanges ID-JAG assertions (RFC 7523, section 2.1). `now` is in seconds since the epoch."""

    def __init__(
        self, server: OAuthServer, logins: Logins, keys: KeySets, now: Callable[[], float] = time.time
    ) -> None:
        self._server = server
        self._logins = logins
        self._keys = keys
        self._now = now

    async def exchange(self, request: Request) -> Issued:
        """Tokens for an assertion, once.

        Raises:
            OAuthRefusal: the client may not, or the assertion is not one to take.
            StoreDown: nobody can say.
        """
        if request.client.kind == "registered" or (request.client.kind == "declared" and request.client.is_public):
            raise OAuthRefusal("unauthorized_client", "this grant is for clients that somebody vouches for")
        said = await self._verified(request)
        who = await self._logins.asserted(said.issuer, said.subject, said.email)
        if who is None:
            raise OAuthRefusal("invalid_grant", "the person is not known here")
        choice = self._choice(request, said, who)
        granted = Granted(
            person=who.id,
            workspace=choice.workspace,
            client=request.client.id,
            client_name=request.client.name,
            redirect_host="",
            reach=choice.reach,
            resource=said.resource,
            scopes=_scopes(one(request.given, "scope"), said.scopes),
            issuer=request.issuer,
            address=request.address,
        )
        await self._server.issuing.once(
            digest_of(f"{said.issuer} {said.jti}"), datetime.fromtimestamp(said.expires, UTC)
        )
        return await self._server.issuing.issue(await self._server.grants.make(granted), refreshes=False)

    async def _verified(self, request: Request) -> Assertion:
        try:
            return await verify_id_jag(
                needed(request.given, "assertion"),
                self._server.trust().enterprises,
                self._keys,
                audience=request.issuer,
                client_id=request.client.id,
                now=self._now(),
            )
        except AssertionRefused as refusal:
            raise OAuthRefusal(refusal.error, str(refusal)) from None
        except ProviderDown:
            why = "the keys of the identity provider cannot be fetched just now"
            raise OAuthRefusal("temporarily_unavailable", why, status=503, retry_after=5) from None

    def _choice(self, request: Request, said: Assertion, who: Principal) -> Choice:
        """What the assertion is for: one endpoint that there is for this person, the one that is asked for, if any."""
        directory = self._server.directory()
        meant, _ = place_asked({"resource": [said.resource]}, self._server.addresses, directory.hosts)
        asked, _ = place_asked(request.given, self._server.addresses, directory.hosts)
        if asked is not None and asked != meant:
            raise OAuthRefusal("invalid_target", "the resource is not the one that the assertion is for")
        found = choices(directory, meant or (), who)
        if len(found) != 1:
            raise OAuthRefusal("invalid_target", "the assertion does not name one endpoint of this person's")
        return found[0]


def _scopes(asked: str | None, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """The scopes that are asked for, as far as the assertion allows them; it allows all where it names none."""
    wanted = scopes_of(asked if asked is not None else " ".join(allowed))
    found = tuple(scope for scope in wanted if not allowed or scope in allowed)
    if not found:
        raise OAuthRefusal("invalid_scope", "the assertion allows none of the scopes")
    return found
