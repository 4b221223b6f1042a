"""HTTP as the doctor speaks it: bounded bodies, bounded time, no redirect followed, no proxy of the environment.

Any URL is asked, of any host: the command line is the administrator's own. Who lets strangers name URLs must not use it
as it is.
"""

import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import anyio
import httpx2

from portkey_mcp.doctor.answer import Answer
from portkey_mcp.doctor.finding import quoted
from portkey_mcp.wire import Json, dumps

MOST_BYTES: Final = 4 * 1024 * 1024
"""Of a body that are read; a list of some hundred tools fits."""

CLAUDE_USER: Final = "Claude-User"
"""The User-Agent of hosted Claude's MCP requests (clients.md section 1)."""

PYTHON_HTTPX: Final = "python-httpx/0.28.1"
"""The User-Agent of its requests for metadata, registration and tokens."""


class Fetch:
    """Asks URLs, each within `patience` seconds; what goes wrong is an answer, too."""

    def __init__(self, http: httpx2.AsyncClient, patience: float) -> None:
        self._http, self._patience = http, patience

    async def get(self, url: str, *, agent: str = PYTHON_HTTPX, accept: str = "application/json, */*") -> Answer:
        """GET. Of an event stream only the head is read: it may never end."""
        return await self._ask("GET", url, {"user-agent": agent, "accept": accept})

    async def post_json(
        self, url: str, message: Json, *, agent: str = PYTHON_HTTPX, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """POST a JSON object. An event stream is read up to the first answer that it holds."""
        sent = {
            "user-agent": agent,
            "accept": "application/json",
            "content-type": "application/json",
            **(headers or {}),
        }
        return await self._ask("POST", url, sent, dumps(message))

    async def post_form(self, url: str, form: Mapping[str, str]) -> Answer:
        """POST a form, as RFC 6749 section 4.1.3 has it."""
        content = str(httpx2.QueryParams(dict(form))).encode()
        sent = {"user-agent": PYTHON_HTTPX, "accept": "application/json"}
        return await self._ask("POST", url, {**sent, "content-type": "application/x-www-form-urlencoded"}, content)

    async def delete(self, url: str, headers: Mapping[str, str]) -> Answer:
        """DELETE, for the end of a session."""
        return await self._ask("DELETE", url, {"user-agent": CLAUDE_USER, **headers})

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None) -> Answer:
        began = time.perf_counter()
        try:
            with anyio.fail_after(self._patience):
                request = self._http.build_request(
                    method, url, headers={**headers, "accept-encoding": "identity"}, content=content
                )
                response = await self._http.send(request, stream=True)
                try:
                    body, cut = await _body(response, method)
                finally:
                    await response.aclose()
        except TimeoutError:
            failure = f"no answer within {self._patience:g} seconds"
            return Answer(url, seconds=time.perf_counter() - began, failure=failure)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            failure = f"no answer: {quoted(str(error) or type(error).__name__)}"
            return Answer(url, seconds=time.perf_counter() - began, failure=failure)
        seen: dict[str, str] = {}
        for name, value in response.headers.multi_items():
            seen[name.lower()] = f"{seen[name.lower()]}, {value}" if name.lower() in seen else value
        return Answer(url, response.status_code, seen, body, time.perf_counter() - began, cut=cut)


async def _body(response: httpx2.Response, method: str) -> tuple[bytes, bool]:
    """The body as far as it is wanted, and whether there was more than may be read."""
    stream = response.headers.get("content-type", "").lower().startswith("text/event-stream")
    if stream and method == "GET":
        return b"", False
    body = b""
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > MOST_BYTES:
            return body[:MOST_BYTES], True
        if stream and (b'"result"' in body or b'"error"' in body) and body.endswith((b"\n\n", b"\r\n\r\n")):
            break
    return body, False


@asynccontextmanager
async def fetching(trust: ssl.SSLContext, patience: float) -> AsyncIterator[Fetch]:
    """A `Fetch` that believes the certificates that `trust` believes."""
    async with httpx2.AsyncClient(
        verify=trust, trust_env=False, follow_redirects=False, timeout=httpx2.Timeout(patience)
    ) as http:
        yield Fetch(http, patience)
