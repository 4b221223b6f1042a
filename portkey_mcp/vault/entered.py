"""Proves an account to a server with headers that a person entered, like an API key of their own."""

from collections.abc import Mapping

from portkey_mcp.errors import Mistake, UpstreamDown
from portkey_mcp.model import McpServer, Principal
from portkey_mcp.proof import OwnHeadersAuth
from portkey_mcp.vault.bearer import Means, is_for, sentence
from portkey_mcp.vault.connection import Place
from portkey_mcp.vault.entering import ASKED, asked_for
from portkey_mcp.vault.words import needed


class Entered:
    """See `upstream.proof.Proof`."""

    def __init__(self, means: Means, server: McpServer, place: Place, who: Principal | None) -> None:
        self._means, self._server, self._place, self._who = means, server, place, who
        self._last: tuple[int, bytes] | None = None

    def ready(self, verb: str, url: str) -> bytes | None:
        """See `Proof.ready`."""
        connection = self._means.refreshing.ready(self._place)
        if connection is None or self._last is None or self._last[0] != connection.generation:
            return None
        return self._last[1]

    async def lines(self, verb: str, url: str) -> bytes:
        """See `Proof.lines`."""
        try:
            address, auth = await self._means.resolved(self._server)
        except Mistake as error:
            raise UpstreamDown(self._server.name, f"its registration is not usable: {error.what}") from None
        assert isinstance(auth, OwnHeadersAuth)
        connection = await self._means.refreshing.current(self._place, None)
        if connection is None or not is_for(connection.credential, address):
            raise self._needed("")
        entered = connection.credential.entered
        assert isinstance(self._server.auth, OwnHeadersAuth)
        if missing := [name for name in asked_for(self._server.auth) if name not in entered]:
            raise self._needed(f"What is to be entered has changed: {', '.join(missing)}.")
        text = "".join(f"{name}: {filled(value, entered)}\r\n" for name, value in auth.headers.items())
        self._last = connection.generation, text.encode()
        return self._last[1]

    async def refused(self, lines: bytes, status: int, headers: Mapping[str, str]) -> bool:
        """See `Proof.refused`. Whoever entered something wrong must learn of it; 403 may be about anything."""
        if status != 401:
            return False
        connection = await self._means.connections.find(self._place)
        if connection is not None and self._last is not None and connection.generation != self._last[0]:
            return True
        raise self._needed("It refuses what was entered.")

    def _needed(self, why: str) -> Exception:
        page = self._means.page(self._server, self._place.subject)
        return needed(self._server, self._who, page, sentence(why))


def filled(value: str, entered: Mapping[str, str]) -> str:
    """A header's value with what was entered in its places; what is no such place stays as it is."""
    return ASKED.sub(lambda found: entered.get(found[1], found[0]), value)
