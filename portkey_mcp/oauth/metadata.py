"""What the gateway says of itself as OAuth server and as protected resource. Pure.

The issuer is the same string everywhere: clients compare it byte for byte (RFC 8414 section 3.3; oauth.md A11, K4).
"""

from collections.abc import Sequence
from typing import Any, Final

from portkey_mcp.trust import SCOPES, Trust

JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ID_JAG: Final = "urn:ietf:params:oauth:grant-profile:id-jag"

OFFLINE: Final = "offline_access"
"""Clients that find it here ask for it, and then expect refresh tokens; they get some in any case (oauth.md K9)."""

AUTH_METHODS: Final = ("none", "client_secret_post", "client_secret_basic")


def server_metadata(issuer: str, trust: Trust) -> dict[str, Any]:
    """The metadata of the authorization server (RFC 8414, section 2)."""
    terms = trust.terms
    grants = ["authorization_code", "refresh_token", *([JWT_BEARER] if trust.enterprises else [])]
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        **({"registration_endpoint": f"{issuer}/register"} if terms.registration else {}),
        "revocation_endpoint": f"{issuer}/revoke",
        "introspection_endpoint": f"{issuer}/introspect",
        "scopes_supported": [*SCOPES, OFFLINE],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": grants,
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "revocation_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "introspection_endpoint_auth_methods_supported": list(AUTH_METHODS[1:]),
        "client_id_metadata_document_supported": terms.documents,
        "authorization_response_iss_parameter_supported": True,
        **({"authorization_grant_profiles_supported": [ID_JAG]} if trust.enterprises else {}),
    }


def openid_metadata(issuer: str, trust: Trust) -> dict[str, Any]:
    """The same, where clients look for an OpenID provider (OpenID Connect Discovery, section 3).

    The gateway issues no id tokens; what is said of them is what the discovery document must have, so that clients
    that insist on its form read on. The key set is empty.
    """
    return {
        **server_metadata(issuer, trust),
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }


def resource_metadata(resource: str, issuer: str, scopes: Sequence[str] = SCOPES) -> dict[str, Any]:
    """The metadata of one endpoint (RFC 9728, section 2). `resource` is the URL as the client has it.

    Tells nothing of what is registered: it is the same for an endpoint that does not exist.
    """
    return {
        "resource": resource,
        "authorization_servers": [issuer],
        "scopes_supported": list(scopes),
        "bearer_methods_supported": ["header"],
    }
