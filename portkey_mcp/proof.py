"""How the gateway proves itself to a server: what `auth:` of a server says, as frozen values. Pure.

Every text may hold references (`${env:…}`, `${file:…}`, `${secret:…}`), which are resolved when the value is needed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Sharing = Literal["per-user", "workspace"]
"""Whether each person connects an account of their own, or one of them connects it for the whole workspace."""

ClientMethod = Literal["auto", "none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
"""How a client proves itself at the token endpoint (RFC 7591, section 2; RFC 7523); `auto`: as the server supports."""


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """The client that the gateway is at an authorization server. Without an id it is found or registered there.

    `private_key` is a PEM key, with which assertions are signed by `algorithm` (RFC 7523).
    """

    id: str = ""
    secret: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    algorithm: str = "ES256"
    method: ClientMethod = "auto"


@dataclass(frozen=True, slots=True)
class Authority:
    """The authorization server, for servers whose own metadata does not name it. What is empty is discovered."""

    issuer: str = ""
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    revocation_endpoint: str = ""


@dataclass(frozen=True, slots=True)
class AccountAuth:
    """An account that a person connects in the browser: OAuth's authorization code flow.

    `scopes` empty: those that the server asks for. `authorize_params` are further parameters of the authorization
    request, as some providers want them. `send_resource` false leaves out `resource` (RFC 8707), for authorization
    servers that refuse what they do not know.
    """

    sharing: Sharing = "per-user"
    client: OAuthClient = OAuthClient()
    authority: Authority = Authority()
    scopes: tuple[str, ...] = ()
    authorize_params: Mapping[str, str] = field(default_factory=dict)
    send_resource: bool = True
    type: Literal["oauth"] = "oauth"


@dataclass(frozen=True, slots=True)
class MachineAuth:
    """The gateway's own account: OAuth's client credentials, by a secret or a signed assertion."""

    client: OAuthClient = OAuthClient()
    authority: Authority = Authority()
    scopes: tuple[str, ...] = ()
    send_resource: bool = True
    type: Literal["client_credentials"] = "client_credentials"


@dataclass(frozen=True, slots=True)
class WorkloadAuth:
    """The gateway's own account, by a JWT that its platform issues to it (RFC 7523, section 2.1; SEP-1933).

    `token` is mostly a reference to a file, read anew for each request.
    """

    token: str = field(default="", repr=False)
    client: OAuthClient = OAuthClient()
    authority: Authority = Authority()
    scopes: tuple[str, ...] = ()
    send_resource: bool = True
    type: Literal["workload_identity"] = "workload_identity"


@dataclass(frozen=True, slots=True)
class ExchangeAuth:
    """A token per person, exchanged for what says who they are (RFC 8693).

    `subject` is what is exchanged: a JWT of the gateway's own about the person (`identity`), or the ID token of their
    single sign-on (`sign_in`). `audience` is that of the exchange, where the authorization server wants one.
    """

    client: OAuthClient = OAuthClient()
    authority: Authority = Authority()
    scopes: tuple[str, ...] = ()
    audience: str = ""
    subject: Literal["identity", "sign_in"] = "identity"
    send_resource: bool = True
    type: Literal["token_exchange"] = "token_exchange"


@dataclass(frozen=True, slots=True)
class EnterpriseAuth:
    """A token per person by their company's identity provider: enterprise-managed authorization (SEP-990, ID-JAG).

    `provider` is the id of the provider in `gateway.sign_in` by which the person signed in; its client there is the one
    whose ID token is exchanged. `client` is the one at the server's own authorization server.
    """

    provider: str = ""
    client: OAuthClient = OAuthClient()
    authority: Authority = Authority()
    scopes: tuple[str, ...] = ()
    type: Literal["enterprise"] = "enterprise"


@dataclass(frozen=True, slots=True)
class IdentityAuth:
    """Who calls is told to the server, which trusts the gateway.

    `claims` maps headers to what they say: `id`, `name`, `email`, `groups`, `role`, `workspace`, or `all` as JSON.
    `token_header` is the header of a JWT that says the same, signed with a key in the gateway's JWKS, for `audience`.
    """

    claims: Mapping[str, str] = field(default_factory=dict)
    token_header: str = ""
    audience: str = ""
    type: Literal["identity"] = "identity"


@dataclass(frozen=True, slots=True)
class OwnHeadersAuth:
    """Headers whose values each person enters once, like an API key of their own.

    Values of `headers` hold `${person:NAME}`; `ask` says in words what a person is to enter for a name.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    ask: Mapping[str, str] = field(default_factory=dict)
    sharing: Sharing = "per-user"
    type: Literal["headers"] = "headers"


Auth = AccountAuth | MachineAuth | WorkloadAuth | ExchangeAuth | EnterpriseAuth | IdentityAuth | OwnHeadersAuth

CONNECTED: Final = (AccountAuth, OwnHeadersAuth)
"""Kinds for which somebody connects an account on a page."""


def subject_of(auth: Auth, principal: str) -> str:
    """Whose a credential is: the principal's id, or empty where all of the workspace share one."""
    if isinstance(auth, (MachineAuth, WorkloadAuth)):
        return ""
    shared = isinstance(auth, CONNECTED) and auth.sharing == "workspace"
    return "" if shared else principal
