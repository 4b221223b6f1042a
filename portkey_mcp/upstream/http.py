"""HTTP as MCP uses it: one POST a message, the answer JSON or a stream of events. No era is known here.

A thin client of our own, in place of the SDK's transport: there, one failed POST ends every other call, an HTTP error
loses its status and headers, and a message forgets which call's stream it came on. General HTTP clients cost a call
several times what the rest of the gateway does.
"""

import asyncio
import copy
import email.utils
import time
from collections.abc import Mapping
from typing import Any

from portkey_mcp import wire
from portkey_mcp.errors import UpstreamDown, UpstreamError
from portkey_mcp.upstream import address as addresses
from portkey_mcp.upstream.address import Address
from portkey_mcp.upstream.breaker import Gate
from portkey_mcp.upstream.connections import Connections, Unreachable
from portkey_mcp.upstream.heads import Heads, Verb, lines
from portkey_mcp.upstream.inflating import BadEncoding
from portkey_mcp.upstream.response import Broken, NotHttp, Response
from portkey_mcp.upstream.stream import BrokenOff, Stream
from portkey_mcp.wire import Json, Raw

MAX_ERROR_BODY = 1024 * 1024
"""Bytes read of an answer that is an HTTP error."""
ERROR_PATIENCE = 5.0
"""Seconds the body of such an answer may take; its status says enough."""
MAX_REDIRECTS = 3
"""Same-origin 307/308 hops that are followed; more is a loop."""


class Exchange:
    """The address of one upstream: its URL, its static headers, and the breaker that guards connecting to it.

    `brings_any`: see `Heads`.
    """

    _follows = True
    """Whether `send` follows redirects by itself."""

    def __init__(
        self,
        connections: Connections,
        url: str,
        headers: Mapping[str, str],
        gate: Gate,
        *,
        brings_any: bool = False,
    ) -> None:
        """Raises UpstreamDown where the URL is not one, or the headers cannot be sent."""
        self._brings_any = brings_any
        self.server = gate.server
        self._connections, self._gate, self._configured = connections, gate, headers
        try:
            self.address = addresses.read(url)
        except ValueError as error:
            raise UpstreamDown(self.server, f"its URL is not one: {error}") from None
        try:
            self._heads = self._heads_of(self.address)
        except ValueError as error:
            raise UpstreamDown(self.server, f"the request could not be built: {error}") from None

    def lines(self, headers: Mapping[str, str]) -> bytes:
        """Headers of single requests, as `send` takes them. Raises UpstreamDown for what no header can be."""
        try:
            return lines(headers)
        except ValueError as error:
            raise UpstreamDown(self.server, f"the request could not be built: {error}") from None

    def beside(self, reference: str) -> "Exchange":
        """The exchange with another place of the same origin. Raises UpstreamDown where it is none."""
        there = beside(self.address, reference)
        if there is None:
            raise UpstreamDown(self.server, "it wants its messages sent to another origin", sent=True)
        return self.at(there)

    def at(self, address: Address) -> "Exchange":
        """The same exchange with another address."""
        exchange = copy.copy(self)
        exchange.address, exchange._heads = address, self._heads_of(address)
        return exchange

    def _heads_of(self, address: Address) -> Heads:
        return Heads(address, self._configured, brings_any=self._brings_any)

    async def send(self, verb: Verb, own_lines: bytes = b"", message: Json | None = None) -> Response:
        """Send one request and wait for the head of the answer, whatever its status. The caller closes it.

        Raises:
            UpstreamDown: no answer; `sent` is False only when no connection was made.
        """
        self._gate.enter()
        body = None if message is None else wire.dumps(message)
        request = self._heads.render(verb, own_lines, body)
        try:
            response = await self._connections.ask(self.address, request, repeatable=verb != "POST")
            if response.status in (307, 308) and self._follows:
                response = await self._follow(response, verb, own_lines, body)
        except Unreachable as error:
            reason = f"it could not be reached: {error}"
            self._gate.failed(reason)
            raise UpstreamDown(self.server, reason) from error
        except Broken as error:
            raise BrokenOff(self.server, f"the connection broke: {error}", sent=True) from error
        except (NotHttp, BadEncoding) as error:
            raise UpstreamDown(self.server, f"it sent what is not HTTP: {error}", sent=True) from error
        if response.status < 500:
            self._gate.succeeded()
        return response

    async def _follow(self, response: Response, verb: Verb, own_lines: bytes, body: bytes | None) -> Response:
        """The redirect's target's answer, within the same origin; elsewhere, or after too many, the redirect itself."""
        here = self.address
        for _ in range(MAX_REDIRECTS - 1):
            there = beside(here, response.header(b"location"))
            if response.status not in (307, 308) or there is None:
                return response
            response.close()
            here = there
            request = self._heads_of(here).render(verb, own_lines, body)
            response = await self._connections.ask(here, request)
        return response

    async def open(
        self, verb: Verb, own_lines: bytes = b"", message: Json | None = None, last: Raw | None = None
    ) -> Stream:
        """Send and expect messages back; `last` is what the result may be again, see `reading.read`.

        Raises:
            UpstreamError: an HTTP error whose body is a JSON-RPC error.
            UpstreamDown: any other HTTP error, or no answer.
        """
        response = await self.send(verb, own_lines, message)
        if response.status >= 300:
            raise await self.refused(response)
        return Stream(self.server, response, last)

    async def deliver(self, own_lines: bytes, message: Json) -> None:
        """POST what gets no answer: a notification, or a response of ours. Raises as `open` does."""
        stream = await self.open("POST", own_lines, message)
        stream.close()

    async def refused(self, response: Response) -> UpstreamError | UpstreamDown:
        """What an HTTP status from 300 up means; reads and ends the response."""
        headers, status = response.headers, response.status
        try:
            async with asyncio.timeout(ERROR_PATIENCE):
                body = await response.read(MAX_ERROR_BODY)
        except (Broken, NotHttp, BadEncoding, TimeoutError):
            body = b""
        finally:
            response.close()
        try:
            answer: Any = wire.loads(body)
        except wire.MalformedJson:
            answer = None
        if isinstance(answer, dict) and answer.get("jsonrpc") == "2.0" and isinstance(answer.get("error"), dict):
            return UpstreamError(answer["error"], status, headers)
        reason = f"it answered HTTP {status} {response.reason}".rstrip()
        if status < 400:
            reason = f"it redirects to another place (HTTP {status}), which is not followed"
        retry_after = _retry_after(headers.get("retry-after", ""))
        return UpstreamDown(self.server, reason, status, retry_after, sent=True, headers=headers)


def beside(here: Address, location: str) -> Address | None:
    """Where a redirect leads within the same origin; None where it leads elsewhere, or nowhere."""
    try:
        return here.beside(location) if location else None
    except ValueError:
        return None


def _retry_after(value: str) -> float | None:
    """Seconds, from RFC 9110 section 10.2.3: delay-seconds or an HTTP date."""
    if value.isascii() and value.isdigit():
        return float(value)
    parsed = email.utils.parsedate_tz(value)
    return None if parsed is None else max(0.0, email.utils.mktime_tz(parsed) - time.time())
