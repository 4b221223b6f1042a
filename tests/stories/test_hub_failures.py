"""Servers of a hub die, hang and come back; the others answer all the time."""

import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp_types import CallToolResult

from portkey_mcp.gateway import snapshots
from tests.stories.gateway import Gateway, gateway
from tests.stories.hearing import PATIENCE, TOOLS, Heard, hears_of_tools
from tests.stories.house import open_house
from tests.stories.upstreams import Upstream, lively, stdio

pytestmark = pytest.mark.anyio

MODES = ("legacy", "2026-07-28")
STALE = "com.portkey-mcp/stale"


class Crowd:
    """Four servers behind a hub, two of each kind, any of which may be killed and revived."""

    def __init__(self, hub: Gateway, flags: Path, upstreams: dict[str, Upstream]) -> None:
        self.hub, self._flags, self._upstreams = hub, flags, upstreams
        self.url = hub.at("team")

    async def kill(self, name: str) -> None:
        """End the server's process the hard way, and keep it from starting again."""
        if name in self._upstreams:
            await self._upstreams[name].kill()
            return
        (self._flags / name).touch()
        os.kill(await self.pid(name), signal.SIGKILL)

    async def revive(self, name: str) -> None:
        """Let the server start again, at the place it had."""
        if name in self._upstreams:
            await self._upstreams[name].start()
        else:
            (self._flags / name).unlink()

    async def pid(self, name: str) -> int:
        """The process that serves it."""
        async with Client(self.url) as client:
            found = (await client.call_tool(f"{name}__where")).structured_content
        assert isinstance(found, dict)
        return int(found["pid"])


@pytest.fixture(scope="module")
async def crowd(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Crowd]:
    """One crowd for all tests: each leaves it as it found it, with everybody alive."""
    tmp_path = tmp_path_factory.mktemp("crowd")
    async with AsyncExitStack() as stack:
        upstreams = {
            "web": await stack.enter_async_context(lively("web", "--era", "legacy")),
            "api": await stack.enter_async_context(lively("api", "--era", "modern")),
        }
        servers = {name: {"url": upstream.url} for name, upstream in upstreams.items()}
        for name, protocol in (("files", "2025-11-25"), ("notes", "auto")):
            # All principals and eras share one process here, so that one call can tell its pid to everybody.
            servers[name] = stdio(name, "--unless", tmp_path / name, protocol=protocol, process="shared")
        hub = await stack.enter_async_context(gateway(open_house(**servers), tmp_path / "data"))
        yield Crowd(hub, tmp_path, upstreams)


def text(result: CallToolResult) -> str:
    return str(result.content[0].text)  # type: ignore[union-attr]


async def names(client: Client) -> tuple[list[str], Any]:
    """The tools that are listed, and which servers' are not from just now."""
    listed = await client.list_tools()
    return [tool.name for tool in listed.tools], (listed.meta or {}).get(STALE)


async def until_listed(client: Client, wanted: tuple[list[str], Any]) -> None:
    """List until it is this: where two cores are busy, a server that is well may be late, too, and is asked again."""
    with anyio.fail_after(PATIENCE):
        while await names(client) != wanted:
            pass


class OtherCallers:
    """Somebody who uses the servers that are well, all the time; `rounds` counts how often all of them answered."""

    def __init__(self, url: str, servers: list[str]) -> None:
        self._url, self._servers = url, servers
        self.rounds = 0
        self._answered = anyio.Event()

    async def go_on(self) -> None:
        async with Client(self._url) as client:
            while True:
                for name in self._servers:
                    assert text(await client.call_tool(f"{name}__echo", {"text": "hi"})) == f"{name}: hi"
                self.rounds += 1
                self._answered.set()
                self._answered = anyio.Event()

    async def answered(self) -> None:
        """Return when all of them have answered twice more: one round began after this call."""
        wanted = self.rounds + 2
        with anyio.fail_after(PATIENCE):
            while self.rounds < wanted:
                await self._answered.wait()


@pytest.mark.parametrize(
    ("victim", "mode"), [("files", "legacy"), ("notes", "2026-07-28"), ("web", "2026-07-28"), ("api", "legacy")]
)
async def test_a_server_killed_in_mid_call_costs_nobody_else_anything_and_comes_back(
    crowd: Crowd, victim: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "PATIENCE", PATIENCE)  # the others keep two cores busy
    heard, started = Heard(), anyio.Event()

    async def begun(*_: object) -> None:
        started.set()

    async with (
        Client(crowd.url, mode=mode, message_handler=heard, cache=None) as client,
        hears_of_tools(client, heard, f"{victim}__grow"),
        anyio.create_task_group() as tasks,
    ):
        others = OtherCallers(crowd.url, [name for name in ("api", "files", "notes", "web") if name != victim])
        tasks.start_soon(others.go_on)
        before = await names(client)
        assert before[1] is None
        in_flight = Later(tasks, lambda: client.call_tool(f"{victim}__wait", progress_callback=begun))
        with anyio.fail_after(PATIENCE):
            await started.wait()

        await crowd.kill(victim)

        broken = await in_flight.result()
        assert broken.is_error
        assert f"server '{victim}' is not available" in text(broken)
        assert "may have run" in text(broken)
        refused = await client.call_tool(f"{victim}__echo", {"text": "hi"})
        assert refused.is_error
        assert f"server '{victim}' is not available" in text(refused)
        await others.answered()
        assert await names(client) == (before[0], [victim])

        heard.forget()
        await crowd.revive(victim)

        await heard.until(TOOLS)
        assert text(await client.call_tool(f"{victim}__echo", {"text": "again"})) == f"{victim}: again"
        assert (await names(client))[1] is None
        await others.answered()
        tasks.cancel_scope.cancel()


class Later:
    """A call under way, and its result."""

    def __init__(self, tasks: anyio.abc.TaskGroup, call: Callable[[], Awaitable[CallToolResult]]) -> None:
        self._call, self._done = call, anyio.Event()
        self._result: CallToolResult | None = None
        tasks.start_soon(self._run)

    async def _run(self) -> None:
        self._result = await self._call()
        self._done.set()

    @property
    def is_over(self) -> bool:
        return self._done.is_set()

    async def result(self) -> CallToolResult:
        with anyio.fail_after(PATIENCE):
            await self._done.wait()
        assert self._result is not None
        return self._result


@pytest.mark.parametrize(("victim", "mode"), [("notes", "legacy"), ("web", "2026-07-28"), ("api", "legacy")])
async def test_a_server_that_stops_answering_delays_its_own_callers_only(
    crowd: Crowd, victim: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        Client(crowd.url, mode=mode, cache=None) as client,
        anyio.create_task_group() as tasks,
    ):
        with monkeypatch.context() as patient:
            patient.setattr(snapshots, "PATIENCE", PATIENCE)
            before = await names(client)
        assert before[1] is None
        others = OtherCallers(crowd.url, [name for name in ("api", "files", "notes", "web") if name != victim])
        tasks.start_soon(others.go_on)
        pid = await crowd.pid(victim)
        os.kill(pid, signal.SIGSTOP)
        try:
            hanging = Later(tasks, lambda: client.call_tool(f"{victim}__echo", {"text": "hi"}))
            await others.answered()
            assert not hanging.is_over
            await until_listed(client, (before[0], [victim]))
            await others.answered()

            assert not hanging.is_over
        finally:
            os.kill(pid, signal.SIGCONT)

        assert text(await hanging.result()) == f"{victim}: hi"
        with anyio.fail_after(PATIENCE):
            while (await names(client))[1] is not None:
                await others.answered()
        assert text(await client.call_tool(f"{victim}__echo", {"text": "again"})) == f"{victim}: again"
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("mode", MODES)
async def test_servers_that_never_answer_at_all_delay_nobody_else(tmp_path: Path, mode: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # the system accepts, nobody ever reads
        servers = {
            "deaf": {"url": f"http://127.0.0.1:{deaf.getsockname()[1]}/mcp"},
            "mute": {"command": [sys.executable, "-c", "import sys; sys.stdin.read()"]},
            "notes": stdio("notes"),
        }
        async with (
            gateway(open_house(**servers), tmp_path / "data") as hub,
            Client(hub.at("team"), mode=mode, cache=None) as client,
            anyio.create_task_group() as tasks,
        ):
            hanging = [
                Later(tasks, lambda: client.call_tool("deaf__any")),
                Later(tasks, lambda: client.call_tool("mute__any")),
            ]
            assert text(await client.call_tool("notes__echo", {"text": "hi"})) == "notes: hi"
            with anyio.fail_after(PATIENCE):
                while (found := await names(client))[1] != ["deaf", "mute"]:
                    pass  # on busy cores `notes` may be late as well, for once
            assert {name.split("__")[0] for name in found[0]} == {"notes"}
            assert text(await client.call_tool("notes__echo", {"text": "hi"})) == "notes: hi"
            assert not any(call.is_over for call in hanging)
            tasks.cancel_scope.cancel()


async def test_a_call_that_takes_too_long_is_given_up_and_says_so(tmp_path: Path) -> None:
    house = open_house(notes=stdio("notes"))
    async with (
        gateway(house, tmp_path / "data", call_timeout_seconds=2) as hub,
        Client(hub.at("team")) as client,
    ):
        late = await client.call_tool("notes__wait")

        assert late.is_error
        assert "server 'notes' did not answer" in text(late)
        assert "may have run" in text(late)
        assert text(await client.call_tool("notes__echo", {"text": "hi"})) == "notes: hi"


async def test_a_server_that_cannot_be_started_says_why(tmp_path: Path) -> None:
    servers = {"gone": {"command": ["no-such-program"]}, "notes": stdio("notes")}
    async with gateway(open_house(**servers), tmp_path / "data") as hub, Client(hub.at("team")) as client:
        refused = await client.call_tool("gone__any")

        assert refused.is_error
        assert "'no-such-program' was not found" in text(refused)
        assert text(await client.call_tool("notes__echo", {"text": "hi"})) == "notes: hi"
