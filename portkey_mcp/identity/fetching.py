"""What identity providers are asked over HTTP: bounded in time and size, and never where an answer redirects to.

Whom to ask is an admin's word, so addresses inside the own network are allowed, unlike for URLs that strangers give.
"""

import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote_plus, urlsplit

import anyio
import httpx2

from portkey_mcp.errors import PortkeyError
from portkey_mcp.wire import Json, MalformedJson, loads

SECONDS: Final = 10.0
"""That an answer may take as a whole."""

LARGEST: Final = 256 * 1024
"""Bytes of an answer."""


class IssuerDown(PortkeyError):
    """An identity provider gave no answer that can be used; `str()` says which and why, for the log."""


class Fetching:
    """Asks. `close` it at the end; what it needs is made when it first asks."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._http: httpx2.AsyncClient | None = None

    async def get(self, url: str) -> Json:
        """The JSON object at a URL.

        Raises:
            IssuerDown: there is none, it is too large, or it takes too long.
        """
        return await self._ask("GET", url)

    async def post(self, url: str, form: Mapping[str, str], client: str = "", secret: str = "") -> Json:
        """The JSON object that answers a form, sent with the credentials of a client (RFC 6749, section 2.3.1).

        Raises:
            IssuerDown: there is none, it is too large, or it takes too long.
        """
        basic = httpx2.BasicAuth(quote_plus(client), quote_plus(secret)) if client else None
        return await self._ask("POST", url, data=dict(form), auth=basic)

    async def close(self) -> None:
        """Close what is open."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def _ask(self, method: str, url: str, **more: Any) -> Json:
        try:
            host = urlsplit(url).netloc
        except ValueError:
            raise IssuerDown(f"{url!r} is no URL") from None
        try:
            # Whoever waits for an answer may leave; others wait for the same one, and the time is bounded anyway.
            with anyio.CancelScope(shield=True), anyio.fail_after(self._seconds):
                answer = await self._read(method, url, **more)
        except TimeoutError:
            raise IssuerDown(f"{host} did not answer within {self._seconds:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, OSError) as error:
            raise IssuerDown(f"{host} cannot be reached ({type(error).__name__})") from None
        try:
            found = loads(answer)
        except MalformedJson:
            found = None
        if not isinstance(found, dict):
            raise IssuerDown(f"{host} answered something that is no JSON object")
        return found

    async def _read(self, method: str, url: str, **more: Any) -> bytes:
        if self._http is None:
            self._http = httpx2.AsyncClient(follow_redirects=False, timeout=self._seconds)
        read = bytearray()
        # Not compressed: a few bytes could become any number.
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        async with self._http.stream(method, url, headers=headers, **more) as response:
            if response.status_code != 200:
                raise IssuerDown(f"{urlsplit(url).netloc} answered with HTTP status {response.status_code}")
            async for chunk in response.aiter_raw():
                read += chunk
                if len(read) > LARGEST:
                    raise IssuerDown(f"{urlsplit(url).netloc} answered more than {LARGEST:,} bytes")
        return bytes(read)
