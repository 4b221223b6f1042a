"""From what `portkey.yaml` says about signing in to `trust.Trust`, and everything that is wrong with it. Pure."""

import ipaddress
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from portkey_mcp.model import label_problem
from portkey_mcp.registry import references
from portkey_mcp.registry.names import Problem, host_problem, slug_problem
from portkey_mcp.registry.trust_schema import (
    ClientPart,
    EgressPart,
    IssuerPart,
    JoinPart,
    OAuthPart,
    ProviderPart,
    SignInPart,
)
from portkey_mcp.settings import Network, is_loopback
from portkey_mcp.trust import DeclaredClient, Enterprise, Joining, Provider, Terms, Trust, TrustedIssuer

ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{1,40}")
DANGEROUS: Final = frozenset({"javascript", "data", "file", "vbscript", "blob", "about", "http", "https", "ws", "wss"})
"""Schemes that are no program's own: a browser would run or load what follows."""


def trust_of(sign_in: SignInPart, oauth: OAuthPart, issuers: Sequence[IssuerPart], egress: EgressPart) -> Trust:
    """All of it in the gateway's own words; references are as written, nothing is checked."""
    return Trust(
        password=sign_in.password,
        providers=tuple(_provider(part) for part in sign_in.providers),
        issuers=tuple(_issuer(part) for part in issuers),
        enterprises=tuple(Enterprise(part.issuer, part.jwks_url) for part in oauth.enterprise),
        clients=tuple(DeclaredClient(part.id, part.name, part.redirect_uris, part.secret) for part in oauth.clients),
        terms=Terms(
            access_seconds=oauth.access_token_minutes * 60,
            refresh_seconds=oauth.refresh_token_days * 86_400,
            registration=oauth.registration,
            documents=oauth.documents,
            document_domains=tuple(domain.lower() for domain in oauth.document_domains),
            native_schemes=tuple(scheme.lower() for scheme in oauth.native_schemes),
        ),
        networks=tuple(network for text in egress.allow if (network := _network(text)) is not None),
        client_metadata_url=oauth.client_metadata_url,
    )


def egress_problems(part: EgressPart) -> Iterator[Problem]:
    """Everything that is wrong with `egress`."""
    for index, text in enumerate(part.allow):
        if _network(text) is None:
            problem = f"{text!r} is no network; expected one like 10.0.0.0/8, 192.168.1.7 or fd00::/8"
            yield ("allow", index), problem


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def _provider(part: ProviderPart) -> Provider:
    return Provider(
        id=part.id,
        issuer=part.issuer,
        client_id=part.client_id,
        client_secret=part.client_secret,
        name=part.name or part.id.capitalize(),
        scopes=part.scopes,
        domains=tuple(domain.lower().lstrip("@") for domain in part.domains),
        groups_claim=part.groups_claim,
        create=part.create,
        join=tuple(Joining(one.workspace, one.role, one.groups, one.claimed) for one in part.join),
    )


def _issuer(part: IssuerPart) -> TrustedIssuer:
    introspects = part.check == "introspection"
    return TrustedIssuer(
        issuer=part.issuer,
        audience=part.audience,
        workspace=part.workspace,
        role=part.role,
        jwks_url="" if introspects else part.url,
        introspection_url=part.url if introspects else "",
        client_id=part.client_id,
        client_secret=part.client_secret,
        required=part.required,
        groups_claim=part.groups_claim,
        name_claim=part.name_claim,
    )


def sign_in_problems(part: SignInPart, workspaces: Collection[str]) -> Iterator[Problem]:
    """Everything that is wrong with `sign_in`; `workspaces` are those that the file declares."""
    seen: set[str] = set()
    for index, provider in enumerate(part.providers):
        loc = ("providers", index)
        if not ID.fullmatch(provider.id):
            yield (*loc, "id"), f"{provider.id!r} is no id; expected at most 31 lower-case letters, digits and dashes"
        if provider.id in seen:
            yield (*loc, "id"), f"another provider is called {provider.id!r}"
        seen.add(provider.id)
        if problem := url_problem(provider.issuer):
            yield (*loc, "issuer"), problem
        if "openid" not in provider.scopes:
            yield (*loc, "scopes"), "without the scope openid a provider does not say who somebody is"
        if problem := references.problem(provider.client_secret):
            yield (*loc, "client_secret"), problem
        for number, domain in enumerate(provider.domains):
            if problem := host_problem(domain.lower().lstrip("@")):
                yield (*loc, "domains", number), problem
        yield from (((*loc, "join", *at), what) for at, what in _join_problems(provider.join, workspaces))
    if not part.password and not part.providers:
        yield ("password",), "without passwords and without a provider nobody could sign in"


def _join_problems(parts: Sequence[JoinPart], workspaces: Collection[str]) -> Iterator[Problem]:
    for index, part in enumerate(parts):
        if part.workspace not in workspaces:
            problem = slug_problem(part.workspace) or f"this file has no workspace {part.workspace!r}"
            yield (index, "workspace"), problem
        for number, group in enumerate(part.groups):
            if problem := label_problem(group, "name of a group"):
                yield (index, "groups", number), problem


def oauth_problems(part: OAuthPart) -> Iterator[Problem]:
    """Everything that is wrong with `oauth`."""
    for index, scheme in enumerate(part.native_schemes):
        if not SCHEME.fullmatch(scheme.lower()) or scheme.lower() in DANGEROUS:
            yield ("native_schemes", index), f"{scheme!r} is no scheme of a program; expected one like cursor"
    for index, domain in enumerate(part.document_domains):
        if problem := host_problem(domain.lower()):
            yield ("document_domains", index), problem
    if part.client_metadata_url and (problem := url_problem(part.client_metadata_url)):
        yield ("client_metadata_url",), problem
    seen: set[str] = set()
    for index, client in enumerate(part.clients):
        yield from ((("clients", index, *at), what) for at, what in _client_problems(client))
        if client.id in seen:
            yield ("clients", index, "id"), f"another client is called {client.id!r}"
        seen.add(client.id)
    for index, enterprise in enumerate(part.enterprise):
        for field, url in (("issuer", enterprise.issuer), ("jwks_url", enterprise.jwks_url)):
            if url and (problem := url_problem(url)):
                yield ("enterprise", index, field), problem


def _client_problems(part: ClientPart) -> Iterator[Problem]:
    if not re.fullmatch(r"[\x21-\x7e]{3,200}", part.id) or part.id.startswith(("http:", "https:")):
        yield ("id",), f"{part.id!r} is no client id; expected 3 to 200 visible characters, and no URL"
    if problem := references.problem(part.secret):
        yield ("secret",), problem
    if not part.redirect_uris:
        yield ("redirect_uris",), "a client needs at least one redirect URI"


def issuer_problems(parts: Sequence[IssuerPart], workspaces: Collection[str]) -> Iterator[Problem]:
    """Everything that is wrong with `issuers`."""
    seen: set[str] = set()
    for index, part in enumerate(parts):
        if problem := url_problem(part.issuer):
            yield (index, "issuer"), problem
        if part.issuer in seen:
            yield (index, "issuer"), f"the issuer {part.issuer} is there twice; write it once"
        seen.add(part.issuer)
        if part.url and (problem := url_problem(part.url)):
            yield (index, "url"), problem
        if part.check == "introspection" and not (part.url and part.client_id):
            yield (index, "check"), "introspection needs url, client_id and client_secret"
        if not part.audience:
            yield (index, "audience"), "without an audience, tokens meant for others would be taken"
        if part.workspace not in workspaces:
            yield (index, "workspace"), f"this file has no workspace {part.workspace!r}"
        if problem := references.problem(part.client_secret):
            yield (index, "client_secret"), problem


def url_problem(url: str) -> str:
    """What is wrong with the URL of an identity provider: https, or http on this machine for trying things out."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("https", "http"):
        return f"{url!r} is no http(s) URL"
    if parts.scheme == "http" and not is_loopback(host):
        return f"{url!r} is not encrypted; expected https (http only on this machine)"
    if parts.username is not None or parts.fragment:
        return f"{url!r} has a user name or a fragment; remove it"
    return ""
