"""Asking an identity provider over HTTP: within bounds, and with one error for everything that goes wrong.

Providers are named by whoever runs the gateway, so they may be on a private network; their answers are bounded all the
same. Redirects are not followed: what a provider is asked for it tells by the URLs of its metadata.
"""

import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from ssl import SSLContext
from typing import Any, Final
from urllib.parse import quote_plus, urlsplit

import anyio
import anyio.to_thread
import httpx2

from portkey_mcp.errors import ProviderDown
from portkey_mcp.settings import is_loopback

log = logging.getLogger(__name__)

SECONDS: Final = 10.0
"""How long one answer may take, from the first byte sent to the last one read."""

LARGEST: Final = 512 * 1024
"""Bytes of one answer."""


class TooLarge(httpx2.TransportError):
    """The answer has more bytes than are read, or is compressed, so that nobody knows how many it has."""


class Fetching:
    """Makes clients for providers. What costs time to make is made once: the certificates that are trusted."""

    def __init__(self) -> None:
        self._trusted: SSLContext | None = None

    async def transport(self) -> httpx2.AsyncBaseTransport:
        """A transport for one client, which closes it."""
        if self._trusted is None:
            self._trusted = await anyio.to_thread.run_sync(httpx2.create_ssl_context)
        return _Bounded(httpx2.AsyncHTTPTransport(verify=self._trusted))

    async def document(self, url: str, whose: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object at a URL; `whose` is the provider's name, for a person.

        Raises:
            ProviderDown: there is none, or it cannot be read.
        """
        return await self._answer("GET", url, whose, headers={"Accept": "application/json", **(headers or {})})

    async def answer(self, url: str, whose: str, form: Mapping[str, str], client: str, secret: str) -> dict[str, Any]:
        """The JSON object that answers a form, sent with the credentials of a client (RFC 6749, section 2.3.1).

        Raises:
            ProviderDown: there is none, or it cannot be read.
        """
        basic = httpx2.BasicAuth(quote_plus(client), quote_plus(secret))
        return await self._answer("POST", url, whose, data=dict(form), auth=basic)

    async def _answer(self, method: str, url: str, whose: str, **more: Any) -> dict[str, Any]:
        async with within(whose):
            async with httpx2.AsyncClient(transport=await self.transport(), timeout=SECONDS) as client:
                answer = await client.request(method, url, **more)
            if answer.status_code != 200:
                raise ProviderDown(f"{whose} answered with status {answer.status_code}.")
            found = answer.json()
        if not isinstance(found, dict):
            raise ProviderDown(f"{whose} answered with something that is no JSON object.")
        return found


@asynccontextmanager
async def within(whose: str) -> AsyncIterator[None]:
    """Give an exchange with a provider its time, and tell of everything that goes wrong as `ProviderDown`."""
    with _told(whose), anyio.fail_after(SECONDS):
        yield


@contextmanager
def _told(whose: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise ProviderDown(f"{whose} did not answer in time.") from None
    except httpx2.HTTPError as error:
        log.warning("%s cannot be asked: %s", whose, error or type(error).__name__)
        raise ProviderDown(f"{whose} cannot be reached.") from None
    except (ValueError, httpx2.InvalidURL):  # JSON that is none is a ValueError, and so is text in no encoding
        raise ProviderDown(f"{whose} gave an answer that cannot be read.") from None


def usable_url(url: object) -> bool:
    """Whether a URL out of a provider's metadata may be used: https, or http on this machine for trying things out."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    return secure and bool(host) and parts.username is None and not parts.fragment


class _Bounded(httpx2.AsyncBaseTransport):
    """Another transport, which asks for nothing compressed and reads no more than `LARGEST` bytes of an answer."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["Accept-Encoding"] = "identity"
        answer = await self._inner.handle_async_request(request)
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            await answer.aclose()
            raise TooLarge("the answer is compressed, although that was not asked for")
        assert isinstance(answer.stream, httpx2.AsyncByteStream)
        return httpx2.Response(answer.status_code, headers=answer.headers, stream=_BoundedStream(answer.stream))

    async def aclose(self) -> None:
        await self._inner.aclose()


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._inner:
            size += len(part)
            if size > LARGEST:
                raise TooLarge(f"the answer has more than {LARGEST} bytes")
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()
