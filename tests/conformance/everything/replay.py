"""Events of legacy streams kept in memory, so that a client that lost its stream can come back for the rest."""

from mcp.server.streamable_http import EventCallback, EventId, EventMessage, EventStore, StreamId
from mcp_types import JSONRPCMessage


class RememberedEvents(EventStore):
    """Every event since the server started; ids count up over all streams."""

    def __init__(self) -> None:
        self._events: list[tuple[StreamId, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: StreamId, message: JSONRPCMessage | None) -> EventId:
        self._events.append((stream_id, message))
        return str(len(self._events) - 1)

    async def replay_events_after(self, last_event_id: EventId, send_callback: EventCallback) -> StreamId | None:
        if not last_event_id.isdigit() or int(last_event_id) >= len(self._events):
            return None
        stream = self._events[int(last_event_id)][0]
        for index, (stream_id, message) in enumerate(self._events):
            if stream_id == stream and index > int(last_event_id) and message is not None:
                await send_callback(EventMessage(message, str(index)))
        return stream
