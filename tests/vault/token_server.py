"""A little token endpoint that a test can bend: it counts, rotates refresh tokens, and refuses each old one.

Over HTTP by `served`, for tests with several processes; `renewal` is what the vault is handed to ask it.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qs

import anyio
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from portkey_mcp.vault.connection import Connection, Credential
from tests.stories.gateway import serving
from tests.vault.renewer import answered


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class TokenServer:
    """`refresh` is the token that is good. `hold` delays answers until it is set; `entered` tells that one waits."""

    refresh: str = "r-1"
    requests: int = 0
    status: int = 200
    error: str = ""
    rotates: bool = True
    life: int | None = 3600
    now: Callable[[], datetime] = _now
    hold: anyio.Event = field(default_factory=anyio.Event)
    entered: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self.hold.set()

    def delay(self) -> None:
        """From now on answers wait until `hold` is set."""
        self.hold, self.entered = anyio.Event(), anyio.Event()

    async def answer(self, refresh: str) -> tuple[int, dict[str, object]]:
        """Status and JSON of the answer to a refresh request."""
        self.requests += 1
        number, status, error = self.requests, self.status, self.error
        if refresh != self.refresh:
            return 400, {"error": "invalid_grant"}
        if status == 200 and not error and self.rotates:
            self.refresh = f"r-{number + 1}"  # from here on the old one is gone, whether the answer arrives or not
        self.entered.set()
        await self.hold.wait()
        if error:
            return 400, {"error": error}
        new = {"refresh_token": self.refresh} if self.rotates else {}
        return status, {"access_token": f"a-{number + 1}", "expires_in": self.life, **new}

    async def renew(self, before: Connection | None) -> Credential:
        """A token request without a network, as `TokenRequests` would make it."""
        assert before is not None
        assert before.credential.tokens is not None
        return answered(before, *await self.answer(before.credential.tokens.refresh), self.now())


@asynccontextmanager
async def served() -> AsyncIterator[tuple[TokenServer, str]]:
    """One that listens; and its URL."""
    server, app = TokenServer(), FastAPI()

    @app.post("/token")
    async def token(request: Request) -> JSONResponse:
        form = parse_qs((await request.body()).decode())
        status, body = await server.answer(form["refresh_token"][0])
        return JSONResponse(body, status)

    async with serving(app) as url:
        yield server, f"{url}/token"
