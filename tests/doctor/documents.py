"""Metadata documents of the tests, and what judging one gives."""

import json
from typing import Any

from hypothesis import strategies as st

from portkey_mcp.doctor.answer import Answer

ISSUER = "https://mcp.example.com"
PRM = {"resource": f"{ISSUER}/mcp", "authorization_servers": [ISSUER], "scopes_supported": ["x"]}
METADATA: dict[str, Any] = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "registration_endpoint": f"{ISSUER}/register",
    "response_types_supported": ["code"],
    "grant_types_supported": ["authorization_code", "refresh_token"],
    "code_challenge_methods_supported": ["S256"],
    "token_endpoint_auth_methods_supported": ["none"],
    "client_id_metadata_document_supported": True,
    "authorization_response_iss_parameter_supported": True,
    "scopes_supported": ["x", "offline_access"],
}


def answered(document: Any, *, status: int = 200, url: str = "https://mcp.example.com/d", **headers: str) -> Answer:
    """A JSON answer that holds it; headers are named with `_` for `-`."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(url, status, {"content-type": "application/json", **given}, json.dumps(document).encode())


def changed(document: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A copy with other members; None takes one out."""
    return {name: value for name, value in {**document, **members}.items() if value is not None}


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from([ISSUER, "https://[", "code"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
"""What a member can be where nobody keeps to any rule."""
