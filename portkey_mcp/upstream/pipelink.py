"""A pipe as one principal gets it: the link whose calls are that principal's, on a wire that others may share."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from portkey_mcp.model import Era, McpServer
from portkey_mcp.upstream.link import Link, OnNotification, OnRequest
from portkey_mcp.upstream.pipe import Pipe
from portkey_mcp.wire import Json


class PipeLink:
    """See `Link`. Made when the handshake is done; holds nothing of its own but whose it is.

    All views of one pipe are equal, since what one of them subscribes to, the server has subscribed for all of them;
    each lives as long as the first.
    """

    def __init__(self, pipe: Pipe, principal: str = "") -> None:
        self._pipe, self._principal = pipe, principal
        self._views: dict[str, PipeLink] = {}
        self.server: McpServer = pipe.server
        self.era: Era = pipe.era
        self.version: str = pipe.version
        self.hello: Json = pipe.hello

    @property
    def alive(self) -> bool:
        """False once the process or the stream has ended."""
        return self._pipe.alive

    async def ended(self) -> None:
        """See `Link.ended`."""
        await self._pipe.over.wait()

    @property
    def busy(self) -> int:
        """How many requests are under way, of all principals."""
        return self._pipe.busy

    async def request(
        self,
        method: str,
        params: Json | None,
        *,
        on_notification: OnNotification,
        on_request: OnRequest,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """See `Link.request`."""
        return await self._pipe.request(self._principal, method, params, on_notification, on_request, headers)

    async def notify(self, method: str, params: Json | None) -> None:
        """See `Link.notify`."""
        await self._pipe.notify(method, params)

    def attend(self, on_notification: OnNotification, on_request: OnRequest) -> AbstractAsyncContextManager[None]:
        """See `Link.attend`."""
        return self._pipe.attendants.attend(self._principal, on_notification, on_request)

    async def check(self) -> None:
        """A sign of life. Raises UpstreamDown where there is none."""
        await self._pipe.check()

    def seen_by(self, principal: str) -> Link:
        """The same pipe for another principal."""
        view = self._views.get(principal)
        if view is None:
            view = self._views[principal] = PipeLink(self._pipe, principal)
        return view

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PipeLink) and other._pipe is self._pipe

    def __hash__(self) -> int:
        return hash(self._pipe)

    async def close(self) -> None:
        """See `Link.close`."""
        await self._pipe.close()
