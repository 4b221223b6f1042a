"""One connection to an upstream: HTTP/1.1 (RFC 9112), one request at a time, kept alive between them."""

import asyncio
from collections.abc import Callable
from typing import Final, cast

import httptools

from portkey_mcp.upstream.inflating import BadEncoding
from portkey_mcp.upstream.response import Broken, NotHttp, Response

MAX_HEAD: Final = 64 * 1024
"""Bytes of heads, or of trailers and chunk extensions in a row: eight times what servers and proxies accept."""

OnChange = Callable[["Connection"], None]


class Surplus(Exception):
    """More came than the answer that was asked for."""


class Connection(asyncio.Protocol):
    """See the module. `on_free` is told when the next request may go, `on_lost` when none may any more.

    Whatever comes that was not asked for ends the connection, so that no answer can be taken for another one's.
    """

    def __init__(self, origin: tuple[str, str, int], on_free: OnChange, on_lost: OnChange) -> None:
        self.origin = origin
        self.free_since = 0.0
        self._on_free, self._on_lost = on_free, on_lost
        self._parser = httptools.HttpResponseParser(self)
        # As lenient as clients are with old servers, where it cannot change what a message says.
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True)
        self.transport: asyncio.Transport
        self._asking: asyncio.Future[Response] | None = None
        self._response: Response | None = None
        self._fields: dict[bytes, bytes] = {}
        self._reason = b""
        self._unframed = 0
        self._is_complete = self._keeps_alive = self._is_paused = self._has_heard = False
        self.is_lost = False

    @property
    def is_usable(self) -> bool:
        """Whether a request may be sent."""
        return self._asking is None and not self.is_lost and not self.transport.is_closing()

    async def ask(self, request: bytes) -> Response:
        """Send a whole request and wait for the head of its answer. Cancelling it closes the connection.

        Raises:
            Broken, NotHttp: there is no answer.
            BadEncoding: there is one, which cannot be read.
        """
        asking: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._asking = asking
        self._unframed, self._has_heard = 0, False
        self.transport.write(request)
        try:
            return await asking
        except BaseException:
            if self._asking is asking:
                self.abort()
            raise

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own does not inherit from it

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._asking is None:
            self.abort()
            return
        self._has_heard = True
        self._unframed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(NotHttp("it changes to another protocol"))
        except httptools.HttpParserError as error:
            ours = error.__context__
            self._fail(ours if isinstance(ours, NotHttp | BadEncoding) else NotHttp(str(error)))
        else:
            if self._is_complete:
                self._settle()
            elif self._unframed > MAX_HEAD:
                self._fail(NotHttp(f"its head is longer than {MAX_HEAD} bytes"))

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self.is_lost = True
        self._on_lost(self)
        if self._asking is None:
            return
        response = self._response
        if response is not None and error is None and not _has_length(self._fields):
            self._asking = self._response = None
            response.finish()
        else:
            why = str(error) or type(error).__name__ if error else "the server closed it"
            self._fail(Broken(why, unanswered=not self._has_heard))

    # What the parser tells.

    def on_message_begin(self) -> None:
        if self._is_complete:
            raise Surplus
        self._fields, self._reason = {}, b""

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._response is None:  # a trailer otherwise
            fields, name = self._fields, name.lower()
            if name in fields:
                value = fields[name] + b", " + value
            fields[name] = value

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            return
        coding = self._fields.get(b"transfer-encoding")
        if coding is not None and coding.strip().lower() != b"chunked":
            raise NotHttp("its Transfer-Encoding is unknown")
        self._keeps_alive = self._parser.should_keep_alive()
        response = self._response = Response(self, status, self._reason.decode("latin-1"), self._fields)
        assert self._asking is not None
        if not self._asking.done():
            self._asking.set_result(response)

    def on_body(self, body: bytes) -> None:
        self._unframed = 0
        if self._response is not None:
            self._response.feed(body)

    def on_message_complete(self) -> None:
        # An answer below 200 comes before the one that was asked for.
        if self._response is not None:
            self._response.finish()
            self._is_complete = True

    # What the response asks, see `Source`.

    def pause(self) -> None:
        """Read nothing for a while."""
        if not self._is_paused and not self.transport.is_closing():
            self._is_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._is_paused and not self.transport.is_closing():
            self._is_paused = False
            self.transport.resume_reading()

    def abort(self) -> None:
        """Close it now, whatever comes."""
        self._asking = self._response = None
        self.transport.abort()

    def end(self, why: str) -> None:
        """Close it now, and tell whoever waits for an answer."""
        self._fail(Broken(why))

    def _settle(self) -> None:
        """The answer is complete. A request that it came before the end of cannot be followed by another."""
        self._asking = self._response = None
        self._is_complete = False
        if self._keeps_alive and not self.transport.is_closing() and not self.transport.get_write_buffer_size():
            if self._is_paused:
                self.resume()
            self._on_free(self)
        else:
            self.transport.abort()

    def _fail(self, error: Exception) -> None:
        asking, response = self._asking, self._response
        self._asking = self._response = None
        if response is not None and not self._is_complete:
            response.finish(error)
        elif asking is not None and not asking.done():
            asking.set_exception(error)
            asking.exception()  # marks it as seen: perhaps nobody waits any more
        self.transport.abort()


def _has_length(fields: dict[bytes, bytes]) -> bool:
    """Whether a message says itself where it ends (RFC 9112 section 6.3)."""
    return b"content-length" in fields or b"transfer-encoding" in fields
