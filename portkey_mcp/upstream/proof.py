"""What the links of a server ask of whoever keeps credentials: headers for a request, and what to do when refused.

`vault` fulfils it. The links know nothing of how a credential is come by, and the vault nothing of links.
"""

from collections.abc import Mapping
from typing import Protocol

from portkey_mcp.model import McpServer, Principal


class Proof(Protocol):
    """How one account proves itself to one server. Safe for any number of requests at once."""

    def ready(self, verb: str, url: str) -> bytes | None:
        """Header lines for one request where they are at hand, which is to say nearly always; else None."""
        ...

    async def lines(self, verb: str, url: str) -> bytes:
        """Header lines for one request, each with its line end; asks for a credential where there is none.

        Raises:
            ConnectNeeded: a person has to connect an account first.
            UpstreamDown: no credential is to be had just now; nothing was sent to the server.
        """
        ...

    async def refused(self, lines: bytes, status: int, headers: Mapping[str, str]) -> bool:
        """The server answered 401 or 403 to a request with these lines: whether to send it once more, with new ones.

        `headers` are the answer's, names in lower case. A server that refuses has run nothing.

        Raises:
            ConnectNeeded: the account has ended, or is allowed too little.
            UpstreamDown: no other credential is to be had just now.
        """
        ...


class Proofs(Protocol):
    """Every credential there is."""

    def account(self, server: McpServer, who: Principal | None) -> str:
        """Whose account a caller uses at a server; callers with the same one share what links keep."""
        ...

    def proof(self, server: McpServer, who: Principal | None) -> Proof:
        """How a caller proves itself to a server that has an `auth`."""
        ...
