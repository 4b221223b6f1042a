from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from starlette.types import Message

from portkey_mcp.gateway import arrival as arrival_module
from portkey_mcp.gateway.arrival import Arrival, TooLarge, Watch, duplicates_of, headers_of
from portkey_mcp.gateway.reply import Questions, Reply
from tests.gateway.asgi import Exchanged

pytestmark = pytest.mark.anyio


def arrival(exchanged: Exchanged, **headers: str) -> Arrival:
    nobody: Any = None
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Arrival("POST", nobody, nobody, named, (), exchanged.receive, exchanged.send)


async def test_a_body_is_read_to_its_end_and_up_to_the_limit() -> None:
    assert await arrival(Exchanged([b"ab", b"", b"cd"])).body(4) == b"abcd"


@pytest.mark.parametrize("headers", [{}, {"content_length": "5"}, {"content_length": "five"}])
async def test_a_body_over_the_limit_is_refused_as_soon_as_that_is_certain(headers: dict[str, str]) -> None:
    exchanged = Exchanged([b"abc", b"de", b"never asked for"])

    with pytest.raises(TooLarge, match="4 bytes"):
        await arrival(exchanged, **headers).body(4)
    assert exchanged._chunks[-1] == b"never asked for"


async def test_who_leaves_before_the_end_of_a_body_has_sent_none() -> None:
    exchanged = Exchanged([])
    exchanged.hang_up()

    assert await arrival(exchanged).body(4) == b""


@asynccontextmanager
async def watching(exchanged: Exchanged, left: anyio.Event) -> AsyncIterator[Watch]:
    async with anyio.create_task_group() as tasks:
        reply = Reply(exchanged.send, Questions(), session=None)
        watch = Watch(tasks, exchanged.receive, reply, left.set)
        yield watch
        watch.stop()


async def test_a_client_that_leaves_a_long_call_is_noticed() -> None:
    exchanged, left = Exchanged([]), anyio.Event()
    async with watching(exchanged, left):
        exchanged.hang_up()
        with anyio.fail_after(10):
            await left.wait()


async def test_a_short_call_has_no_task_that_watches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival_module, "WATCH_AFTER", 3600)
    exchanged, left = Exchanged([]), anyio.Event()
    async with anyio.create_task_group() as tasks:
        watch = Watch(tasks, exchanged.receive, Reply(exchanged.send, Questions(), session=None), left.set)
        exchanged.hang_up()
        await anyio.wait_all_tasks_blocked()
        watch.stop()
    assert not left.is_set()


async def test_a_watch_that_is_stopped_sees_and_says_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival_module, "WATCH_AFTER", 0)
    monkeypatch.setattr(arrival_module, "KEEP_ALIVE", 3600)
    exchanged, left = Exchanged([]), anyio.Event()
    async with watching(exchanged, left) as watch:
        await anyio.wait_all_tasks_blocked()
        watch.stop()
        exchanged.hang_up()
        await anyio.wait_all_tasks_blocked()
    assert not left.is_set()
    assert not exchanged.messages


def test_headers_are_read_by_name_without_the_spaces_around_them_and_lines_are_kept_where_a_name_came_twice() -> None:
    lines = [(b"mcp-name", b" a b\t"), (b"accept", b"x")]
    twice = [*lines, (b"mcp-name", b"other")]

    assert headers_of({"headers": lines}) == {"mcp-name": "a b", "accept": "x"}
    assert duplicates_of({"headers": lines}, headers_of({"headers": lines})) == ()
    assert ("mcp-name", "other") in duplicates_of({"headers": twice}, headers_of({"headers": twice}))


async def test_a_watch_that_fails_takes_nothing_else_with_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def breaks() -> Message:
        raise OSError("the server is broken")

    monkeypatch.setattr(arrival_module, "WATCH_AFTER", 0)
    exchanged = Exchanged([])
    async with anyio.create_task_group() as tasks:
        watch = Watch(tasks, breaks, Reply(exchanged.send, Questions(), session=None), exchanged.hang_up)
        with anyio.fail_after(10):
            while "watched" not in caplog.text:
                await anyio.lowlevel.checkpoint()
        watch.stop()
        assert not tasks.cancel_scope.cancel_called
