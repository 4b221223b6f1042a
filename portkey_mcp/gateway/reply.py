"""The way back to the client during one HTTP exchange: JSON as long as nothing must stream, an event stream then.

An event stream is committed by the first notification or question, or when the call has been silent for
`KEEP_ALIVE` seconds; until then an error can still carry its own HTTP status (protocol.md H9).
"""

import asyncio
import secrets
from dataclasses import dataclass
from typing import Final

import anyio
from starlette.types import Send

from portkey_mcp.gateway.inbound import InAnswer, RequestId
from portkey_mcp.wire import Json, Raw, dumps

KEEP_ALIVE: Final = 20.0
"""Seconds of silence before a comment line; common proxies drop idle connections after 30 to 60."""

STREAM_HEADERS: Final = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]

NO_ANSWER: Final[Json] = {"error": {"code": -32603, "message": "The client cannot be asked here"}}


@dataclass(slots=True)
class _Question:
    session: str
    answered: anyio.Event
    outcome: Json


class Questions:
    """Server requests sent to legacy clients and not yet answered. Ids are unguessable and bound to a session."""

    def __init__(self) -> None:
        self._open: dict[str, _Question] = {}

    async def ask(self, session: str, reply: "Reply", message: Json) -> Json:
        """Send one server request down `reply` and wait for the client's answer, for as long as the caller does."""
        ident = secrets.token_urlsafe(16)
        question = self._open[ident] = _Question(session, anyio.Event(), {})
        try:
            await reply.write({"jsonrpc": "2.0", "id": ident, **message})
            await question.answered.wait()
            return question.outcome
        finally:
            del self._open[ident]

    def answer(self, session: str, answer: InAnswer) -> bool:
        """Take a client's answer. False when nobody asked, or asked another session."""
        question = self._open.get(answer.id) if isinstance(answer.id, str) else None
        if question is None or question.session != session or question.answered.is_set():
            return False
        question.outcome = answer.outcome
        question.answered.set()
        return True


class Reply:
    """One response in the making. `session` is None where a client cannot be asked anything."""

    def __init__(self, send: Send, questions: Questions, *, session: str | None, may_stream: bool = True) -> None:
        self._send = send
        self._questions = questions
        self._session = session
        self.may_stream = may_stream
        self.streaming = False
        self.over = False
        self.spoke_at = asyncio.get_running_loop().time()
        """When something was last written, or could have been; the loop's time."""
        self.extra_headers: list[tuple[bytes, bytes]] = []

    async def notify(self, message: Json) -> None:
        """Pass on one notification; dropped when the client accepts no event stream."""
        if self.may_stream:
            await self.write({"jsonrpc": "2.0", **message})

    async def ask(self, message: Json) -> Json:
        """Ask a legacy client and wait; returns `{"result": …}` or `{"error": …}`."""
        if self._session is None or not self.may_stream:
            return NO_ANSWER
        return await self._questions.ask(self._session, self, message)

    async def write(self, message: Json) -> None:
        """Write one event, committing the response to an event stream."""
        await self.commit()
        await self._body(b"event: message\r\ndata: " + dumps(message) + b"\r\n\r\n")

    async def commit(self) -> None:
        """Become an event stream; nothing when it is one already."""
        if not self.streaming:
            self.streaming = True
            headers = [*STREAM_HEADERS, *self.extra_headers]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def keep_alive(self) -> None:
        """Send a comment line, so that nobody between takes silence for death; nothing once the reply is given."""
        if self.may_stream and not self.over:
            self.spoke_at = asyncio.get_running_loop().time()  # now, so that nobody says it twice while this waits
            await self.commit()
            await self._body(b": keep-alive\r\n\r\n")

    async def finish(self, ident: RequestId | None, outcome: Json, status: int = 200) -> None:
        """Send the answer, `{"result": …}` or `{"error": …}`, and end the response."""
        self.over = True
        if self.streaming:
            await self.write({"jsonrpc": "2.0", "id": ident, **outcome})
            await self.close()
            return
        await send_body(self._send, status, message_text(ident, outcome), self.extra_headers)

    async def close(self) -> None:
        """End an event stream without a further message; an uncommitted response becomes an empty stream."""
        self.over = True
        await self.commit()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _body(self, data: bytes) -> None:
        self.spoke_at = asyncio.get_running_loop().time()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})


def message_text(ident: RequestId | None, outcome: Json) -> bytes:
    """An answer as it goes out: around a result that has its text, only the message is written."""
    result = outcome.get("result")
    if isinstance(result, Raw):
        told = b"%d" % ident if isinstance(ident, int) else dumps(ident)
        return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (told, result.text)
    return dumps({"jsonrpc": "2.0", "id": ident, **outcome})


async def send_json(send: Send, status: int, value: Json, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    """Send one complete JSON response."""
    await send_body(send, status, dumps(value), headers)


async def send_body(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    """Send one complete JSON response that is written already."""
    start = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        *(headers or []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
