"""Clients that sign in with OAuth as people really have them; a story says what a person does with the page they open.

Each takes the endpoint's URL and `consent`, which is called with the authorization URL and drives the browser until
the page has sent it back to the client.
"""

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
from anyio.abc import Process
from mcp import Client, StdioServerParameters
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

from tests.stories.callback import callback
from tests.stories.hearing import PATIENCE
from tests.stories.node import PROGRAMS, TOOLS
from tests.stories.opener import opener

Consent = Callable[[str], Awaitable[None]]


class Kept:
    """What the Python SDK's client keeps between two runs (its `TokenStorage`); a story may look, and spoil it."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None
        self.auth: OAuthClientProvider | None = None

    def expire(self) -> None:
        """Let the access token of the open client be too old, by the client's own clock: it refreshes it first."""
        assert self.auth is not None
        self.auth.context.token_expiry_time = 1  # 0 would be: not known

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@asynccontextmanager
async def sdk_client(
    url: str, consent: Consent, kept: Kept, *, scope: str | None = None, mode: str = "auto"
) -> AsyncIterator[Client]:
    """The Python SDK's client with its `OAuthClientProvider`: yields it connected, in the era that `mode` names.

    It registers itself unless `kept` has a client, and asks nobody while `kept` has tokens that the server takes.
    """
    async with callback() as waiting:

        async def came_back() -> AuthorizationCodeResult:
            answer = await waiting.answer()
            assert "code" in answer, answer
            return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer.get("iss"))

        about = OAuthClientMetadata(client_name="Python SDK", redirect_uris=[waiting.url], scope=scope)
        kept.auth = OAuthClientProvider(url, about, kept, consent, came_back)
        async with create_mcp_http_client(auth=kept.auth) as http:
            transport = streamable_http_client(url, http_client=http)
            async with Client(transport, mode=mode, cache=None) as client:
                yield client


async def typescript_client(
    url: str, consent: Consent, tool: str, arguments: dict[str, Any], *, home: Path, sdk: int = 2
) -> dict[str, Any]:
    """The client of the TypeScript SDK 1.x or 2, in a process of its own; gives what it saw.

    `tools` by name; `result` of the call, whole; `granted`, the scope; `client`, what registration answered; `sent`,
    the names of the parameters that came back; `refreshed`, whether a call with a spoilt access token worked by the
    refresh token alone, and `rotated`, whether that came with a new refresh token.

    Raises:
        AssertionError: it failed; carries what it said.
    """
    command = ["node", str(PROGRAMS / "oauth_client.cjs"), str(sdk), url, tool, json.dumps(arguments)]
    environment = {**os.environ, "PORTKEY_MCP_TOOLS": str(TOOLS), "HOME": str(home)}
    complaints = home / "complaints"
    with complaints.open("wb") as stderr:
        process = await anyio.open_process(command, env=environment, stdout=PIPE, stderr=stderr)
    try:
        with anyio.fail_after(PATIENCE * 2):
            async for said in _lines(process):
                if "open" not in said:
                    return said
                await consent(said["open"])
            raise AssertionError(complaints.read_text()[-3000:])
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()


async def _lines(process: Process) -> AsyncIterator[dict[str, Any]]:
    """The JSON lines that a program prints, until it ends."""
    assert process.stdout is not None
    rest = b""
    async for chunk in process.stdout:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield json.loads(line)


@asynccontextmanager
async def mcp_remote(url: str, consent: Consent, *flags: str, home: Path, era: str = "legacy") -> AsyncIterator[Client]:
    """npm's `mcp-remote`, which brings a stdio client to `url`: yields the SDK's client connected through it.

    What it keeps is under `home`: a second one there need not ask again. `era` is what it speaks to the gateway:
    `legacy`, or `auto`.
    """
    with opener(home / "desk") as desk:
        environment = {**os.environ, **desk.environment, "HOME": str(home)}
        arguments = [url, "--transport", "http-only", "--protocol", era, "--auth-timeout", str(PATIENCE), *flags]
        program = StdioServerParameters(command="mcp-remote", args=arguments, env=environment)

        async def at_the_desk() -> None:
            while True:  # most of the time nothing is asked for, and that may be long
                await consent(await desk.url(PATIENCE * 10))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(at_the_desk)
            async with Client(program, mode="legacy", cache=None) as client:
                yield client
            tasks.cancel_scope.cancel()
