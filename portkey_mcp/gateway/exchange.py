"""One HTTP exchange at an MCP endpoint <-> MCP messages. Knows HTTP and sessions; knows nothing of upstreams.

POST carries one message. GET opens a legacy session's standing stream, DELETE ends the session. The whole exchange
is served in the ASGI task, with one sibling that watches for the client leaving and keeps the line alive.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import anyio
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from portkey_mcp.errors import Refusal
from portkey_mcp.gateway.answer import rpc_error, status_of
from portkey_mcp.gateway.call import Call
from portkey_mcp.gateway.changes import Again, Changes
from portkey_mcp.gateway.corridor import Corridor
from portkey_mcp.gateway.inbound import BadMessage, InAnswer, InNotification, InRequest, RequestId, read
from portkey_mcp.gateway.reply import KEEP_ALIVE, Questions, Reply, send_json
from portkey_mcp.gateway.session import Session, Sessions, new_session_id
from portkey_mcp.gateway.single import wanted_of
from portkey_mcp.gateway.standing import goodbye, stream, tell_all_changed
from portkey_mcp.model import Visit

SESSION_HEADER: Final = "mcp-session-id"
CONFLICTING_ACCEPT: Final = "Accept must allow application/json or text/event-stream"
TOO_LARGE: Final = -32600
"""JSON-RPC has no code of its own for a body over the limit; it is an invalid request."""

RunningKey = tuple[str, type, RequestId]
"""Session id, and the request id with its type: 1 and "1" are two ids."""


@dataclass
class TooLarge(Refusal):
    """The body is larger than the gateway takes."""

    limit: int

    def __str__(self) -> str:
        return f"The body is larger than the {self.limit} bytes this gateway accepts"


class Exchange:
    """Serves MCP endpoints over HTTP. One per process."""

    def __init__(self, corridor: Corridor, sessions: Sessions, changes: Changes, *, max_body: int) -> None:
        self._corridor = corridor
        self._sessions = sessions
        self._changes = changes
        self._questions = Questions()
        self._running: dict[RunningKey, anyio.CancelScope] = {}
        self._max_body = max_body

    async def serve(self, visit: Visit, again: Again, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one admitted request. Refusals that are HTTP's own are raised: NotFound, TooLarge, BadMessage.

        `again` admits it anew: a standing stream ends when the visitor may not enter any more, or finds another house.
        """
        # RFC 9110 section 5.5: white space around a value is not part of it; not every HTTP parser takes it off.
        headers = Headers(raw=[(name, value.strip(b" \t")) for name, value in scope["headers"]])
        if scope["method"] == "POST":
            await self._post(visit, again, headers, receive, send)
            return
        token = headers.get(SESSION_HEADER)
        if token is None or not _is_legacy(headers):
            await send_json(send, 405, _error("Only POST is served without a session"), [(b"allow", b"POST")])
            return
        session = self._sessions.open(token, visit)
        if scope["method"] == "DELETE":
            self._sessions.end(session)
            await _empty(send, 200)
        else:
            await self._get(visit, again, session, receive, send)

    async def _post(self, visit: Visit, again: Again, headers: Headers, receive: Receive, send: Send) -> None:
        body = await self._body(headers, receive)
        accept = (headers.get("accept") or "*/*").lower()
        may_stream = "text/event-stream" in accept or "*/*" in accept or "text/*" in accept
        if not may_stream and "application/json" not in accept and "application/*" not in accept:
            await send_json(send, 406, _error(CONFLICTING_ACCEPT))
            return
        message = read(body, headers, headers.items())
        session = self._session(visit, headers, message)
        if isinstance(message, InRequest):
            await self._request(visit, again, headers, message, session, receive, send, may_stream)
            return
        if isinstance(message, InAnswer):
            if session is not None:
                self._questions.answer(session.id, message)
        elif message.era == "legacy" and session is not None:
            await self._notification(visit, message, session)
        await _empty(send, 202)

    def _session(self, visit: Visit, headers: Headers, message: object) -> Session | None:
        """The session a legacy message belongs to; modern ones have none, and `initialize` starts its own.

        Raises:
            NotFound: the session has ended, or never was this visitor's.
        """
        token = headers.get(SESSION_HEADER)
        if token is None or getattr(message, "era", "legacy") == "modern":
            return None
        if getattr(message, "method", None) == "initialize":
            return None
        return self._sessions.open(token, visit)

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        """Read the whole body.

        Raises:
            TooLarge: as soon as that is certain.
        """
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._max_body:
            raise TooLarge(self._max_body)
        chunks, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return b""
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > self._max_body:
                raise TooLarge(self._max_body)
            if not message.get("more_body", False):
                return b"".join(chunks)

    async def _notification(self, visit: Visit, message: InNotification, session: Session) -> None:
        """A legacy client's notification: cancels one call, or goes upstream."""
        params = message.params or {}
        if message.method == "notifications/cancelled":
            ident = params.get("requestId")
            running = self._running.get((session.id, type(ident), ident)) if isinstance(ident, str | int) else None
            if running is not None:
                running.cancel()
        elif message.method != "notifications/initialized":
            call = self._call(visit, _as_request(message, session), session, Headers())
            await self._corridor.notify(call)

    async def _request(
        self,
        visit: Visit,
        again: Again,
        headers: Headers,
        message: InRequest,
        session: Session | None,
        receive: Receive,
        send: Send,
        may_stream: bool,
    ) -> None:
        if message.method == "subscriptions/listen" and not may_stream:
            await send_json(send, 406, _error("subscriptions/listen answers with an event stream only"))
            return
        ident: str | None = None
        if message.method == "initialize" and message.era == "legacy":
            message, ident = _introduced(message), new_session_id()
            session = Session(ident, "", message.version, message.capabilities, message.client_info)
        call = self._call(visit, message, session, headers)
        asks = session.id if session is not None and ident is None else None
        reply = Reply(send, self._questions, session=asks, may_stream=may_stream)
        outcome = await self._run(call, again, reply, receive)
        if outcome is None:
            await reply.close()
            return
        if ident is not None and "result" in outcome:
            self._mint(call, ident, outcome["result"], reply)
        await reply.finish(call.id, outcome, status_of(outcome, call.era))

    def _mint(self, call: Call, ident: str, hello: dict[str, Any], reply: Reply) -> None:
        """Give a client that has been greeted its session."""
        version = hello.get("protocolVersion")
        session = self._sessions.mint(
            call.visit,
            ident,
            version if isinstance(version, str) else call.version,
            call.capabilities,
            call.client_info,
        )
        reply.extra_headers.append((SESSION_HEADER.encode(), session.token.encode("ascii")))

    def _call(self, visit: Visit, message: InRequest, session: Session | None, headers: Headers) -> Call:
        return Call(
            visit=visit,
            id=message.id,
            method=message.method,
            params=message.params,
            era=message.era,
            version=session.version if session is not None else message.version,
            capabilities=session.capabilities if session is not None else message.capabilities,
            client_info=session.client_info if session is not None else message.client_info,
            session=session,
            live=self._sessions.live(session) if session is not None and session.token else None,
            headers=headers,
        )

    async def _run(self, call: Call, again: Again, reply: Reply, receive: Receive) -> dict[str, Any] | None:
        """Answer a call while watching the client. None: it was cancelled and nobody waits for an answer."""
        outcome: dict[str, Any] | None = None

        async def end_when_outdated() -> None:
            nonlocal outcome
            await self._changes.outdated(call.visit, again)
            outcome = await goodbye(call.id, wanted_of(call), reply)
            group.cancel_scope.cancel()

        key = (call.session.id, type(call.id), call.id) if call.session is not None else None
        async with anyio.create_task_group() as group:
            if key is not None:
                self._running[key] = group.cancel_scope
            try:
                leaves = group.cancel_scope.cancel if call.era == "modern" else _go_on
                group.start_soon(_watch, receive, reply, leaves)
                if call.method == "subscriptions/listen" and call.era == "modern":
                    group.start_soon(end_when_outdated)
                outcome = await self._corridor.answer(call, reply)
                group.cancel_scope.cancel()
            finally:
                if key is not None:
                    self._running.pop(key, None)
        return outcome

    async def _get(self, visit: Visit, again: Again, session: Session, receive: Receive, send: Send) -> None:
        """Serve the standing stream of a legacy session; a newer one of the same session takes its place.

        It ends when the visit is outdated: clients open it again, and are admitted anew. What changed before they
        did is told first.
        """
        live = self._sessions.live(session)
        if live.stream is not None:
            live.stream.cancel()
        message = InRequest("", "", None, "legacy", session.version, {}, {})
        call = self._call(visit, message, session, Headers())
        reply = Reply(send, self._questions, session=session.id)
        with anyio.CancelScope() as scope:
            live.stream = scope
            async with anyio.create_task_group() as group:
                group.start_soon(_watch, receive, reply, scope.cancel)
                await reply.commit()
                if live.visit not in (None, visit):
                    await tell_all_changed(reply)
                live.visit = visit
                group.start_soon(stream, live, self._corridor.at(call).sources(), reply)
                live.visit = await self._changes.outdated(visit, again)
                await tell_all_changed(reply)
                scope.cancel()
        if live.stream is scope:
            live.stream = None
        with anyio.CancelScope(shield=True):
            await reply.close()


async def _watch(receive: Receive, reply: Reply, leaves: Callable[[], None]) -> None:
    """Notice the client leaving, and keep a silent line alive meanwhile."""
    while True:
        message: Message | None = None
        with anyio.move_on_after(KEEP_ALIVE):
            message = await receive()
        if message is None:
            await reply.keep_alive()
        elif message["type"] == "http.disconnect":
            leaves()
            return


def _go_on() -> None:
    """A legacy client that leaves has not cancelled (2025-11-25 transports, Sending Messages)."""


def _introduced(message: InRequest) -> InRequest:
    """An initialize request with what it declares, in the places where a session keeps it."""
    params = message.params or {}
    capabilities, info, version = params.get("capabilities"), params.get("clientInfo"), params.get("protocolVersion")
    if not isinstance(version, str) or not isinstance(capabilities, dict) or not isinstance(info, dict):
        raise BadMessage(-32602, "initialize needs params.protocolVersion, capabilities and clientInfo", id=message.id)
    return replace(message, version=version, capabilities=capabilities, client_info=info)


def _as_request(message: InNotification, session: Session) -> InRequest:
    return InRequest("", message.method, message.params, "legacy", session.version, {}, {})


def _is_legacy(headers: Headers) -> bool:
    """Whether a request without a body speaks for a legacy client."""
    return headers.get(MCP_PROTOCOL_VERSION_HEADER) not in MODERN_PROTOCOL_VERSIONS


def _error(message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": None, "error": rpc_error(-32600, message)}


async def _empty(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
