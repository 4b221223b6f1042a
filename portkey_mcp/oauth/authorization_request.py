"""What a client asks for at the authorization endpoint, read and checked. Pure.

Two ways to fail: `OAuthRefusal` goes back to the client at its redirect URI (RFC 6749, section 4.1.2.1); `Untrusted` is
told to the person, since the redirect URI itself cannot be trusted.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from portkey_mcp.addresses import Addresses, Place
from portkey_mcp.errors import Refusal
from portkey_mcp.oauth.client import Client
from portkey_mcp.oauth.metadata import OFFLINE
from portkey_mcp.oauth.refusal import OAuthRefusal
from portkey_mcp.trust import MCP_CALL, MCP_READ, SCOPES

CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
"""Base64url of a SHA-256 (RFC 7636, section 4.2)."""

LONGEST_STATE: Final = 2048
MOST_PARAMETERS: Final = 40

REPEATABLE: Final = frozenset({"resource"})
"""The one parameter that may come several times (RFC 8707, section 2)."""

Parameters = Mapping[str, Sequence[str]]


class Untrusted(Refusal):
    """The client or its redirect URI is not known: nobody is sent anywhere, and the person is told why."""


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """An authorization request that can be granted. `place` is None where the client named no resource."""

    client: Client
    redirect_uri: str
    state: str | None
    challenge: str
    scopes: tuple[str, ...]
    place: Place | None
    resource: str
    prompt: frozenset[str]


def parameters(query: str) -> Parameters:
    """A query or a form, every value of each name; empty values count as absent (RFC 6749, section 3.1).

    Raises:
        OAuthRefusal: there are too many, or they are no text.
    """
    try:
        found = parse_qsl(query, keep_blank_values=True, max_num_fields=MOST_PARAMETERS, errors="strict")
    except ValueError:
        raise OAuthRefusal("invalid_request", "the parameters cannot be read, or are too many") from None
    read: dict[str, list[str]] = {}
    for name, value in found:
        if value:
            read.setdefault(name, []).append(value)
    return read


def one(given: Parameters, name: str) -> str | None:
    """The value of a parameter; None where it was not given.

    Raises:
        OAuthRefusal: it came more than once (RFC 6749, section 3.1).
    """
    values = given.get(name, ())
    if len(values) > 1:
        raise OAuthRefusal("invalid_request", f"the parameter {name} came more than once")
    return values[0] if values else None


def needed(given: Parameters, name: str) -> str:
    """The value of a parameter that must be there.

    Raises:
        OAuthRefusal: it is not, or it came more than once.
    """
    value = one(given, name)
    if value is None:
        raise OAuthRefusal("invalid_request", f"the parameter {name} is missing")
    return value


def redirect_of(client: Client, given: Parameters) -> str:
    """Where the answer goes.

    Raises:
        Untrusted: it is not a place that this client registered.
    """
    try:
        asked = one(given, "redirect_uri")
    except OAuthRefusal as twice:
        raise Untrusted(f"The app asked in a way that cannot be trusted: {twice}.") from None
    if asked is None and len(client.redirect_uris) == 1:
        asked = client.redirect_uris[0]
    if asked is None:
        raise Untrusted("The app did not say where to send you back to (redirect_uri is missing).")
    if not client.may_redirect_to(asked):
        raise Untrusted(
            f"The app wants you sent back to {asked[:200]}, which it did not register. Nothing was sent there."
        )
    return asked


def asked_of(
    client: Client, redirect_uri: str, given: Parameters, addresses: Addresses, aliases: Mapping[str, str]
) -> AuthorizationRequest:
    """What is asked for.

    Raises:
        OAuthRefusal: it cannot be granted, whoever agrees.
    """
    for name in given:
        if name not in REPEATABLE:
            one(given, name)
    for name in ("request", "request_uri", "registration"):
        if name in given:
            raise OAuthRefusal(f"{name}_not_supported", f"the parameter {name} is not supported")
    if needed(given, "response_type") != "code":
        raise OAuthRefusal("unsupported_response_type", "the only response_type is code")
    if (one(given, "response_mode") or "query") != "query":
        raise OAuthRefusal("invalid_request", "the only response_mode is query")
    state = one(given, "state")
    if state is not None and len(state) > LONGEST_STATE:
        raise OAuthRefusal("invalid_request", f"the state has more than {LONGEST_STATE} characters")
    place, resource = place_asked(given, addresses, aliases)
    return AuthorizationRequest(
        client=client,
        redirect_uri=redirect_uri,
        state=state,
        challenge=_challenge(given),
        scopes=scopes_of(one(given, "scope")),
        place=place,
        resource=resource,
        prompt=frozenset((one(given, "prompt") or "").split()),
    )


def _challenge(given: Parameters) -> str:
    challenge = one(given, "code_challenge")
    if challenge is None:
        raise OAuthRefusal("invalid_request", "code_challenge is missing: PKCE is required (RFC 7636)")
    if one(given, "code_challenge_method") != "S256":
        raise OAuthRefusal("invalid_request", "code_challenge_method must be S256")
    if not CHALLENGE.fullmatch(challenge):
        raise OAuthRefusal("invalid_request", "code_challenge is not the base64url of a SHA-256")
    return challenge


def place_asked(given: Parameters, addresses: Addresses, aliases: Mapping[str, str]) -> tuple[Place | None, str]:
    """The endpoint that the resource means, and the resource; None where none was named (oauth.md K8, 9.2).

    Raises:
        OAuthRefusal: it is none of this gateway's, or there are several that differ (RFC 8707, section 2).
    """
    resources = given.get("resource", ())
    places = {addresses.place(resource, aliases) for resource in resources}
    if not places:
        return None, ""
    place = places.pop()
    if places:
        raise OAuthRefusal("invalid_target", "one token is for one resource; ask for each of them")
    if place is None:
        raise OAuthRefusal("invalid_target", "the resource is not an MCP endpoint of this gateway")
    return place, resources[0]


def scopes_of(text: str | None) -> tuple[str, ...]:
    """The scopes asked for, as far as they are known; all there are where none was named.

    `offline_access` changes nothing, and is granted so that what is granted is what was asked for.

    Raises:
        OAuthRefusal: none of them is known.
    """
    if text is None or not text.split():
        return SCOPES
    asked = dict.fromkeys(text.split())
    found = tuple(scope for scope in asked if scope in SCOPES or scope == OFFLINE)
    if not found:
        known = " ".join(SCOPES)
        raise OAuthRefusal("invalid_scope", f"none of the scopes is known here; known are: {known} {OFFLINE}")
    if found == (OFFLINE,):
        return (*SCOPES, OFFLINE)
    return found


def allows(granted: Sequence[str], scope: str) -> bool:
    """Whether scopes allow something, with what they include."""
    return scope in granted or (scope == MCP_READ and MCP_CALL in granted)
