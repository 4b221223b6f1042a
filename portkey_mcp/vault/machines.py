"""Credentials that nobody connects: one request to a token endpoint each time, or two, with what the gateway has.

The gateway's own account by a secret, a signed assertion or a token of its platform; a person's by what says who they
are. None of them has a refresh token: to renew one is to obtain another. Each request is sent once, and where it is
refused no other grant is tried (SEP-1933).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from portkey_mcp.addresses import canonical
from portkey_mcp.errors import Mistake, SignInNeeded, TokenRefused
from portkey_mcp.model import McpServer, Principal
from portkey_mcp.proof import EnterpriseAuth, ExchangeAuth, MachineAuth, OAuthClient, WorkloadAuth
from portkey_mcp.trust import Provider
from portkey_mcp.vault.authorization_server import AuthorizationServer
from portkey_mcp.vault.client_auth import method_of
from portkey_mcp.vault.clients import Clients
from portkey_mcp.vault.connection import Client, Credential, Endpoint
from portkey_mcp.vault.discovery import Discovery, Found
from portkey_mcp.vault.identity_tokens import IdentityTokens
from portkey_mcp.vault.sign_in_tokens import SignInTokens
from portkey_mcp.vault.token_requests import ACCESS_TOKEN, JWT, TokenRequests

MachineKind = MachineAuth | WorkloadAuth | ExchangeAuth | EnterpriseAuth

CLIENT_CREDENTIALS: Final = "client_credentials"
JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
"""Grants (RFC 6749, section 4.4; RFC 7523, section 2.1; RFC 8693, section 2.1)."""

ID_TOKEN: Final = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - the name of a kind
ID_JAG: Final = "urn:ietf:params:oauth:token-type:id-jag"
"""Further kinds of tokens (RFC 8693, section 3; SEP-990)."""


class ProviderMetadata(Protocol):
    """What is used of an identity provider's metadata: where tokens are exchanged, how clients prove themselves."""

    @property
    def issuer(self) -> str: ...

    @property
    def token(self) -> str: ...

    @property
    def methods(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Machines:
    """Obtains them. `metadata` finds an identity provider's, by its issuer and its name. Keeps nothing."""

    discovery: Discovery
    clients: Clients
    requests: TokenRequests
    identity: IdentityTokens
    sign_ins: SignInTokens
    metadata: Callable[[str, str], Awaitable[ProviderMetadata]]

    async def obtain(
        self, server: McpServer, url: str, auth: MachineKind, who: Principal | None, wanted: Sequence[str] = ()
    ) -> Credential:
        """A new credential for `server` at `url`, whose `auth` is resolved. `who` is whose, for kinds that are a
        person's; `wanted` are scopes to ask for beyond the usual ones.

        Raises:
            SignInNeeded: it takes what a person's sign-in gave, and there is nothing of it that is good.
            TokenRefused: an authorization server gives none.
            ProviderDown: somebody who has to be asked does not answer just now.
            NotFetched: an answer is no good, or a rule forbids to ask.
            Mistake: as it is configured, this cannot work.
            StoreDown: the database cannot say.
        """
        found = await self.discovery.find(url, auth)
        client = await self.clients.client(server, url, auth, found.server, interactive=False)
        _check(auth, client, found.server)
        found = replace(found, scopes=tuple(dict.fromkeys([*found.scopes, *wanted])))
        form = {**await self._grant(server, auth, who, found), **_asked(found)}
        endpoint = found.server.endpoint()
        tokens = await self.requests.ask(url, endpoint, client, form)
        scopes = found.scopes if tokens.scopes is None else tokens.scopes
        # Whatever else came is of no use here, and what is not kept nobody can steal.
        return Credential(canonical(url), replace(tokens, refresh="", id_token=""), endpoint, client, scopes)

    async def _grant(self, server: McpServer, auth: MachineKind, who: Principal | None, found: Found) -> dict[str, str]:
        """What the request says beside what is asked for."""
        match auth:
            case MachineAuth():
                return {"grant_type": CLIENT_CREDENTIALS}
            case WorkloadAuth():
                return {"grant_type": JWT_BEARER, "assertion": _platform_token(auth.token)}
            case ExchangeAuth():
                token, kind = await self._subject(server, auth, _somebody(who), found.server.issuer)
                return {
                    "grant_type": EXCHANGE,
                    "subject_token": token,
                    "subject_token_type": kind,
                    "requested_token_type": ACCESS_TOKEN,
                    **({"audience": auth.audience} if auth.audience else {}),
                }
            case EnterpriseAuth():
                return {"grant_type": JWT_BEARER, "assertion": await self._assertion(auth, _somebody(who), found)}

    async def _subject(self, server: McpServer, auth: ExchangeAuth, who: Principal, issuer: str) -> tuple[str, str]:
        """What says who somebody is, and its kind. The gateway's own word is for this authorization server alone."""
        if auth.subject == "identity":
            return await self.identity.token(who, server.workspace, issuer), JWT
        _, id_token = await self.sign_ins.good(_person(who).id)
        return id_token, ID_TOKEN

    async def _assertion(self, auth: EnterpriseAuth, who: Principal, found: Found) -> str:
        """The word of a person's identity provider to the server's authorization server (SEP-990, section 4)."""
        provider, id_token = await self.sign_ins.good(_person(who).id, auth.provider)
        metadata = await self.metadata(provider.issuer, provider.name)
        form = {
            "grant_type": EXCHANGE,
            "subject_token": id_token,
            "subject_token_type": ID_TOKEN,
            "requested_token_type": ID_JAG,
            "audience": found.server.issuer,
            **_asked(found),
        }
        endpoint = Endpoint(metadata.issuer, metadata.token, methods=metadata.methods)
        client = _client_at(provider, metadata)
        try:
            # An administrator wrote the provider's issuer: it, not the server, says whom this may be sent to.
            return (await self.requests.ask(provider.issuer, endpoint, client, form)).access
        except TokenRefused as error:
            if error.error != "invalid_grant":
                raise
            name = provider.name or provider.id
            raise SignInNeeded(
                f"{name} does not take your sign-in for this server ({error}). Sign in with {name} again.", provider.id
            ) from None


def _asked(found: Found) -> dict[str, str]:
    """What is asked for: for which server (RFC 8707), and how much."""
    scopes = {"scope": " ".join(found.scopes)} if found.scopes else {}
    return {**({"resource": found.resource} if found.resource else {}), **scopes}


def _check(auth: MachineKind, client: Client, at: AuthorizationServer) -> None:
    """Refuse what cannot work, or would be told to a stranger, before anything is sent.

    A client is bound to the authorization server it was first used at; where there is none, somebody has to have said
    whom the platform's token is for, or a server could have it sent to anybody. Of ways to prove the client those are
    good that the authorization server lists (A31); what an administrator wrote is believed, and so is one without
    metadata.
    """
    if not client.id:
        if not (auth.authority.issuer or auth.authority.token_endpoint):
            raise Mistake(
                "auth of the server needs an issuer or a client_id: else the token would be sent to whatever "
                "authorization server the server names"
            )
        return
    if auth.client.method != "auto" or not at.methods:
        return
    if client.method not in at.methods:
        raise Mistake(
            f"the authorization server {at.issuer} does not list {client.method} but {', '.join(at.methods)}: use one "
            "of these, or write token_endpoint_auth_method into auth of the server, if it takes it all the same"
        )
    signs = client.method == "private_key_jwt" and at.signing_algorithms
    if signs and client.algorithm not in at.signing_algorithms:
        raise Mistake(
            f"the authorization server {at.issuer} takes assertions signed with {', '.join(at.signing_algorithms)}, "
            f"not with {client.algorithm}: write another signing_algorithm into auth of the server"
        )


def _platform_token(token: str) -> str:
    """A platform's token, as it stands in a file."""
    found = token.strip()
    if not found or not found.isascii() or not found.isprintable() or " " in found:
        raise Mistake("token in auth of the server holds no JWT; expected one, like ${file:/var/run/secrets/token}")
    return found


def _somebody(who: Principal | None) -> Principal:
    if who is None:
        raise SignInNeeded("This server gives a token for each person, and here nobody in particular asks.")
    return who


def _person(who: Principal) -> Principal:
    if who.kind != "person":
        raise SignInNeeded("Only people who sign in with their identity provider can use this server.")
    return who


def _client_at(provider: Provider, metadata: ProviderMetadata) -> Client:
    """The client that the gateway is at an identity provider: the one that people sign in with."""
    client = OAuthClient(provider.client_id, provider.client_secret)
    return Client(client.id, method_of(client, metadata.methods), client.secret)
