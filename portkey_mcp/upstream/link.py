"""The back seam: what the corridor asks of an upstream, whatever carries it.

Raw dicts both ways. A link is safe for any number of requests at once. Nothing here re-types, fills in or drops a
member, except the four things that belong to this hop and are rewritten: request ids, progress tokens, the modern
envelope's protocol version, and (by the caller) trace context.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from portkey_mcp.model import Era, McpServer
from portkey_mcp.wire import Json

OnNotification = Callable[[Json], Awaitable[None]]
"""Takes a raw notification `{"method": …, "params": …}`; awaited before the next message of the same stream."""

OnRequest = Callable[[Json], Awaitable[Json]]
"""Takes a raw server request `{"method": …, "params": …}`; returns `{"result": …}` or `{"error": {…}}`.

Run beside the stream: later notifications of the call do not wait for the answer."""


class Link(Protocol):
    """One live session (legacy) or address (modern) of one upstream server."""

    server: McpServer
    era: Era
    version: str
    """Negotiated (legacy) or spoken (modern) protocol version."""
    hello: Json
    """The upstream's own InitializeResult (legacy) or DiscoverResult (modern), raw."""

    async def request(
        self,
        method: str,
        params: Json | None,
        *,
        on_notification: OnNotification,
        on_request: OnRequest,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """Send one request and wait for its result.

        Notifications and server requests that belong to it are handed over in wire order; all notifications have
        been awaited when the result is returned, none comes after. `headers` are the HTTP headers of this very
        request: `Mcp-Param-*` of a modern call, and what is forwarded; ignored where there is no HTTP. Cancelling the
        awaiting task cancels the request upstream in the era's own way, and only it: legacy and stdio send
        `notifications/cancelled`, modern HTTP closes the stream.

        Raises:
            UpstreamError: the upstream answered with a JSON-RPC error.
            UpstreamDown: no answer; `sent` says whether it may have run.
            ConnectNeeded: it wants an account first; the request has not run, and the link lives on.
        """
        ...

    async def notify(self, method: str, params: Json | None) -> None:
        """Send one notification; raises UpstreamDown when it cannot be delivered."""
        ...

    def attend(self, on_notification: OnNotification, on_request: OnRequest) -> AbstractAsyncContextManager[None]:
        """Legacy only: while open, receive what belongs to no call (list changes, resource updates, server requests).

        Entering returns once the upstream's standing stream is open (or known not to exist), so that nothing sent
        after is missed. When the stream was lost and came back, the three `list_changed` notifications that the
        upstream's capabilities allow are handed over, since changes may have been missed. Any number at once.
        """
        ...

    @property
    def alive(self) -> bool:
        """False once the session or process is gone for good; the pool then opens another."""
        ...

    async def ended(self) -> None:
        """Return once `alive` is False."""
        ...

    async def close(self) -> None:
        """End the session (HTTP DELETE, process stopped) and fail what is in flight with UpstreamDown."""
        ...
