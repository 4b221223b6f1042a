"""HTTP as MCP uses it: one POST a message, the answer JSON or a stream of events. No era is known here.

A thin client on one shared `aiohttp.ClientSession`, in place of the SDK's transport: there, one failed POST ends every
other call, an HTTP error loses its status and headers, and a message forgets which call's stream it came on.
"""

import email.utils
import time
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from portkey_mcp import __version__, wire
from portkey_mcp.errors import UpstreamDown, UpstreamError
from portkey_mcp.upstream.breaker import Gate
from portkey_mcp.upstream.stream import EVENT_STREAM, BrokenOff, Stream, error_text
from portkey_mcp.wire import Json

CONNECT_TIMEOUT = 10.0
"""Seconds for TCP and TLS: a reachable host needs well under one, a dropped SYN is sent again after 1, 3 and 7."""
KEEP_ALIVE = 4.0
"""Seconds an idle connection is kept: below the 5 after which uvicorn and Node close theirs, or a POST would now and
then meet a connection that is just being closed, and could not be repeated."""
MAX_ERROR_BODY = 1024 * 1024
"""Bytes read of an answer that is an HTTP error."""
MAX_REDIRECTS = 3
"""Same-origin 307/308 hops that are followed; more is a loop."""


def open_session() -> aiohttp.ClientSession:
    """The HTTP session of one process: no cookies (they would cross principals), no proxy or netrc surprises."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"portkey-mcp/{__version__}"},
    )


class Exchange:
    """The address of one upstream: its URL, its static headers, and the breaker that guards connecting to it."""

    def __init__(self, session: aiohttp.ClientSession, url: str, headers: dict[str, str], gate: Gate) -> None:
        self.server = gate.server
        self._session, self._gate = session, gate
        try:
            self._url = URL(url)
        except ValueError as error:
            raise UpstreamDown(self.server, f"its URL is not one: {error}") from None
        if self._url.scheme not in ("http", "https") or not self._url.host:
            raise UpstreamDown(self.server, "its URL must begin with http:// or https:// and a host")
        self._headers = CIMultiDict(headers)

    async def send(self, verb: str, headers: dict[str, str], message: Json | None = None) -> aiohttp.ClientResponse:
        """Send one request and wait for the head of the answer, whatever its status. The caller closes it.

        Raises:
            UpstreamDown: no answer; `sent` is False only when no connection was made.
        """
        self._gate.enter()
        merged = self._headers.copy()
        merged.update(headers)
        body = None
        if message is not None:
            merged["Content-Type"] = "application/json"
            body = wire.dumps(message)
        try:
            response = await self._follow(verb, merged, body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            reason = _unreachable(error)
            self._gate.failed(reason)
            raise UpstreamDown(self.server, reason) from error
        except (aiohttp.InvalidURL, ValueError) as error:
            raise UpstreamDown(self.server, f"the request could not be built: {error}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise BrokenOff(self.server, f"the connection broke: {error_text(error)}", sent=True) from error
        if response.status < 500:
            self._gate.succeeded()
        return response

    async def _follow(self, verb: str, headers: CIMultiDict[str], body: bytes | None) -> aiohttp.ClientResponse:
        url = self._url
        for _ in range(MAX_REDIRECTS):
            response = await self._session.request(verb, url, data=body, headers=headers, allow_redirects=False)
            location = response.headers.get("Location", "")
            if response.status not in (307, 308) or not location:
                return response
            target = url.join(URL(location))
            if target.origin() != url.origin():
                return response
            response.release()
            url = target
        return response

    async def open(self, verb: str, headers: dict[str, str], message: Json | None = None) -> Stream:
        """Send and expect messages back.

        Raises:
            UpstreamError: an HTTP error whose body is a JSON-RPC error.
            UpstreamDown: any other HTTP error, or no answer.
        """
        response = await self.send(verb, {"Accept": f"application/json, {EVENT_STREAM}", **headers}, message)
        if response.status >= 300:
            raise await self.refused(response)
        return Stream(self.server, response)

    async def deliver(self, headers: dict[str, str], message: Json) -> None:
        """POST what gets no answer: a notification, or a response of ours. Raises as `open` does."""
        stream = await self.open("POST", headers, message)
        stream.close()

    async def refused(self, response: aiohttp.ClientResponse) -> UpstreamError | UpstreamDown:
        """What an HTTP status from 300 up means; reads and ends the response."""
        headers = {name.lower(): value for name, value in response.headers.items()}
        status = response.status
        try:
            body = await response.content.read(MAX_ERROR_BODY)
        except (aiohttp.ClientError, OSError):
            body = b""
        finally:
            response.close()
        try:
            answer: Any = wire.loads(body)
        except wire.MalformedJson:
            answer = None
        if isinstance(answer, dict) and answer.get("jsonrpc") == "2.0" and isinstance(answer.get("error"), dict):
            return UpstreamError(answer["error"], status, headers)
        reason = f"it answered HTTP {status} {response.reason or ''}".rstrip()
        if status < 400:
            reason = f"it redirects to another place (HTTP {status}), which is not followed"
        retry_after = _retry_after(headers.get("retry-after", ""))
        return UpstreamDown(self.server, reason, status, retry_after, sent=True, headers=headers)


def _unreachable(error: Exception) -> str:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "it could not be reached: no connection within 10 s"
    return f"it could not be reached: {error_text(error)}"


def _retry_after(value: str) -> float | None:
    """Seconds, from RFC 9110 section 10.2.3: delay-seconds or an HTTP date."""
    if value.isdigit():
        return float(value)
    parsed = email.utils.parsedate_tz(value)
    return None if parsed is None else max(0.0, email.utils.mktime_tz(parsed) - time.time())
