"""What a client is told that may not enter: where it can sign in, and for what.

Pure. RFC 6750 section 3, RFC 9728 section 5.1. Without a credential there is no error code, and `offline_access` is
never asked for here (oauth.md A5).
"""

from typing import Final

from portkey_mcp.errors import Forbidden, Refusal, ScopeNeeded, Unauthenticated
from portkey_mcp.trust import SCOPES

BARE: Final = "Bearer"
"""Where nothing speaks of OAuth: a credential is asked for, and nothing is said of how to get one."""


def challenge(refusal: Refusal, metadata: str) -> str:
    """The `WWW-Authenticate` of a refusal; empty where signing in would not help.

    `metadata` is the URL of the endpoint's metadata document; empty where nothing speaks of OAuth.
    """
    if isinstance(refusal, Unauthenticated):
        if not metadata:
            return BARE
        error = {"error": "invalid_token", "error_description": _quotable(str(refusal))} if refusal.offered else {}
        return _bearer({**error, "scope": " ".join(SCOPES), "resource_metadata": metadata})
    if isinstance(refusal, ScopeNeeded) and metadata:
        error = {"error": "insufficient_scope", "error_description": _quotable(str(refusal))}
        return _bearer({**error, "scope": " ".join(refusal.scopes), "resource_metadata": metadata})
    return ""


def is_challenged(refusal: Refusal) -> bool:
    """Whether a refusal may carry a challenge."""
    return isinstance(refusal, Unauthenticated | Forbidden)


def _bearer(parameters: dict[str, str]) -> str:
    return f"{BARE} " + ", ".join(f'{name}="{value}"' for name, value in parameters.items())


def _quotable(text: str) -> str:
    """Text as a quoted string may hold it (RFC 6750, section 3: printable ASCII without quotes and backslashes)."""
    return "".join(character if " " <= character <= "~" and character not in '"\\' else "'" for character in text)
