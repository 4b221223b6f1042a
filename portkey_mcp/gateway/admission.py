"""Who is it, may they enter here, and for this? Asked in this order, of every request to an endpoint."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from portkey_mcp.addresses import Place
from portkey_mcp.errors import NotFound, ScopeNeeded, Unauthenticated
from portkey_mcp.model import Endpoint, Principal, Visit
from portkey_mcp.trust import MCP_CALL, MCP_READ, SCOPES

Authenticate = Callable[[Mapping[str, str]], Awaitable[Principal]]
"""Says who sent these headers; raises Unauthenticated. `identity` has it, or a fixed answer under `auth: none`."""

READING: Final = frozenset(
    [
        *("initialize", "ping", "server/discover", "logging/setLevel", "completion/complete"),
        *("tools/list", "prompts/list", "prompts/get", "resources/list", "resources/templates/list", "resources/read"),
        *("resources/subscribe", "resources/unsubscribe", "subscriptions/listen"),
        *("tasks/get", "tasks/list", "tasks/result"),
    ]
)
"""Methods for which `mcp:read` is enough. Whatever else there is, or will be, may act, and takes `mcp:call`."""

ELSEWHERE: Final = "This access token was issued for another MCP endpoint. Sign in for this one."


class Admission:
    """Grants a Visit or refuses. A security decision, and it fails closed: who is not known does not enter."""

    def __init__(self, authenticate: Authenticate) -> None:
        self._authenticate = authenticate

    def admit(self, headers: Mapping[str, str]) -> Awaitable[Principal]:
        """Say who this is.

        Raises:
            Unauthenticated: nobody the gateway knows.
        """
        return self._authenticate(headers)

    def enter(self, principal: Principal, endpoint: Endpoint | None, place: Place, address: str = "") -> Visit:
        """Let a principal in at an endpoint, the one at `place`; `address` is where it asks from.

        Raises:
            Unauthenticated: its token is for another endpoint, whether this one exists or not (oauth.md A4).
            NotFound: there is no such endpoint, or none for this principal; the two look alike.
        """
        if principal.client and not reaches(principal, place):
            raise Unauthenticated(ELSEWHERE)
        if endpoint is None or principal.role_in(endpoint.workspace.slug) is None or not reaches(principal, place):
            raise NotFound("There is no such MCP endpoint here. Check the workspace and server in the URL.")
        return Visit(principal, endpoint, address)


def reaches(principal: Principal, place: Place) -> bool:
    """Whether a principal's credential is good at a place: for a whole workspace, or for this endpoint alone."""
    if principal.reach is None:
        return True
    reach = tuple(principal.reach.split("/"))
    return place == reach if len(reach) > 1 else place[:1] in ((), reach)


def check_scope(principal: Principal, method: str) -> None:
    """Let a message pass that the principal's credential was granted for.

    Raises:
        ScopeNeeded: it was not; naming all scopes that this very message takes (oauth.md A3).
    """
    granted = principal.scopes
    if granted is None or MCP_CALL in granted or (MCP_READ in granted and method in READING):
        return
    needed = SCOPES[:1] if method in READING else SCOPES
    raise ScopeNeeded(f"{method[:64]} takes the scope {needed[-1]}, which was not granted.", needed)
