"""Which authorization server gives tokens for a server, and what to ask it for (oauth.md A20, A22, A23, A26).

In this order: what an administrator wrote into `auth`; what the server's own metadata says (RFC 9728); metadata of an
authorization server at the server's own origin; and `/authorize`, `/token`, `/register` there (MCP 2025-03-26). Nothing
is kept: metadata is read anew for each connection, and what came of it is kept with the tokens.

What cannot be asked just now (5xx, 429, silence) is told as such and never taken for "there is none": else a moment's
failure would send people to another authorization server.
"""

from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit

from portkey_mcp.egress import Egress, Fetched
from portkey_mcp.errors import Mistake, NotFetched, ProviderDown, Unreachable
from portkey_mcp.proof import AccountAuth, Auth, Authority
from portkey_mcp.vault.authorization_server import AuthorizationServer as AuthorizationServer
from portkey_mcp.vault.authorization_server import metadata_urls, read_metadata, same_issuer, shown
from portkey_mcp.vault.protected_resource import (
    Challenge,
    ProtectedResource,
    read_challenge,
    read_resource,
    resource_urls,
)
from portkey_mcp.vault.reaching import Reaching, bare

OFFLINE: Final = "offline_access"
"""The scope that asks for a refresh token, where an authorization server knows it (SEP-2207)."""

PASSING: Final = frozenset({408, 425, 429})

_LIST_TOOLS: Final = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
"""Asked without credentials for the challenge. Servers that let anybody initialize challenge what comes after."""


@dataclass(frozen=True, slots=True)
class Found:
    """`resource` is the value of that parameter (RFC 8707), empty where it is not to be sent. `scopes` are those to ask
    for; empty: the parameter is left out.
    """

    resource: str
    server: AuthorizationServer
    scopes: tuple[str, ...] = ()


class Discovery:
    """Finds authorization servers. Holds nothing."""

    def __init__(self, reaching: Reaching) -> None:
        self._reaching = reaching

    async def find(self, url: str, auth: Auth, challenge: str = "") -> Found:
        """The authorization server for the server at `url`, whose `auth` is resolved.

        `challenge` is its `WWW-Authenticate`, where it has sent one; else it is asked for one.

        Raises:
            ProviderDown: somebody who has to be asked does not answer just now.
            NotFetched: what came is no good, or a rule forbids to ask.
            Mistake: as it is, this cannot work; `str()` says what an administrator can do.
        """
        egress, here = self._reaching.for_server(url), bare(url)
        authority = getattr(auth, "authority", Authority())
        challenged = read_challenge(challenge or await _asked(egress, here, urlsplit(url).query))
        said = await _resource(egress, here, challenged)
        server = await _server(egress, here, auth, authority, said)
        if not (challenged.bound or (said is not None and said.bound)):
            server = replace(server, dpop=())  # what an authorization server can do, this server need not take
        await _check(egress, server, auth)
        sends = getattr(auth, "send_resource", True)
        resource = (said.resource if said else here) if sends else ""
        return Found(resource, server, _scopes(auth, challenged, said, server))


async def _asked(egress: Egress, here: str, query: str) -> str:
    """The challenge of a server that is asked without credentials; empty where it sends none."""
    there = f"{here}?{query}" if query else here
    try:
        answer = await egress.post(there, json=_LIST_TOOLS, accept="application/json, text/event-stream")
        if answer.status in (404, 405):  # the older transport of 2024-11-05 begins with GET
            answer = await egress.get(there, accept="text/event-stream")
    except NotFetched:
        return ""  # whatever it is, it is told when the metadata is asked for
    return answer.headers.get("www-authenticate", "") if answer.status in (401, 403) else ""


async def _resource(egress: Egress, url: str, challenge: Challenge) -> ProtectedResource | None:
    """The server's metadata (A20); None where it has none."""
    what = "the server's metadata"
    if challenge.metadata:
        await _judge(egress, challenge.metadata, f"{what}, which it says is at {shown(challenge.metadata)}")
    for place in resource_urls(url, challenge):
        document = await _document(egress, place, what)
        if document is not None:
            return read_resource(document, url)
    return None


async def _server(
    egress: Egress, url: str, auth: Auth, authority: Authority, said: ProtectedResource | None
) -> AuthorizationServer:
    written = AuthorizationServer(
        issuer=authority.issuer or _origin(authority.token_endpoint or authority.authorization_endpoint),
        authorization=authority.authorization_endpoint,
        token=authority.token_endpoint,
        revocation=authority.revocation_endpoint,
        pkce=True,
        named=bool(authority.issuer),
    )
    if written.token and (written.authorization or not isinstance(auth, AccountAuth)):
        return written  # an administrator's word is enough, whether there is metadata or not
    issuers = said.issuers if said else ()
    if authority.issuer:
        _refuse_another(auth, authority.issuer, issuers)
        return _with(written, await _metadata(egress, authority.issuer))
    if issuers:
        return _with(written, await _metadata(egress, issuers[0]))
    return _with(written, await _at_origin(egress, _origin(url)))


def _with(written: AuthorizationServer, found: AuthorizationServer) -> AuthorizationServer:
    """What was found, with the endpoints that an administrator wrote in their place."""
    return replace(
        found,
        authorization=written.authorization or found.authorization,
        token=written.token or found.token,
        revocation=written.revocation or found.revocation,
        pkce=found.pkce or bool(written.authorization),
    )


def _refuse_another(auth: Auth, issuer: str, issuers: tuple[str, ...]) -> None:
    """A client that was registered at one authorization server is of no use, and no business, of another (A25)."""
    client = getattr(auth, "client", None)
    if client and client.id and issuers and not any(same_issuer(one, issuer) for one in issuers):
        raise Mistake(
            f"the server takes tokens of {', '.join(issuers[:3])}, and auth says issuer {issuer}: register a client "
            "there and write its issuer and client_id into auth, or write authorization_endpoint and token_endpoint too"
        )


async def _metadata(egress: Egress, issuer: str) -> AuthorizationServer:
    """The metadata of an issuer that is known."""
    what = f"the authorization server {shown(issuer)}"
    await _judge(egress, issuer, what)
    asked = metadata_urls(issuer)
    for place in asked:
        document = await _document(egress, place, f"the metadata of {what}")
        if document is not None:
            return read_metadata(document, issuer)
    raise Mistake(
        f"{what} has no metadata at {' or '.join(asked)}: write authorization_endpoint and token_endpoint into auth of "
        "the server"
    )


async def _at_origin(egress: Egress, origin: str) -> AuthorizationServer:
    """The authorization server that a server of 2025-03-26 is itself, by metadata or by the usual paths."""
    for place in metadata_urls(origin):
        document = await _document(egress, place, "the metadata of the server's own authorization server")
        if document is not None:
            return read_metadata(document, origin)
    return AuthorizationServer(
        issuer=origin,
        authorization=f"{origin}/authorize",
        token=f"{origin}/token",
        registration=f"{origin}/register",
        methods=("client_secret_post", "none"),
        pkce=True,  # that version of the protocol demands it
        named=False,
    )


async def _judge(egress: Egress, url: str, what: str) -> None:
    """Refuse what may not be asked, and say who can change that."""
    try:
        await egress.judge(url)
    except Unreachable as error:
        raise ProviderDown(f"Just now no address is known for {what}.") from error
    except NotFetched as error:
        help_ = ". If it is in a network of your own, write that into gateway.egress.allow" if error.inside else ""
        raise NotFetched(f"{what} may not be asked: {error}{help_}", error.inside) from None


async def _document(egress: Egress, place: str, what: str) -> Any:
    """The JSON at a URL; None where there is none.

    Raises:
        ProviderDown: nobody can say just now.
        NotFetched: it may not be asked for.
    """
    try:
        answer = await egress.get(place)
    except Unreachable as error:
        raise ProviderDown(f"{_capital(what)} cannot be read just now: {_host(place)} does not answer.") from error
    except NotFetched as error:
        if error.inside:
            raise
        return None
    if answer.status >= 500 or answer.status in PASSING:
        raise ProviderDown(f"{_capital(what)} cannot be read just now: {place} answers with status {answer.status}.")
    return _json(answer)


def _json(answer: Fetched) -> Any:
    if answer.status != 200:
        return None
    try:
        return answer.json()
    except NotFetched:
        return None  # many a site answers with a page of its own, whatever is asked


async def _check(egress: Egress, server: AuthorizationServer, auth: Auth) -> None:
    """Refuse what cannot be used, before a person is sent there."""
    person = isinstance(auth, AccountAuth)
    wanted = {"token_endpoint": server.token, **({"authorization_endpoint": server.authorization} if person else {})}
    for name, endpoint in wanted.items():
        if not endpoint:
            raise Mistake(f"the authorization server {server.issuer} names no {name}: write it into auth of the server")
    for endpoint in (*wanted.values(), server.registration, server.revocation):
        if urlsplit(endpoint).scheme.lower() == "http":  # good where the gateway may ask without TLS (oauth.md B6)
            await _judge(egress, endpoint, f"the endpoint {endpoint} of the authorization server")
    if person and not server.pkce:
        raise Mistake(
            f"the authorization server {server.issuer} does not say that it supports PKCE (S256), without which an "
            "account could be stolen on the way. If it does, write authorization_endpoint and token_endpoint into auth"
        )


def _scopes(
    auth: Auth, challenge: Challenge, said: ProtectedResource | None, server: AuthorizationServer
) -> tuple[str, ...]:
    """What to ask for (A26). What an administrator wrote is asked for as it is, and nothing beside."""
    if configured := getattr(auth, "scopes", ()):
        return tuple(configured)
    scopes = challenge.scopes or (said.scopes if said else ())
    offline = isinstance(auth, AccountAuth) and scopes and OFFLINE in server.scopes
    return tuple(dict.fromkeys([*scopes, *([OFFLINE] if offline else [])]))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if url else ""


def _host(url: str) -> str:
    return urlsplit(url).hostname or "it"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
