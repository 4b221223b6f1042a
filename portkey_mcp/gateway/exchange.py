"""One HTTP exchange at an MCP endpoint <-> MCP messages. Knows HTTP and sessions; knows nothing of upstreams.

POST carries one message. GET opens a legacy session's standing stream, DELETE ends the session. The whole exchange
is served in the ASGI task; a sibling watches for the client leaving once a call takes its time.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.types import Send

from portkey_mcp.cut import Cuttable, WasCut
from portkey_mcp.gateway.admission import check_scope
from portkey_mcp.gateway.answer import rpc_error, status_of
from portkey_mcp.gateway.arrival import Arrival, accepted
from portkey_mcp.gateway.call import Call
from portkey_mcp.gateway.changes import Again, Changes
from portkey_mcp.gateway.corridor import Corridor
from portkey_mcp.gateway.inbound import (
    BadMessage,
    InAnswer,
    Inbound,
    InNotification,
    InRequest,
    RequestId,
    check_introduction,
    read,
)
from portkey_mcp.gateway.reply import Questions, Reply, send_json
from portkey_mcp.gateway.session import Session, Sessions, new_session_id
from portkey_mcp.gateway.single import wanted_of
from portkey_mcp.gateway.standing import goodbye, stream, tell_all_changed
from portkey_mcp.gateway.watch import Pulse, Watch
from portkey_mcp.model import Visit

SESSION_HEADER: Final = "mcp-session-id"
CONFLICTING_ACCEPT: Final = "Accept must allow application/json or text/event-stream"

RunningKey = tuple[str, type, RequestId]
"""Session id, and the request id with its type: 1 and "1" are two ids."""


class Exchange:
    """Serves MCP endpoints over HTTP. One per process; `tasks` outlives every exchange."""

    def __init__(
        self, corridor: Corridor, sessions: Sessions, changes: Changes, tasks: TaskGroup, *, max_body: int
    ) -> None:
        self._corridor = corridor
        self._sessions = sessions
        self._changes = changes
        self._pulse = Pulse(tasks)
        self._questions = Questions()
        self._running: dict[RunningKey, Callable[[], None]] = {}
        self._max_body = max_body

    def serve(self, arrival: Arrival) -> Awaitable[None]:
        """Serve one admitted request. Refusals that are HTTP's own are raised: NotFound, TooLarge, BadMessage.

        A standing stream ends when its visitor may not enter any more, or finds another house.
        """
        return self._post(arrival) if arrival.method == "POST" else self._standing(arrival)

    async def _standing(self, arrival: Arrival) -> None:
        """GET and DELETE, for sessions of legacy clients."""
        headers, send = arrival.headers, arrival.send
        token = headers.get(SESSION_HEADER)
        if token is None or headers.get(MCP_PROTOCOL_VERSION_HEADER) in MODERN_PROTOCOL_VERSIONS:
            await send_json(send, 405, _error("Only POST is served without a session"), [(b"allow", b"POST")])
            return
        session = self._sessions.open(token, arrival.visit)
        if arrival.method == "DELETE":
            self._sessions.end(session)
            await _empty(send, 200)
        else:
            await self._get(arrival, session)

    async def _post(self, arrival: Arrival) -> None:
        body = await arrival.body(self._max_body)
        may_stream, may_answer = accepted(arrival.headers.get("accept") or "*/*")
        if not may_answer:
            await send_json(arrival.send, 406, _error(CONFLICTING_ACCEPT))
            return
        if "origin" in arrival.headers and not arrival.headers.get("content-type", "").startswith("application/json"):
            # A page of another port of this machine could send any other type without the browser asking first.
            await send_json(arrival.send, 415, _error("With an Origin, Content-Type must be application/json"))
            return
        message = read(body, arrival.headers, arrival.duplicates)
        if arrival.visit.principal.scopes is not None and isinstance(message, InRequest):
            check_scope(arrival.visit.principal, message.method)
        session = self._session(arrival, message)
        if isinstance(message, InRequest):
            await self._request(arrival, message, session, may_stream)
            return
        if isinstance(message, InAnswer):
            if session is not None:
                self._questions.answer(session.id, message)
        elif message.era == "legacy" and session is not None:
            await self._notification(arrival.visit, message, session)
        await _empty(arrival.send, 202)

    def _session(self, arrival: Arrival, message: Inbound) -> Session | None:
        """The session a legacy message belongs to; modern ones have none, and `initialize` starts its own.

        Raises:
            NotFound: the session has ended, or never was this visitor's.
        """
        token = arrival.headers.get(SESSION_HEADER)
        if token is None:
            return None
        if not isinstance(message, InAnswer) and (message.era == "modern" or message.method == "initialize"):
            return None
        return self._sessions.open(token, arrival.visit)

    async def _notification(self, visit: Visit, message: InNotification, session: Session) -> None:
        """A legacy client's notification: cancels one call, or goes upstream."""
        params = message.params or {}
        if message.method == "notifications/cancelled":
            ident = params.get("requestId")
            running = self._running.get((session.id, type(ident), ident)) if isinstance(ident, str | int) else None
            if running is not None:
                running()
        elif message.method != "notifications/initialized":
            told = InRequest("", message.method, message.params, "legacy", session.version, {}, {})
            await self._corridor.notify(self._call(visit, told, session, {}))

    async def _request(self, arrival: Arrival, message: InRequest, session: Session | None, may_stream: bool) -> None:
        if message.method == "subscriptions/listen" and not may_stream:
            await send_json(arrival.send, 406, _error("subscriptions/listen answers with an event stream only"))
            return
        ident: str | None = None
        if message.method == "initialize" and message.era == "legacy":
            message, ident = _introduced(message), new_session_id()
            session = Session(ident, "", message.version, message.capabilities, message.client_info)
        call = self._call(arrival.visit, message, session, arrival.headers, arrival.again)
        asks = session.id if session is not None and ident is None else None
        reply = Reply(arrival.send, self._questions, session=asks, may_stream=may_stream)
        if call.method == "subscriptions/listen" and call.era == "modern":
            outcome = await self._listening(call, arrival, reply)
        else:
            outcome = await self._answered(call, arrival, reply)
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

    def _call(
        self,
        visit: Visit,
        message: InRequest,
        session: Session | None,
        headers: Mapping[str, str],
        again: Again | None = None,
    ) -> Call:
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
            again=again,
        )

    async def _answered(self, call: Call, arrival: Arrival, reply: Reply) -> dict[str, Any] | None:
        """Answer a call while watching the client. None: it was cancelled and nobody waits for an answer.

        A modern client that leaves cancels its call, a legacy one does not (2025-11-25 transports, Sending Messages).
        """
        key = (call.session.id, type(call.id), call.id) if call.session is not None else None
        staying = Cuttable()
        watch = Watch(self._pulse, arrival.receive, reply, staying.cut if call.era == "modern" else _go_on)
        try:
            with staying:
                if key is not None:
                    self._running[key] = staying.cut
                return await self._corridor.answer(call, reply)
        except WasCut:
            return None
        finally:
            watch.stop()
            # Where a client uses an id twice at once, it names the later call; the end of the earlier one leaves that.
            if key is not None and self._running.get(key) == staying.cut:
                del self._running[key]

    async def _listening(self, call: Call, arrival: Arrival, reply: Reply) -> dict[str, Any] | None:
        """Serve a modern listen stream until its client leaves, its upstream ends it, or its house changed."""
        outcome: dict[str, Any] | None = None

        async def end_when_outdated() -> None:
            nonlocal outcome
            await self._changes.outdated(call.visit, arrival.again)
            outcome = await goodbye(call.id, wanted_of(call), reply)
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(end_when_outdated)
            outcome = await self._answered(call, arrival, reply)
            group.cancel_scope.cancel()
        return outcome

    async def _get(self, arrival: Arrival, session: Session) -> None:
        """Serve the standing stream of a legacy session; a newer one of the same session takes its place.

        It ends when the visit is outdated: clients open it again, and are admitted anew. What changed before they
        did is told first.
        """
        live, visit = self._sessions.live(session), arrival.visit
        if live.stream is not None:
            live.stream.cancel()
        message = InRequest("", "", None, "legacy", session.version, {}, {})
        call = self._call(visit, message, session, {})
        reply = Reply(arrival.send, self._questions, session=session.id)
        with anyio.CancelScope() as scope:
            live.stream = scope
            watch = Watch(self._pulse, arrival.receive, reply, scope.cancel)
            try:
                async with anyio.create_task_group() as group:
                    await reply.commit()
                    if live.visit not in (None, visit):
                        await tell_all_changed(reply)
                    live.visit = visit
                    group.start_soon(stream, live, self._corridor.at(call).sources(), reply)
                    live.visit = await self._changes.outdated(visit, arrival.again)
                    await tell_all_changed(reply)
                    scope.cancel()
            finally:
                watch.stop()
        if live.stream is scope:
            live.stream = None
        with anyio.CancelScope(shield=True):
            await reply.close()


def _go_on() -> None:
    """A legacy client has left: its call goes on."""


def _introduced(message: InRequest) -> InRequest:
    """An initialize request with what it declares, in the places where a session keeps it."""
    params = message.params or {}
    capabilities, info, version = params.get("capabilities"), params.get("clientInfo"), params.get("protocolVersion")
    if not isinstance(version, str) or not isinstance(capabilities, dict) or not isinstance(info, dict):
        raise BadMessage(-32602, "initialize needs params.protocolVersion, capabilities and clientInfo", id=message.id)
    check_introduction(params, message.id)
    return replace(message, version=version, capabilities=capabilities, client_info=info)


def _error(message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": None, "error": rpc_error(-32600, message)}


async def _empty(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
