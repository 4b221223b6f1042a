"""Whom the gateway trusts to say who somebody is, and on what terms: frozen values, with no behaviour.

All of it stands in `portkey.yaml` under `gateway:` and is taken over anew whenever that changes. Secrets are resolved
and never shown.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from portkey_mcp.model import Role

MCP_READ: Final = "mcp:read"
"""See what there is, and read: lists, resources, prompts, completions."""
MCP_CALL: Final = "mcp:call"
"""Call tools, too. Includes `mcp:read`."""
SCOPES: Final = (MCP_READ, MCP_CALL)
"""From the one that allows least. What a person may do decides first; a scope only ever takes away from that."""


@dataclass(frozen=True, slots=True)
class Joining:
    """What a person becomes who signs in by a provider: `role` in `workspace`, in these `groups` of it.

    `claimed` are groups of the provider's of which they need one; empty: everybody.
    """

    workspace: str
    role: Role = "member"
    groups: tuple[str, ...] = ()
    claimed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenID Connect provider that people sign in with. `id` is a slug and part of the callback's URL.

    `domains` are those of the e-mail addresses that are let in; empty: all. `create` says whether whoever is unknown
    gets an account. `join` says what they become in which workspace, each time they sign in.
    """

    id: str
    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    name: str = ""
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    domains: tuple[str, ...] = ()
    groups_claim: str = "groups"
    create: bool = True
    join: tuple[Joining, ...] = ()


@dataclass(frozen=True, slots=True)
class ProviderTokens:
    """What a provider gave when a person signed in by it, for servers that take it as a proof of who they are.

    `subject` is who they are there, `expires` when the ID token ends. `refresh` gets another one; empty: none came.
    """

    subject: str
    expires: datetime
    id_token: str = field(repr=False)
    refresh: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An issuer whose tokens machine clients bring themselves, as service accounts of one workspace.

    Exactly one way to check them: `jwks_url` (signed JWTs; empty with no `introspection_url`: the issuer's metadata
    names it) or `introspection_url` (RFC 7662), asked with `client_id` and `client_secret`. `audience` is what must be
    in `aud`; `required` are further claims and the values they must have.
    """

    issuer: str
    audience: str
    workspace: str
    role: Role = "member"
    jwks_url: str = ""
    introspection_url: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    required: Mapping[str, str] = field(default_factory=dict)
    groups_claim: str = ""
    name_claim: str = ""


@dataclass(frozen=True, slots=True)
class Enterprise:
    """An identity provider whose ID-JAG assertions are exchanged for tokens (SEP-990).

    People are found by the `email` claim; `jwks_url` empty: the issuer's metadata names it.
    """

    issuer: str
    jwks_url: str = ""


@dataclass(frozen=True, slots=True)
class DeclaredClient:
    """An OAuth client registered beforehand. Without a `secret` it is a public one."""

    id: str
    name: str
    redirect_uris: tuple[str, ...]
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Terms:
    """How the OAuth server works. Times in seconds."""

    access_seconds: int = 8 * 3600
    refresh_seconds: int = 90 * 86_400
    """From the last refresh."""
    registration: bool = True
    """Whether clients may register themselves (RFC 7591)."""
    documents: bool = True
    """Whether a client may be known by the URL of its metadata document."""
    document_domains: tuple[str, ...] = ()
    """Hosts whose documents are taken; empty: all."""
    native_schemes: tuple[str, ...] = ()
    """URI schemes of programs that redirects may lead to, like `cursor`."""


@dataclass(frozen=True, slots=True)
class Trust:
    """All of it."""

    password: bool = True
    """Whether people sign in with e-mail address and password."""
    providers: tuple[Provider, ...] = ()
    issuers: tuple[TrustedIssuer, ...] = ()
    enterprises: tuple[Enterprise, ...] = ()
    clients: tuple[DeclaredClient, ...] = ()
    terms: Terms = Terms()
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    """Where URLs from outside may lead besides public addresses, and without TLS: an administrator's own networks."""
    client_metadata_url: str = ""
    """The gateway's own client-ID metadata document, where that is elsewhere than below the public URL."""
