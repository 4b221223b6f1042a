"""From `auth:` of a server to `proof.Auth`, and everything that is wrong with it. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, get_args

from portkey_mcp.proof import (
    AccountAuth,
    Auth,
    Authority,
    EnterpriseAuth,
    ExchangeAuth,
    IdentityAuth,
    MachineAuth,
    OAuthClient,
    OwnHeadersAuth,
    WorkloadAuth,
)
from portkey_mcp.registry import references
from portkey_mcp.registry.auth_schema import Kind, ServerAuth
from portkey_mcp.registry.names import HEADER_NAME, OWN_HEADERS, Problem
from portkey_mcp.registry.trusting import url_problem

Loc = tuple[str | int, ...]

_CLIENT: Final = ("client_id", "client_secret", "private_key", "signing_algorithm", "token_endpoint_auth_method")
_AUTHORITY: Final = ("issuer", "token_endpoint")
_KEYS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "none": (),
    "headers": ("headers", "ask", "sharing"),
    "oauth": (
        *(*_CLIENT, *_AUTHORITY, "authorization_endpoint", "revocation_endpoint"),
        *("sharing", "scopes", "authorize_params", "send_resource"),
    ),
    "client_credentials": (*_CLIENT, *_AUTHORITY, "scopes", "send_resource"),
    "workload_identity": (*_CLIENT, *_AUTHORITY, "token", "scopes", "send_resource"),
    "token_exchange": (*_CLIENT, *_AUTHORITY, "scopes", "send_resource", "audience", "subject"),
    "enterprise": (*_CLIENT, *_AUTHORITY, "scopes", "provider"),
    "identity": ("claims", "token_header", "audience"),
}
"""Which keys mean something for which kind."""

_NEEDED: Final[Mapping[Kind, tuple[str, ...]]] = {
    "headers": ("headers",),
    "client_credentials": ("client_id",),
    "workload_identity": ("token",),
    "token_exchange": ("client_id",),
    "enterprise": ("provider", "client_id"),
}

OWN_PARAMETERS: Final = frozenset(
    [
        *("client_id", "client_secret", "redirect_uri", "response_type", "response_mode", "state", "nonce", "resource"),
        *("scope", "code_challenge", "code_challenge_method", "request", "request_uri", "registration", "dpop_jkt"),
    ]
)
"""Parameters of an authorization request that the gateway sets itself: nobody overrides what makes it safe."""

CLAIMS: Final = ("id", "name", "email", "groups", "role", "workspace", "all")
"""What a server can be told of who calls."""


def auth_of(part: ServerAuth | None) -> Auth | None:
    """What a part declares; None for headers that are everybody's, which are the server's own. Nothing is checked."""
    if part is None:
        return None
    client = OAuthClient(
        part.client_id,
        part.client_secret,
        part.private_key,
        part.signing_algorithm or OAuthClient().algorithm,
        part.token_endpoint_auth_method,
    )
    authority = Authority(part.issuer, part.authorization_endpoint, part.token_endpoint, part.revocation_endpoint)
    sharing, sends = part.sharing or "per-user", part.send_resource
    match part.type:
        case "oauth":
            return AccountAuth(sharing, client, authority, part.scopes, part.authorize_params, sends)
        case "client_credentials":
            return MachineAuth(client, authority, part.scopes, sends)
        case "workload_identity":
            return WorkloadAuth(part.token, client, authority, part.scopes, sends)
        case "token_exchange":
            return ExchangeAuth(client, authority, part.scopes, part.audience, part.subject or "identity", sends)
        case "enterprise":
            return EnterpriseAuth(part.provider, client, authority, part.scopes)
        case "identity":
            return IdentityAuth(part.claims, part.token_header, part.audience)
        case "headers" if is_asked(part.headers):
            return OwnHeadersAuth(part.headers, part.ask, sharing)
        case _:
            return None


def is_asked(headers: Mapping[str, str]) -> bool:
    """Whether people are to enter something of these headers."""
    return any(name for value in headers.values() for name in references.asked(value))


def auth_problems(part: ServerAuth) -> Iterator[Problem]:
    """Everything that is wrong with `auth`, but for its texts, which `checks.server_problems` looks at."""
    said = part.model_fields_set - {"type"}
    for key in sorted(said - set(_KEYS[part.type])):
        yield (key,), f"auth type {part.type} has no {key}"
    for key in _NEEDED.get(part.type, ()):
        if not getattr(part, key):
            hint = ", like {X-Api-Key: '${env:KEY}'}" if key == "headers" else ""
            yield (), f"auth type {part.type} needs {key}{hint}"
    yield from _asked_problems(part)
    if part.client_secret and part.private_key:
        yield ("private_key",), "a client has a client_secret or a private_key, not both"
    if (part.client_secret or part.private_key) and not part.client_id:
        yield ("client_id",), "a client with a secret or a key needs its client_id"
    if part.type == "client_credentials" and not (part.client_secret or part.private_key):
        yield (), "auth type client_credentials needs client_secret or private_key"
    for key in ("issuer", "authorization_endpoint", "token_endpoint", "revocation_endpoint"):
        if (url := getattr(part, key)) and (problem := url_problem(url)):
            yield (key,), problem
    for name in part.authorize_params:
        if name.lower() in OWN_PARAMETERS:
            yield ("authorize_params", name), f"the gateway sets the parameter {name} itself"
    if part.type == "identity":
        yield from _identity_problems(part)


def _asked_problems(part: ServerAuth) -> Iterator[Problem]:
    names = {name for value in part.headers.values() for name in references.asked(value)}
    for name in part.ask:
        if name not in names:
            yield ("ask", name), f"no header holds ${{person:{name}}}"
    if part.type == "headers" and part.sharing and not names:
        yield ("sharing",), "nobody enters anything of these headers; write ${person:NAME} where they shall"


def _identity_problems(part: ServerAuth) -> Iterator[Problem]:
    if not part.claims and not part.token_header:
        yield (), "auth type identity needs claims, like {X-User-Email: email}, or a token_header"
    for header in (*part.claims, *([part.token_header] if part.token_header else [])):
        if not HEADER_NAME.fullmatch(header) or header.lower() in OWN_HEADERS:
            yield (), f"{header!r} is no header that a server can be told something in"
    for header, claim in part.claims.items():
        if claim not in CLAIMS:
            yield ("claims", header), f"unknown claim {claim!r}; expected {', '.join(CLAIMS)}"
    if part.token_header and not part.audience:
        yield ("audience",), "a token needs an audience, or another server could use it"


_YAML: Final = {"client": "client_", "authority": ""}
_NAMES: Final = {"client_private_key": "private_key", "client_algorithm": "signing_algorithm", "client_method": ""}


def auth_texts(auth: Auth | None) -> Iterator[tuple[Loc, str]]:
    """Every text of an `auth` that may hold references, with the path of its key in the file."""
    if auth is not None:
        yield from _texts(auth, ("auth",))


def _texts(value: Any, loc: Loc, prefix: str = "") -> Iterator[tuple[Loc, str]]:
    for field in fields(value):
        inner, key = getattr(value, field.name), _NAMES.get(prefix + field.name, prefix + field.name)
        if field.name in ("type", "sharing", "subject", "ask", "claims") or not key:
            continue
        if is_dataclass(inner):
            yield from _texts(inner, loc, _YAML[field.name])
        elif isinstance(inner, str):
            yield (*loc, key), inner
        elif isinstance(inner, Mapping):
            yield from (((*loc, key, name), text) for name, text in inner.items())


def with_texts(auth: Auth, found: Mapping[Loc, str]) -> Auth:
    """The same with other texts, by the paths that `auth_texts` gives."""
    changed: Auth = _with(auth, ("auth",), found)
    return changed


def _with(value: Any, loc: Loc, found: Mapping[Loc, str], prefix: str = "") -> Any:
    said: dict[str, Any] = {}
    for field in fields(value):
        inner, key = getattr(value, field.name), _NAMES.get(prefix + field.name, prefix + field.name)
        if is_dataclass(inner):
            said[field.name] = _with(inner, loc, found, _YAML[field.name])
        elif isinstance(inner, Mapping):
            said[field.name] = {name: found.get((*loc, key, name), text) for name, text in inner.items()}
        elif isinstance(inner, str) and (*loc, key) in found:
            said[field.name] = found[(*loc, key)]
    return replace(value, **said)


KINDS: Final[Mapping[str, type[Auth]]] = {kind.__dataclass_fields__["type"].default: kind for kind in get_args(Auth)}
