"""A process that reads and writes what is sealed, for a test that changes keys meanwhile.

    python -m tests.cli.sealing_load DATA SUBJECT

It reads every connection and the secret, and connects SUBJECT anew, again and again until its input ends. It prints
`ready` after the first round, what was lost as soon as it finds it, and in the end the last token that it wrote.
"""

import os
import sys
from pathlib import Path

import anyio
import anyio.to_thread

from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.vault.connection import Credential, Place, Tokens
from portkey_mcp.vault.connections import Connections


async def main(data: Path, subject: str) -> None:
    database, keyring = await Database.open(data), KeyRing.of(data)
    connections, registry, place = (
        Connections(database, keyring),
        Registry(database, keyring),
        Place("demo", "files", subject),
    )
    over, number = anyio.Event(), 0

    async def end() -> None:
        await anyio.to_thread.run_sync(sys.stdin.read)
        over.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(end)
        while not over.is_set():
            number += 1
            await connections.keep(place, Credential("https://x", Tokens(f"{subject}-{number}")), subject)
            for found in await connections.of_workspace("demo"):
                if found.state != "good":
                    say(f"lost: {found.place.subject}: {found.why}")
            if await registry.secret("demo", "s0") != "value":
                say("lost: s0")
            if number == 1:
                say("ready")
    await database.close()
    say(f"{subject}-{number}")


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), sys.argv[2])
