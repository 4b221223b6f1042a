"""One admitted HTTP request: what it brought, and what its client takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from starlette.types import Receive, Scope, Send

from portkey_mcp.errors import Refusal
from portkey_mcp.gateway.changes import Again
from portkey_mcp.model import Visit


@dataclass
class TooLarge(Refusal):
    """The body is larger than the gateway takes."""

    limit: int

    def __str__(self) -> str:
        return f"The body is larger than the {self.limit} bytes this gateway accepts"


@dataclass(slots=True, eq=False)
class Arrival:
    """A request that admission let in. `again` admits it anew, as things are then.

    `headers` are by name in lower case, the last of several; `duplicates` are all lines, when some name came twice.
    """

    method: str
    visit: Visit
    again: Again
    headers: Mapping[str, str]
    duplicates: Sequence[tuple[str, str]]
    receive: Receive
    send: Send

    async def body(self, limit: int) -> bytes:
        """Read the whole body; empty when the client left before its end.

        Raises:
            TooLarge: as soon as that is certain.
        """
        length = self.headers.get("content-length", "")
        if length.isdecimal() and int(length) > limit:
            raise TooLarge(limit)
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                return b""
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise TooLarge(limit)
            if not message.get("more_body", False):
                return b"".join((*chunks, chunk)) if chunks else chunk
            chunks.append(chunk)


def headers_of(scope: Scope) -> dict[str, str]:
    """A request's headers by name in lower case.

    White space around a value is not part of it (RFC 9110 section 5.5); not every HTTP parser takes it off.
    """
    return {name.decode("latin-1"): value.strip(b" \t").decode("latin-1") for name, value in scope["headers"]}


def duplicates_of(scope: Scope, headers: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """All header lines where a name came more than once, which is rare; else nothing."""
    if len(headers) == len(scope["headers"]):
        return ()
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]


@lru_cache(256)
def accepted(accept: str) -> tuple[bool, bool]:
    """What an Accept header allows: an event stream, and JSON (RFC 9110 section 12.5.1, weights left aside)."""
    accept = accept.lower()
    may_stream = any(kind in accept for kind in ("text/event-stream", "*/*", "text/*"))
    return may_stream, may_stream or "application/json" in accept or "application/*" in accept
