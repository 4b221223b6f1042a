"""The vault, put together: all that a gateway needs for accounts at servers, made once by `app.py`."""

from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from anyio.abc import TaskGroup

from portkey_mcp.addresses import SIGN_IN, Addresses
from portkey_mcp.egress import Egress
from portkey_mcp.model import Directory
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.trust import Trust
from portkey_mcp.vault.accounts import Accounts, accounts_of
from portkey_mcp.vault.asked import ConnectLinks
from portkey_mcp.vault.bearer import Means, Resolved
from portkey_mcp.vault.clients import DOCUMENT, Clients
from portkey_mcp.vault.connecting import Connecting
from portkey_mcp.vault.connection import Place
from portkey_mcp.vault.connections import Connections
from portkey_mcp.vault.discovery import Discovery
from portkey_mcp.vault.flows import Flows
from portkey_mcp.vault.identity_tokens import IdentityTokens
from portkey_mcp.vault.machines import Machines, ProviderMetadata
from portkey_mcp.vault.reaching import Reaching
from portkey_mcp.vault.refreshing import Refreshing
from portkey_mcp.vault.sign_in_tokens import Renew, SignInTokens, is_wanted
from portkey_mcp.vault.signing import SigningKeys
from portkey_mcp.vault.token_requests import TokenRequests

METADATA_SECONDS: Final = 10.0
"""What clients give an authorization server for its metadata and a registration, too (oauth.md, K10)."""

TOKEN_SECONDS: Final = 60.0
"""Whoever hung up sooner could lose the only refresh token that is good from then on: the answer may come late."""


@dataclass(frozen=True, slots=True)
class Around:
    """What the vault asks of other rooms: what is registered, whom to trust, and identity providers."""

    directory: Callable[[], Directory]
    resolved: Resolved
    trust: Callable[[], Trust]
    metadata: Callable[[str, str], Awaitable[ProviderMetadata]]
    renew: Renew


class Vault:
    """See the module. `connecting` is for pages, `sign_ins` takes what single sign-on brings."""

    def __init__(
        self, database: Database, keyring: KeyRing, egress: Egress, addresses: Addresses, around: Around
    ) -> None:
        networks = lambda: around.trust().networks  # noqa: E731
        reaching = Reaching(egress.also(timeout=METADATA_SECONDS), networks)
        document = f"{addresses.base}{DOCUMENT}" if addresses.is_secure else ""
        clients = Clients(
            database, keyring, reaching, addresses, lambda: around.trust().client_metadata_url or document
        )
        self._around, self._addresses = around, addresses
        self._discovery, self._requests = (
            Discovery(reaching),
            TokenRequests(Reaching(egress.also(timeout=TOKEN_SECONDS), networks)),
        )
        self.connections = Connections(database, keyring)
        self.connecting = Connecting(
            around.directory,
            around.resolved,
            self.connections,
            Flows(database, keyring),
            self._discovery,
            clients,
            self._requests,
        )
        self.links = ConnectLinks(keyring, addresses)
        self.signing = SigningKeys(database, keyring)
        wanted: Callable[[str], bool] = lambda provider: is_wanted(around.directory(), provider)  # noqa: E731
        self.sign_ins = SignInTokens(database, keyring, around.trust, wanted, around.renew)
        self._identity = IdentityTokens(self.signing, addresses.base)
        self._machines = Machines(
            self._discovery, clients, self._requests, self._identity, self.sign_ins, around.metadata
        )
        self._refreshing: Refreshing | None = None

    def accounts(self, tasks: TaskGroup) -> Accounts:
        """What proves accounts to servers; `tasks` owns the refreshing, and outlives every call."""
        self._refreshing = Refreshing(self.connections, tasks)
        means = Means(
            self.connections,
            self._refreshing,
            self._requests,
            self._discovery,
            self._machines,
            self._around.resolved,
            self.links.url,
            partial("{}{}/{}".format, self._addresses.base, SIGN_IN),
        )
        return Accounts(means, self._identity)

    def when_changed(self, tasks: TaskGroup, then: Callable[[str, str], Coroutine[Any, Any, None]]) -> None:
        """Have this done, in `tasks`, whenever an account is connected or ends here: its server's key, and whose it is.

        What was opened with the account before shall not serve the one after.
        """
        remember = self.connections.changed

        def changed(place: Place) -> None:
            remember(place)
            for account in accounts_of(place):
                tasks.start_soon(then, f"{place.workspace}/{place.server}", account)

        self.connections.changed = changed

    def forget(self) -> None:
        """Another process may have changed something: what is in memory is read anew."""
        if self._refreshing is not None:
            self._refreshing.forget()

    async def tidy(self, people: Collection[str]) -> None:
        """Forget what is over, and what was of people who are gone; `people` are the ids of all that there are.

        Raises:
            StoreDown: it could not be written.
        """
        await self.connecting.flows.tidy()
        await self.connections.tidy(people)
        await self.sign_ins.tidy()
