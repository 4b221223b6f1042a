from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest
from starlette.types import Message

from portkey_mcp.gateway import watch as watch_module
from portkey_mcp.gateway.reply import Questions, Reply
from portkey_mcp.gateway.watch import Pulse, Watch
from tests.gateway.asgi import Exchanged

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def watching(exchanged: Exchanged, left: anyio.Event) -> AsyncIterator[Watch]:
    async with anyio.create_task_group() as tasks:
        reply = Reply(exchanged.send, Questions(), session=None)
        watch = Watch(Pulse(tasks), exchanged.receive, reply, left.set)
        yield watch
        watch.stop()


async def test_a_client_that_leaves_a_long_call_is_noticed() -> None:
    exchanged, left = Exchanged([]), anyio.Event()
    async with watching(exchanged, left):
        exchanged.hang_up()
        with anyio.fail_after(10):
            await left.wait()


async def test_a_short_call_has_no_task_that_watches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "WATCH_AFTER", 3600)
    exchanged, left = Exchanged([]), anyio.Event()
    async with anyio.create_task_group() as tasks:
        watch = Watch(Pulse(tasks), exchanged.receive, Reply(exchanged.send, Questions(), session=None), left.set)
        exchanged.hang_up()
        await anyio.wait_all_tasks_blocked()
        watch.stop()
    assert not left.is_set()


async def test_a_watch_that_is_stopped_sees_and_says_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "WATCH_AFTER", 0)
    exchanged, left = Exchanged([]), anyio.Event()
    async with watching(exchanged, left) as watch:
        await anyio.wait_all_tasks_blocked()
        watch.stop()
        exchanged.hang_up()
        await anyio.wait_all_tasks_blocked()
    assert not left.is_set()
    assert not exchanged.messages


async def test_a_watch_that_fails_takes_nothing_else_with_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def breaks() -> Message:
        raise OSError("the server is broken")

    monkeypatch.setattr(watch_module, "WATCH_AFTER", 0)
    exchanged = Exchanged([])
    async with anyio.create_task_group() as tasks:
        watch = Watch(Pulse(tasks), breaks, Reply(exchanged.send, Questions(), session=None), exchanged.hang_up)
        with anyio.fail_after(10):
            while "watched" not in caplog.text:
                await anyio.lowlevel.checkpoint()
        watch.stop()
        assert not tasks.cancel_scope.cancel_called


async def until(exchanged: Exchanged, text: bytes) -> None:
    """Wait until this was sent."""
    with anyio.fail_after(10):
        while text not in b"".join(message.get("body", b"") for message in exchanged.messages):
            await anyio.lowlevel.checkpoint()


async def test_a_silent_line_is_kept_alive_again_and_again() -> None:
    exchanged = Exchanged([])
    async with anyio.create_task_group() as tasks:
        pulse = Pulse(tasks, every=0.001)
        reply = Reply(exchanged.send, Questions(), session=None)
        pulse.add(reply)
        await until(exchanged, b": keep-alive\r\n\r\n: keep-alive\r\n\r\n")
        pulse.discard(reply)
        await reply.finish(1, {"result": {}})
    assert exchanged.messages[0]["status"] == 200


async def test_nothing_is_said_on_a_line_that_is_closed_or_takes_no_stream() -> None:
    exchanged, other = Exchanged([]), Exchanged([])
    closed = Reply(exchanged.send, Questions(), session=None)
    await closed.finish(1, {"result": {}})
    sent = len(exchanged.messages)
    deaf = Reply(other.send, Questions(), session=None, may_stream=False)
    spoken = Exchanged([])
    async with anyio.create_task_group() as tasks:
        pulse = Pulse(tasks, every=0.001)
        for reply in (closed, deaf, Reply(spoken.send, Questions(), session=None)):
            pulse.add(reply)
        await until(spoken, b": keep-alive")
        tasks.cancel_scope.cancel()

    assert len(exchanged.messages) == sent
    assert not other.messages


async def test_a_line_that_breaks_takes_no_other_with_it(caplog: pytest.LogCaptureFixture) -> None:
    async def breaks(_: Message) -> None:
        raise OSError("the line is cut")

    spoken = Exchanged([])
    async with anyio.create_task_group() as tasks:
        pulse = Pulse(tasks, every=0.001)
        pulse.add(Reply(breaks, Questions(), session=None))
        pulse.add(Reply(spoken.send, Questions(), session=None))
        await until(spoken, b": keep-alive")
        tasks.cancel_scope.cancel()
    assert "kept alive" in caplog.text
