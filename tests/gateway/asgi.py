"""HTTP without sockets: requests put to an ASGI application by hand, so that streams and hanging up can be steered."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from starlette.types import ASGIApp, Message

from portkey_mcp.wire import Json
from tests.gateway.house import envelope
from tests.gateway.stirring import PATIENCE, Stirring

BOTH = "application/json, text/event-stream"


class Answered(Stirring):
    """What an application has sent so far."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []

    async def send(self, message: Message) -> None:
        assert not self.ended, f"sent after the end: {message}"
        assert (message["type"] == "http.response.start") == (not self.messages)
        self.messages.append(message)
        self.stir()

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.messages[1:])

    @property
    def ended(self) -> bool:
        return len(self.messages) > 1 and not self.messages[-1].get("more_body", False)

    @property
    def json(self) -> Any:
        """The body of an answer that was not streamed."""
        assert self.headers["content-type"] == "application/json", self.headers
        return json.loads(self.body)

    @property
    def events(self) -> list[Json]:
        """The messages of an event stream so far."""
        frames = self.body.decode().split("\r\n\r\n")
        return [json.loads(frame.partition("data: ")[2]) for frame in frames if frame.startswith("event: message")]

    @property
    def answer(self) -> Json:
        """The JSON-RPC answer, however it came."""
        found: Json = self.json if self.headers["content-type"] == "application/json" else self.events[-1]
        return found


class Exchanged(Answered):
    """One HTTP request under way. `hang_up` is the client leaving."""

    def __init__(self, chunks: list[bytes]) -> None:
        super().__init__()
        self._chunks = chunks
        self._gone = anyio.Event()

    async def receive(self) -> Message:
        if self._chunks:
            chunk = self._chunks.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(self._chunks)}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    def hang_up(self) -> None:
        self._gone.set()


class Browser:
    """A client of one application; `headers` go with every request."""

    def __init__(self, app: ASGIApp, **headers: str) -> None:
        self.app = app
        self.headers = {"host": "localhost:8080", "accept": BOTH, "content-type": "application/json", **_named(headers)}

    @asynccontextmanager
    async def open(
        self, path: str, body: bytes | list[bytes] = b"", method: str = "POST", **headers: str
    ) -> AsyncIterator[Exchanged]:
        """Send a request and go on while it is answered; leaving the block hangs up and waits for the end."""
        exchanged = Exchanged([body] if isinstance(body, bytes) else body)
        sent = {**self.headers, **_named(headers)}
        raw = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
        scope = {"type": "http", "method": method, "path": path, "headers": raw, "query_string": b""}
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as group:
                group.start_soon(self.app, scope, exchanged.receive, exchanged.send)
                yield exchanged
                exchanged.hang_up()

    async def request(
        self, path: str, body: bytes | list[bytes] = b"", method: str = "POST", **headers: str
    ) -> Exchanged:
        """Send a request and wait for the whole answer."""
        async with self.open(path, body, method, **headers) as exchanged:
            await exchanged.until(lambda: exchanged.ended)
        return exchanged

    async def post(self, path: str, message: Any, **headers: str) -> Exchanged:
        """POST one JSON message."""
        return await self.request(path, json.dumps(message).encode(), **headers)


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def legacy(method: str, params: Json | None = None, ident: Any = 1) -> Json:
    """A legacy request."""
    return {"jsonrpc": "2.0", "id": ident, "method": method, **({} if params is None else {"params": params})}


def modern(
    method: str, params: Json | None = None, ident: Any = 1, capabilities: Json | None = None
) -> tuple[Json, dict[str, str]]:
    """A modern request and its headers."""
    params = {"_meta": envelope(capabilities), **(params or {})}
    headers = {"mcp_protocol_version": "2026-07-28", "mcp_method": method}
    name = params.get("uri" if method == "resources/read" else "name")
    return legacy(method, params, ident), {**headers, **({"mcp_name": name} if isinstance(name, str) else {})}
