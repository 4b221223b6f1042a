"""A process that asks for the credential of Ada, for tests that need several, or need one to be killed.

    python -m tests.vault.renewer DATA URL CALLERS LEASE

It prints `ready`, waits for a line, lets so many callers ask at once, prints `asking`, and then the token each one got.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import anyio
import anyio.to_thread

import portkey_mcp.registry.tables  # noqa: F401 (tables of the vault refer to its own)
from portkey_mcp.errors import ProviderDown, TokenRefused
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.vault.connection import Connection, Credential, Place, Tokens
from portkey_mcp.vault.connections import Connections
from portkey_mcp.vault.refreshing import Refreshing

ADA = Place("demo", "files", "ada")


def asked(url: str, refresh: str) -> tuple[int, dict[str, object]]:
    form = urlencode({"grant_type": "refresh_token", "refresh_token": refresh}).encode()
    try:
        with urllib.request.urlopen(url, form) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def answered(before: Connection, status: int, body: dict[str, object], now: datetime) -> Credential:
    """What became of a token request."""
    if "error" in body:
        raise TokenRefused(str(body["error"]))
    if status != 200:
        raise ProviderDown(f"https://as.example answered {status}")
    life = body["expires_in"]
    expires = now + timedelta(seconds=life) if isinstance(life, int) else None
    tokens = Tokens(str(body["access_token"]), expires=expires, refresh=str(body.get("refresh_token", "")))
    return replace(before.credential, tokens=tokens)


async def main(data: Path, url: str, callers: int, lease: float) -> None:
    async def renew(before: Connection | None) -> Credential:
        assert before is not None
        assert before.credential.tokens is not None
        status, body = await anyio.to_thread.run_sync(asked, url, before.credential.tokens.refresh)
        return answered(before, status, body, datetime.now(UTC))

    async def call() -> None:
        found = await refreshing.current(ADA, renew)
        tokens = None if found is None else found.credential.tokens
        say("-" if tokens is None else tokens.access)

    database = await Database.open(data)
    async with anyio.create_task_group() as owner:
        refreshing = Refreshing(Connections(database, KeyRing.of(data)), owner, lease=lease)
        say("ready")
        await anyio.to_thread.run_sync(sys.stdin.readline)
        async with anyio.create_task_group() as tasks:
            for _ in range(callers):
                tasks.start_soon(call)
            say("asking")
    await database.close()


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    given = sys.argv[1:]
    anyio.run(main, Path(given[0]), given[1], int(given[2]), float(given[3]))
