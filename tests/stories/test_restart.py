"""The gateway is killed or told to stop, in a process of its own, and started again on the same data."""

import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import Process

from tests.stories.hearing import PATIENCE
from tests.stories.house import open_house
from tests.stories.raw_client import RawClient, raw_http
from tests.stories.upstreams import ROOT, stdio
from tests.stories.watching import Watched, parent_of, watching

pytestmark = [pytest.mark.anyio, watching]

STUBBORN = ROOT / "tests" / "stories" / "programs" / "stubborn.py"


class Place:
    """Where a gateway runs again and again: its port, its data and its file."""

    def __init__(self, folder: Path, **servers: dict[str, Any]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/team/mcp"
        self._config, self._data = folder / "portkey.yaml", folder / "data"
        self._config.write_text(open_house(**servers))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Process]:
        """Start the gateway as a user does, and kill it if nobody has stopped it when the block ends."""
        where = ["--config", str(self._config), "--data", str(self._data), "--port", str(self.port)]
        command = [sys.executable, "-m", "portkey_mcp", "serve", *where]
        async with await anyio.open_process(command, stdout=PIPE, stderr=None) as process:
            try:
                assert process.stdout is not None
                with anyio.fail_after(PATIENCE):
                    assert b"listens on" in await process.stdout.receive()
                yield process
            finally:
                if process.returncode is None:
                    process.kill()


async def called(client: RawClient, name: str, **arguments: Any) -> Any:
    answer = (await client.call("tools/call", {"name": name, "arguments": arguments})).answer
    return answer["result"]


async def test_after_kill_9_a_legacy_session_goes_on_and_no_child_is_left(tmp_path: Path) -> None:
    place = Place(tmp_path, files=stdio("files"), notes=stdio("notes", process="shared"))
    async with raw_http() as http:
        client = RawClient(http, place.url, "legacy")
        async with place.running() as gateway, anyio.create_task_group() as tasks:
            await client.hello()
            children = [await where(client, name) for name in ("files", "notes")]
            waiting = Waiting(client)
            tasks.start_soon(waiting.run)
            await waiting.begun()
            watched = [Watched(pid) for child in children for pid in (child, parent_of(child))]

            gateway.kill()

            await waiting.broken()
            for process in watched:
                await process.gone()

        async with place.running():
            for name in ("files", "notes"):
                result = await called(client, f"{name}__echo", text="still me")
                assert result["content"][0]["text"] == f"{name}: still me"
                assert await where(client, name) not in children


async def where(client: RawClient, name: str) -> int:
    return int((await called(client, f"{name}__where"))["structuredContent"]["pid"])


class Waiting:
    """A call that never ends by itself."""

    def __init__(self, client: RawClient) -> None:
        self._client = client
        self.messages: list[Any] = []
        self._begun, self._broken = anyio.Event(), anyio.Event()

    async def run(self) -> None:
        params = {"name": "files__wait", "arguments": {}, "_meta": {"progressToken": 1}}
        try:
            async with self._client.open(self._client.request("tools/call", params)) as opened:
                async for message in opened.messages():
                    self.messages.append(message)
                    self._begun.set()
        except httpx2.TransportError:
            self._broken.set()

    async def begun(self) -> None:
        with anyio.fail_after(PATIENCE):
            await self._begun.wait()

    async def broken(self) -> None:
        with anyio.fail_after(PATIENCE):
            await self._broken.wait()


async def test_after_kill_9_even_a_server_that_ignores_every_signal_it_can_is_gone(tmp_path: Path) -> None:
    place, diary = stubborn_place(tmp_path)
    async with raw_http() as http, place.running() as gateway:
        server = await awake(RawClient(http, place.url, "legacy"), diary)

        gateway.kill()

        await server.gone()
        assert entries(diary)[1:] == ["end of stdin", "SIGTERM"]


async def test_a_gateway_told_to_stop_ends_its_servers_gently_first(tmp_path: Path) -> None:
    place, diary = stubborn_place(tmp_path)
    async with raw_http() as http, place.running() as gateway:
        server = await awake(RawClient(http, place.url, "legacy"), diary)

        gateway.send_signal(signal.SIGTERM)

        with anyio.fail_after(PATIENCE):
            assert await gateway.wait() == 0
        await server.gone()
        assert entries(diary)[1:] == ["end of stdin", "SIGTERM"]


async def test_a_gateway_told_to_stop_takes_no_more_calls_and_lets_those_under_way_end(tmp_path: Path) -> None:
    place = Place(tmp_path, files=stdio("files"))
    async with raw_http() as http, place.running() as gateway, anyio.create_task_group() as tasks:
        client = RawClient(http, place.url, "legacy")
        await client.hello()
        server = await where(client, "files")
        waiting = Waiting(client)
        tasks.start_soon(waiting.run)
        await waiting.begun()

        gateway.send_signal(signal.SIGTERM)

        with anyio.fail_after(PATIENCE):
            await refused(place.port)
            os.kill(server, signal.SIGUSR1)
            assert await gateway.wait() == 0
        assert waiting.messages[-1]["result"]["content"][0]["text"] == "files was released"


async def refused(port: int) -> None:
    """Return when nobody listens there any more."""
    while True:
        try:
            connection = await anyio.connect_tcp("127.0.0.1", port)
        except OSError:
            return
        await connection.aclose()


def stubborn_place(folder: Path) -> tuple[Place, Path]:
    diary = folder / "diary"
    return Place(folder, stubborn={"command": [sys.executable, str(STUBBORN), str(diary)]}), diary


async def awake(client: RawClient, diary: Path) -> Watched:
    """Have the server started; gives its process."""
    await client.hello()
    assert (await called(client, "stubborn__hello"))["content"][0]["text"] == "Hello."
    return Watched(int(entries(diary)[0]))


def entries(diary: Path) -> list[str]:
    return diary.read_text().splitlines()
