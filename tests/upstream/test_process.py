"""stdio servers as processes: starting, framing, chatter, ending."""

import logging
import sys
from pathlib import Path

import anyio
import pytest

from portkey_mcp.errors import UpstreamDown, UpstreamError
from portkey_mcp.upstream.process import ProcessWire
from portkey_mcp.upstream.tasks import Tasks
from tests.upstream.children import is_running, stdio
from tests.upstream.heard import ADA, Heard, pool

pytestmark = pytest.mark.anyio


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
    with anyio.fail_after(20):
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
