"""The shape of what `portkey.yaml` says about signing in: `sign_in`, `oauth`, `issuers` and `egress` below `gateway`.

Also the source of their part of the JSON Schema. What the values may be is `trusting.py`'s.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from portkey_mcp.model import Role

Texts = dict[StrictStr, StrictStr]
Names = tuple[StrictStr, ...]


class TrustPart(BaseModel):
    """Frozen, and without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class JoinPart(TrustPart):
    """What whoever signs in becomes, if the provider says that they are in one of `claimed`."""

    workspace: StrictStr
    role: Role = "member"
    groups: Names = ()
    claimed: Names = ()


class ProviderPart(TrustPart):
    """An OpenID Connect provider. `client_secret` is best a reference."""

    id: StrictStr
    issuer: StrictStr
    client_id: StrictStr
    client_secret: StrictStr = ""
    name: StrictStr = ""
    scopes: Names = ("openid", "email", "profile")
    domains: Names = ()
    groups_claim: StrictStr = "groups"
    create: StrictBool = True
    join: tuple[JoinPart, ...] = ()


class SignInPart(TrustPart):
    """How people sign in."""

    password: StrictBool = True
    providers: tuple[ProviderPart, ...] = ()


class ClientPart(TrustPart):
    """An OAuth client registered beforehand."""

    id: StrictStr
    name: StrictStr
    redirect_uris: Names
    secret: StrictStr = ""


class EnterprisePart(TrustPart):
    """An identity provider whose ID-JAG assertions are exchanged."""

    issuer: StrictStr
    jwks_url: StrictStr = ""


class OAuthPart(TrustPart):
    """How the OAuth server works for MCP clients."""

    access_token_minutes: Annotated[StrictInt, Field(ge=1, le=7 * 1440)] = 480
    refresh_token_days: Annotated[StrictInt, Field(ge=1, le=730)] = 90
    registration: StrictBool = True
    documents: StrictBool = True
    document_domains: Names = ()
    native_schemes: Names = ()
    clients: tuple[ClientPart, ...] = ()
    enterprise: tuple[EnterprisePart, ...] = ()
    client_metadata_url: StrictStr = ""
    """Where the gateway's own client-ID metadata document is; empty: below the public URL, when that is https."""


class EgressPart(TrustPart):
    """Where URLs that came from outside may lead besides public addresses: networks, like 10.0.0.0/8."""

    allow: Names = ()


class IssuerPart(TrustPart):
    """An issuer whose tokens machine clients bring themselves."""

    issuer: StrictStr
    audience: StrictStr
    workspace: StrictStr
    role: Role = "member"
    check: Literal["jwks", "introspection"] = "jwks"
    url: StrictStr = ""
    """Where the keys are, or where to ask; empty for `jwks`: where the issuer's metadata says."""
    client_id: StrictStr = ""
    client_secret: StrictStr = ""
    required: Texts = {}
    groups_claim: StrictStr = ""
    name_claim: StrictStr = ""
