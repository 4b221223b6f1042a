"""Links to the page where an account is connected, for one who called and lacks it.

A link lets nobody in: whoever opens it signs in as always. It says, sealed, for whom it was made, so that somebody else
who opens it does not connect an account of theirs for a call that was not theirs (A29; MCP elicitation, Phishing).
"""

import time
from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import urlencode

from portkey_mcp.addresses import Addresses
from portkey_mcp.model import McpServer
from portkey_mcp.sealing import KeyRing, Unsealable
from portkey_mcp.vault.sealed import seal, unseal

LIFE: Final = 86_400
"""Seconds that a link is good for."""

ASKED: Final = "asked"
"""The parameter that says for whom a link was made."""


class Asked(NamedTuple):
    """For whom a link was made, by the principal's id, and whether it is still good."""

    principal: str
    is_good: bool


class ConnectLinks:
    """Makes links and opens them. `now` is in seconds since the epoch."""

    def __init__(self, keyring: KeyRing, addresses: Addresses, now: Callable[[], float] = time.time) -> None:
        self._keyring = keyring
        self._addresses = addresses
        self._now = now

    def url(self, server: McpServer, principal: str) -> str:
        """The link for whoever called: nothing of them can be read in it, and it grants nothing.

        `principal` is empty for an account that all of the workspace share: then it is whoever's that may connect it.
        """
        if not principal:
            return self._addresses.connecting(server.key)
        asked = seal(self._keyring, [principal, int(self._now()) + LIFE], "connect-link", server.key)
        return f"{self._addresses.connecting(server.key)}?{urlencode({ASKED: asked})}"

    def opened(self, server: McpServer, sealed: str) -> Asked | None:
        """For whom a link to this server was made; None where it is none of ours."""
        try:
            principal, until = unseal(self._keyring, sealed, "connect-link", server.key)
        except Unsealable:
            return None
        return Asked(principal, until > self._now())
