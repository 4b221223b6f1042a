"""Who is it, and may they enter here? Two questions, asked in this order, of every request to an endpoint."""

from collections.abc import Awaitable, Callable, Mapping

from portkey_mcp.errors import NotFound
from portkey_mcp.model import Endpoint, Principal, Visit

Authenticate = Callable[[Mapping[str, str]], Awaitable[Principal]]
"""Says who sent these headers; raises Unauthenticated. `identity` has it, or a fixed answer under `auth: none`."""


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

    def enter(self, principal: Principal, endpoint: Endpoint | None, address: str = "") -> Visit:
        """Let a principal in at an endpoint; `address` is where it asks from.

        Raises:
            NotFound: there is no such endpoint, or none for this principal; the two look alike.
        """
        if endpoint is None or principal.role_in(endpoint.workspace.slug) is None:
            raise NotFound("There is no such MCP endpoint here. Check the workspace and server in the URL.")
        return Visit(principal, endpoint, address)
