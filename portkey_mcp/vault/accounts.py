"""Every account at every server: which a caller uses there, and how it is proved. Fulfils `upstream.proof.Proofs`."""

import hashlib
from collections.abc import Mapping
from typing import Final

from portkey_mcp.model import McpServer, Principal
from portkey_mcp.proof import CONNECTED, IdentityAuth, OwnHeadersAuth, subject_of
from portkey_mcp.vault.bearer import Bearer, Means
from portkey_mcp.vault.connectable import connect_problem
from portkey_mcp.vault.connection import Place
from portkey_mcp.vault.entered import Entered
from portkey_mcp.vault.identity_tokens import IdentityTokens

MEMBERS: Final = "members"
SERVICES: Final = "services"
"""The accounts of those who use a shared one and may not connect it, people and others: each are told something else.
"""


def accounts_of(place: Place) -> tuple[str, ...]:
    """The accounts, as links know them, that rest on the credential at a place."""
    return (place.subject,) if place.subject else ("", MEMBERS, SERVICES)


class Accounts:
    """See the module. `identity` makes the lines for servers that are told who calls."""

    def __init__(self, means: Means, identity: IdentityTokens) -> None:
        self._means = means
        self._identity = identity

    def account(self, server: McpServer, who: Principal | None) -> str:
        """Whose account a caller uses: a principal's id; for a shared one what is said of it. See `Proofs.account`."""
        auth, ident = server.auth, who.id if who is not None else ""
        assert auth is not None
        if isinstance(auth, IdentityAuth) and who is not None:
            told = f"{who.name}|{who.email}|{who.role_in(server.workspace)}|{who.groups_in(server.workspace)}"
            return f"{ident} {hashlib.sha256(told.encode()).hexdigest()[:16]}"  # who is told of anew is another one
        subject = subject_of(auth, ident)
        if not subject and isinstance(auth, CONNECTED) and (who is None or connect_problem(who, server)):
            return SERVICES if who is not None and who.kind == "service" else MEMBERS
        return subject

    def proof(self, server: McpServer, who: Principal | None) -> "Bearer | Entered | Told":
        """How a caller proves itself. See `Proofs.proof`."""
        auth = server.auth
        assert auth is not None
        if isinstance(auth, IdentityAuth):
            assert who is not None
            return Told(self._identity, auth, who, server.workspace)
        place = Place(server.workspace, server.name, subject_of(auth, who.id if who is not None else ""))
        kind = Entered if isinstance(auth, OwnHeadersAuth) else Bearer
        return kind(self._means, server, place, who)


class Told:
    """Tells a server who calls; see `upstream.proof.Proof`. There is nothing to be connected, and no second try."""

    def __init__(self, identity: IdentityTokens, auth: IdentityAuth, who: Principal, workspace: str) -> None:
        self._identity, self._auth, self._who, self._workspace = identity, auth, who, workspace

    def ready(self, verb: str, url: str) -> bytes | None:
        """See `Proof.ready`."""
        return self._identity.ready(self._auth, self._who, self._workspace)

    async def lines(self, verb: str, url: str) -> bytes:
        """See `Proof.lines`."""
        return await self._identity.lines(self._auth, self._who, self._workspace)

    async def refused(self, lines: bytes, status: int, headers: Mapping[str, str]) -> bool:
        """See `Proof.refused`."""
        return False
