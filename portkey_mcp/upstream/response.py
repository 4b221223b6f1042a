"""One HTTP answer: its head, and its body as it comes."""

import asyncio
from typing import Final, Protocol

from portkey_mcp.upstream.inflating import Inflate

HIGH_WATER: Final = 256 * 1024
"""Bytes of a body that wait unread before the connection stops reading: what a fast network brings in a moment."""


class Broken(Exception):
    """The connection ended before the answer did. `unanswered` says that not a byte of it had come."""

    def __init__(self, why: str, *, unanswered: bool = False) -> None:
        super().__init__(why)
        self.unanswered = unanswered


class NotHttp(Exception):
    """What came is not HTTP, or not as much of it as is read."""


class Source(Protocol):
    """The connection that a body comes on."""

    def pause(self) -> None:
        """Read nothing for a while."""
        ...

    def resume(self) -> None:
        """Read again."""
        ...

    def abort(self) -> None:
        """Close it now."""
        ...


class Response:
    """See the module. `headers` have lower-case names; repeated ones are joined by a comma.

    Read to its end, it gives its connection back by itself; `close` before that closes the connection.
    """

    __slots__ = (
        *("_enough", "_error", "_fields", "_inflate", "_pieces", "_size", "_source", "_waiter"),
        *("ended", "reason", "status"),
    )

    def __init__(self, source: Source, status: int, reason: str, fields: dict[bytes, bytes]) -> None:
        """Raises BadEncoding for a body in an encoding that is not understood."""
        self.status, self.reason = status, reason
        self._source: Source | None = source
        self._fields = fields
        self._pieces: list[bytes] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._enough = 1
        self._error: Exception | None = None
        self.ended = False
        """Whether all of the body has come, or will ever come; some of it may still be unread."""
        encoding = fields.get(b"content-encoding")
        self._inflate: Inflate | None = None
        if encoding and encoding.lower() != b"identity":
            self._inflate = Inflate(encoding.decode("latin-1").lower())

    @property
    def headers(self) -> dict[str, str]:
        """The head's fields, each byte of a value as one character (ISO 8859-1)."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self._fields.items()}

    def header(self, name: bytes) -> str:
        """One field by its lower-case name; empty where it is missing."""
        return self._fields.get(name, b"").decode("latin-1")

    @property
    def content_type(self) -> str:
        """The media type, lower case and without parameters."""
        kind = self._fields.get(b"content-type", b"")
        if kind == b"application/json":  # by far the commonest
            return "application/json"
        return kind.partition(b";")[0].strip().lower().decode("latin-1")

    def feed(self, data: bytes) -> None:
        """For the connection: some of the body has come."""
        self._pieces.append(data)
        self._size = size = self._size + len(data)
        if size > HIGH_WATER and self._source is not None:
            self._source.pause()
        if self._waiter is not None and size >= self._enough:
            self._wake()

    def finish(self, error: Exception | None = None) -> None:
        """For the connection: no more comes, and why where that is not the end."""
        self.ended, self._error, self._source = True, error, None
        if self._waiter is not None:
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def at_once(self) -> bytes:
        """What is left of a body that has come to its end and is not compressed, without waiting; empty otherwise.

        No more than waits unread, see HIGH_WATER.
        """
        if not self.ended or self._inflate is not None or self._error is not None:
            return b""
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def piece(self, enough: int = 1) -> bytes:
        """What has come of the body since the last time, or comes next; empty at the end.

        Waits for at least `enough` bytes (before they are unpacked), or for the end: HIGH_WATER at most, since then the
        connection waits, too.

        Raises:
            Broken, NotHttp: there is no more, and that is not the end.
            BadEncoding: it is not compressed as its head says.
        """
        self._enough = enough
        inflate = self._inflate
        if inflate is None:
            return await self._next()
        while not (found := inflate.piece()):
            data = await self._next()
            if not data:
                inflate.finish()
                return b""
            inflate.feed(data)
        # A few bytes may unpack to a great many pieces without waiting for anything: others have their turn between.
        await asyncio.sleep(0)
        return found

    async def _next(self) -> bytes:
        while not self.ended and self._size < self._enough:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        pieces = self._pieces
        if not pieces:
            if self._error is not None:
                raise self._error
            return b""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces, self._size = [], 0
        if self._source is not None:
            self._source.resume()
        return data

    async def read(self, limit: int) -> bytes:
        """The body, or at least `limit` bytes of it. Raises as `piece` does."""
        found = bytearray()
        while len(found) < limit and (piece := await self.piece(min(limit, HIGH_WATER))):
            found += piece
        return bytes(found)

    def close(self) -> None:
        """Done with it. Where it has not ended, nor will the connection be used again."""
        source, self._source = self._source, None
        if source is not None:
            self.finish(Broken("it was closed"))
            source.abort()
