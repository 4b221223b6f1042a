"""A protected MCP server with an authorization server of its own, as an upstream: real parts, for whole journeys.

The authorization server is npm's `oidc-provider` in a process of its own, which can be paused, and stopped and started
again. The MCP server runs in the test's process; it takes tokens that were issued for its own URL and for nothing else.
"""

import json
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2
from anyio.abc import Process

from tests.stories.browser import Browser
from tests.stories.node import PROGRAMS, TOOLS
from tests.stories.protected_server import SCOPES, Protected, protected
from tests.stories.upstreams import READY

USERS = ("upstream-ada", "upstream-bob", "upstream-team")
"""Who can sign in at the authorization server."""

Json = dict[str, Any]


@dataclass
class AuthorizationServer:
    """The authorization server. `issuer` stays the same when it is started again on the same `state`."""

    state: Path
    about: Json
    issuer: str = ""
    process: Process | None = None
    given: set[str] = field(default_factory=set, repr=False)
    """All that it gave out which is nobody else's business, as far as `seen` was asked; kept when it is stopped."""
    _paused: bool = False

    async def start(self) -> None:
        """Start it, at the port it had before, and return when it accepts connections."""
        port = urlsplit(self.issuer).port if self.issuer else 0
        command = ["node", str(PROGRAMS / "oidc_upstream.mjs"), str(port), str(self.state), json.dumps(self.about)]
        environment = {**os.environ, "PORTKEY_MCP_TOOLS": str(TOOLS)}
        self.process = await anyio.open_process(command, env=environment, stdout=PIPE, stderr=PIPE)
        assert self.process.stdout is not None
        said = b""
        with anyio.fail_after(READY):
            while b"\n" not in said:
                said += await self.process.stdout.receive()
        self.issuer = said.decode().split()[1]

    async def stop(self) -> None:
        """End it; connections are refused from now on, and what it knew is in `state`."""
        if self.process is not None:
            if not self._paused:
                await self.seen()
            self.process.kill()
            await self.process.aclose()
            self.process = None

    def pause(self) -> None:
        """Let it hang: connections are taken, and nothing is answered."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        self._paused = True

    def go_on(self) -> None:
        """End a pause."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self._paused = False

    async def seen(self) -> Json:
        """What happened since it was started: `granted` and `refused` token requests by grant type, how many clients
        `registered`, how often a token was `revoked`; `secrets`, all that it gave out which is nobody else's business.
        """
        seen = await self._control("GET", "")
        self.given |= set(seen["secrets"])
        return seen

    async def requests(self, grant_type: str) -> int:
        """How many token requests of this type came since it was started, whatever became of them."""
        seen = await self.seen()
        return int(seen["granted"].get(grant_type, 0)) + int(seen["refused"].get(grant_type, 0))

    async def let_live(self, seconds: int) -> None:
        """Access tokens live this long from now on."""
        self.about["access_seconds"] = seconds
        await self._control("PUT", "", {"access_seconds": seconds})

    async def end_grants(self, user: str) -> None:
        """End all that somebody allowed, as they would on their account's page: no refresh token works any more."""
        await self._control("DELETE", f"/grants/{user}")

    async def _control(self, method: str, path: str, body: Json | None = None) -> Json:
        async with httpx2.AsyncClient(timeout=READY) as http:
            answer = await http.request(method, f"{self.issuer}/control{path}", json=body)
            found: Json = answer.raise_for_status().json()
            return found


@dataclass
class OAuthUpstream:
    """Both servers. `url` is the MCP server's endpoint."""

    server: Protected
    authority: AuthorizationServer = field(repr=False)

    @property
    def url(self) -> str:
        return self.server.url


@asynccontextmanager
async def oauth_upstream(
    folder: Path,
    *,
    access_seconds: int = 600,
    users: Sequence[str] = USERS,
    era: str = "both",
    dpop: bool = False,
) -> AsyncIterator[OAuthUpstream]:
    """Run both until the block ends. The authorization server's state is kept in `folder`, which must be there.

    `dpop` lets it offer tokens that are bound to a key; the MCP server takes plain ones only, as most do.
    """
    about: Json = {"scopes": list(SCOPES), "users": list(users), "access_seconds": access_seconds, "dpop": dpop}
    async with protected(era) as server:
        authority = AuthorizationServer(folder / "authority.json", {**about, "resource": server.url})
        try:
            await authority.start()
            server.issuer = authority.issuer
            yield OAuthUpstream(server, authority)
        finally:
            with anyio.CancelScope(shield=True):
                await authority.stop()


async def sign_in(browser: Browser, user: str) -> None:
    """On the authorization server's page that the browser shows, say who one is, and allow."""
    await browser.page.locator("input[name=user]").fill(user)
    await browser.press("Allow upstream")


async def sign_in_without_browser(url: str, user: str, *, decision: str = "allow") -> str:
    """Do the same over HTTP from an authorization URL on; gives the URL that the client is sent back to.

    Raises:
        AssertionError: the authorization server does not want to.
    """
    async with httpx2.AsyncClient(timeout=READY) as http:
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        answer = await http.get(url)
        while answer.is_redirect:
            url = str(answer.url.join(answer.headers["location"]))
            if not url.startswith(origin):
                return url
            answer = await http.get(url)
            if answer.status_code == 200 and "/interaction/" in url:
                answer = await http.post(url, data={"user": user, "decision": decision})
    raise AssertionError(f"{answer.status_code} at {answer.url}: {answer.text}")
