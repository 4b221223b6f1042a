"""stdio servers as processes: starting, framing, chatter, ending."""

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from portkey_mcp.errors import UpstreamDown, UpstreamError
from portkey_mcp.upstream import process
from portkey_mcp.upstream.process import ProcessWire
from portkey_mcp.upstream.tasks import Tasks
from tests.upstream.children import is_running, stdio
from tests.upstream.heard import ADA, Heard, pool

pytestmark = pytest.mark.anyio

MEBIBYTE = 1024 * 1024
POLITE = """
import os, select, sys, threading
stdin = select.poll()
stdin.register(0, 0)
threading.Thread(target=lambda: (stdin.poll(), os._exit(0)), daemon=True).start()
"""
"""For programs that are busy with something else when they shall leave."""


@asynccontextmanager
async def speaking(code: str) -> AsyncIterator[ProcessWire]:
    """A wire to a Python program. Ends it, whatever it does."""
    server = stdio(command=(sys.executable, "-c", code))
    with anyio.fail_after(120):
        async with Tasks() as tasks:
            wire = await ProcessWire.start(server, server, tasks.spawn)
            try:
                yield wire
            finally:
                await wire.close()


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """The gateway runs on uvloop where there is one, and its processes are not those of asyncio."""
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long two busy cores take to end a program: its exit code is waited for."""
    monkeypatch.setattr(process, "EXIT_TIMEOUT", 30)
    monkeypatch.setattr(process, "END_TIMEOUT", 30)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"command": ("no-such-program", "-y")}, "command 'no-such-program' was not found; install it"),
        ({"command": ()}, "no command"),
        ({"cwd": "/no/such/place"}, "working directory '/no/such/place' does not exist"),
    ],
)
async def test_what_cannot_be_started_is_said_in_words(changes: dict[str, object], reason: str) -> None:
    async with pool() as links:
        with pytest.raises(UpstreamDown, match=reason) as raised:
            await links.link(stdio(**changes), ADA)

    assert not raised.value.sent


async def test_a_program_that_ends_at_once_is_said_in_words() -> None:
    async with pool() as links:
        with pytest.raises(UpstreamDown, match="ended with exit code 5"):
            await links.link(stdio(command=(sys.executable, "-c", "import sys; sys.exit(5)")), ADA)


async def test_the_environment_is_the_safe_one_and_the_servers_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GATEWAY_SECRET", "not for servers")
    code = "import json, os; print(json.dumps({'env': dict(os.environ), 'cwd': os.getcwd()}))"
    server = stdio(command=(sys.executable, "-c", code), env={"TOKEN": "own"}, cwd=str(tmp_path))
    with anyio.fail_after(120):
        async with Tasks() as tasks:
            wire = await ProcessWire.start(server, server, tasks.spawn)
            message = await wire.receive()
            assert await wire.receive() is None
            await wire.close()

    assert message is not None
    assert message["env"]["TOKEN"] == "own"
    assert "PATH" in message["env"]
    assert "GATEWAY_SECRET" not in message["env"]
    assert message["cwd"].endswith(tmp_path.name)


async def test_chatter_on_stdout_does_no_harm_and_stderr_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with pool() as links:
        link = await links.link(stdio(), ADA)
        assert await Heard().ask(link, "test/chatter") == {}
        assert len((await Heard().ask(link, "test/large"))["text"]) == 2 * 1024 * 1024
        with anyio.fail_after(10):
            while not any(record.name == "portkey_mcp.upstream.child" for record in caplog.records):
                await anyio.lowlevel.checkpoint()

    said = [record for record in caplog.records if record.name == "portkey_mcp.upstream.child"]
    assert [record.getMessage() for record in said] == ["a word for the log"]
    assert "no message" in caplog.text


async def test_an_answer_that_cannot_be_read_fails_its_call_at_once() -> None:
    async with pool() as links:
        link = await links.link(stdio(), ADA)
        # The probe, the handshake and these have used up the first ids.
        sent = [await Heard().ask(link, "ping") for _ in range(3)]
        with anyio.fail_after(10), pytest.raises(UpstreamError, match="duplicate member name 'a'"):
            await Heard().ask(link, "test/twice", {"number": len(sent) + 3})


async def test_closing_ends_the_process_even_one_that_will_not_leave() -> None:
    async with pool() as links:
        polite = await links.link(stdio(), ADA)
        stubborn = await links.link(stdio("stays", name="other"), ADA)
        pids = [link.hello["serverInfo"]["pid"] for link in (polite, stubborn)]
        assert all(map(is_running, pids))

    assert not any(map(is_running, pids))


async def test_an_old_server_that_ends_at_a_message_it_does_not_know_is_started_again() -> None:
    async with pool() as links:
        link = await links.link(stdio("dies-on-the-unknown"), ADA)
        assert link.era == "legacy"
        assert (await Heard().ask(link, "test/echo", {}))["got"] == {}


async def test_lines_come_whole_however_they_were_written() -> None:
    code = """
import os, sys
for piece in (b'{"id":1,', b'"x":"', b'y" }', b'\\n\\r\\n{"id":2}\\n[{"id":3},{"id":4}]\\n{"id"', b':5}\\n{"id":6}'):
    os.write(1, piece)
    sys.stdin.readline()
"""
    async with speaking(code) as wire:
        for _ in range(5):
            await wire.send({})
        heard = []
        while (message := await wire.receive()) is not None:
            heard.append(message)

    assert heard == [{"id": 1, "x": "y"}, {"id": 2}, {"id": 3}, {"id": 4}, {"id": 5}]
    assert wire.ending.startswith("its process ended with exit code 0")


async def test_a_line_that_never_ends_ends_the_wire(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "MAX_EVENT", MEBIBYTE)
    async with speaking(f"{POLITE}\nprint('{{}}', flush=True)\nwhile True: sys.stdout.write('x' * 100_000)") as wire:
        assert await wire.receive() == {}
        assert await wire.receive() is None
        assert await wire.receive() is None

    assert "a line of more than 1048576 bytes" in caplog.text


async def test_who_sends_waits_until_the_server_reads(tmp_path: Path) -> None:
    go = tmp_path / "go"
    code = f"""
import os, sys
os.mkfifo({str(go)!r})
print('{{}}', flush=True)
open({str(go)!r}).read()
for line in sys.stdin:
    pass
"""
    sent = 0
    async with speaking(code) as wire:
        assert await wire.receive() == {}

        async def send() -> None:
            nonlocal sent
            await wire.send({"text": "x" * MEBIBYTE})
            sent += 1

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(send)
            await anyio.wait_all_tasks_blocked()
            assert sent == 0
            await anyio.Path(go).write_text("")
        assert sent == 3


async def test_who_waits_to_send_is_told_of_the_end() -> None:
    async with speaking(f"{POLITE}\nprint('{{}}', flush=True); threading.Event().wait()") as wire:
        assert await wire.receive() == {}
        async with anyio.create_task_group() as group:

            async def send() -> None:
                with pytest.raises(UpstreamDown, match="no longer reads") as raised:
                    await wire.send({"text": "x" * MEBIBYTE})
                assert raised.value.sent

            group.start_soon(send)
            await anyio.wait_all_tasks_blocked()
            await wire.close()
        with pytest.raises(UpstreamDown) as late:
            await wire.send({})

    assert not late.value.sent


async def test_a_server_that_closes_its_output_and_stays_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "EXIT_TIMEOUT", 0.05)
    async with speaking(f"{POLITE}\nos.close(1); threading.Event().wait()") as wire:
        assert await wire.receive() is None
        assert wire.ending == "its process closed its output"


async def test_what_it_says_while_it_is_ended_is_dropped() -> None:
    async with speaking(f"{POLITE}\nwhile True: print('{{}}', flush=True)") as wire:
        assert await wire.receive() == {}
        await wire.close()

    assert "exit code" in wire.ending
