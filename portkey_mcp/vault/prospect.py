"""Where connecting an account leads, and the request with which a person is sent there. Pure."""

import base64
import hashlib
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from portkey_mcp.model import McpServer
from portkey_mcp.proof import AccountAuth
from portkey_mcp.vault.answering import host_of
from portkey_mcp.vault.connection import Connection
from portkey_mcp.vault.discovery import Found
from portkey_mcp.vault.flows import Flow


@dataclass(frozen=True, slots=True)
class Prospect:
    """Where connecting would lead, for a person to look at first. `scopes` are all that would be asked for."""

    server: McpServer
    url: str
    auth: AccountAuth
    found: Found
    scopes: tuple[str, ...]

    @property
    def host(self) -> str:
        """Where the person would be sent."""
        return host_of(self.found.server.authorization)

    @property
    def digest(self) -> str:
        """Of all that the person agrees to: another one, another way."""
        said = [self.found.server.issuer, self.found.server.authorization, *self.scopes]
        return hashlib.sha256("\n".join(said).encode()).hexdigest()[:32]


def scopes_to_ask(found: Found, connection: Connection | None) -> tuple[str, ...]:
    """What to ask for: where the server asked for more, that beside all that the account has (A26, step-up)."""
    if connection is None or not connection.wanted:
        return found.scopes
    return tuple(dict.fromkeys((*connection.credential.scopes, *found.scopes, *connection.wanted)))


def authorization_url(endpoint: str, auth: AccountAuth, flow: Flow, state: str) -> str:
    """The authorization request (RFC 6749, 4.1.1; RFC 7636; RFC 8707).

    Neither the endpoint's own query nor what an admin adds ever takes the place of what makes the request safe.
    """
    challenge = base64.urlsafe_b64encode(hashlib.sha256(flow.verifier.encode()).digest()).rstrip(b"=").decode()
    own = {
        "response_type": "code",
        "client_id": flow.client.id,
        "redirect_uri": flow.redirect_uri,
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        **({"scope": " ".join(flow.scopes)} if flow.scopes else {}),
        **({"resource": flow.resource} if flow.resource else {}),
    }
    base, _, query = endpoint.partition("?")
    taken = {*own, "scope", "resource", "response_mode", "request", "request_uri"}
    rest = [*parse_qsl(query, keep_blank_values=True), *auth.authorize_params.items()]
    kept = [(name, value) for name, value in rest if name.lower() not in taken]
    return f"{base}?{urlencode([*kept, *own.items()])}"
