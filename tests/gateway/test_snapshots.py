import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from portkey_mcp.errors import UpstreamDown
from portkey_mcp.gateway import snapshots as snapshots_module
from portkey_mcp.gateway.snapshots import Snapshot, Snapshots
from tests.gateway.stirring import Stirring

pytestmark = pytest.mark.anyio

KEY = ("team", "files", "tools/list", "modern", "ada")


@asynccontextmanager
async def snapshots() -> AsyncIterator[Snapshots]:
    async with anyio.create_task_group() as tasks:
        with anyio.fail_after(10):
            yield Snapshots(tasks)
        tasks.cancel_scope.cancel()


class Server(Stirring):
    """Answers with a list, fails, or hangs until told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.says: Any = ["a"]
        self.hangs = False
        self.asked = 0

    async def fetch(self) -> Any:
        self.asked += 1
        self.stir()
        said = self.says
        await self.until(lambda: not self.hangs)
        if isinstance(said, Exception):
            raise said
        return said


async def test_a_list_is_asked_for_anew_each_time() -> None:
    server = Server()
    async with snapshots() as kept:
        assert await kept.get(KEY, server.fetch) == Snapshot(["a"], known=True, stale=False)
        server.says = ["b"]
        assert (await kept.get(KEY, server.fetch)).value == ["b"]

    assert server.asked == 2


async def test_the_last_good_list_of_a_server_that_fails_is_served_as_stale() -> None:
    server = Server()
    async with snapshots() as kept:
        await kept.get(KEY, server.fetch)
        server.says = UpstreamDown("files", "down")
        assert await kept.get(KEY, server.fetch) == Snapshot(["a"], known=True, stale=True)
        server.says = ["b"]
        assert await kept.get(KEY, server.fetch) == Snapshot(["b"], known=True, stale=False)


async def test_a_server_that_never_answered_is_not_known() -> None:
    server = Server()
    server.says = UpstreamDown("files", "down")
    async with snapshots() as kept:
        assert await kept.get(KEY, server.fetch) == Snapshot(None, known=False, stale=True)


async def test_an_unexpected_failure_is_a_stale_list_and_hurts_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    server.says = KeyError("oops")
    async with snapshots() as kept:
        with caplog.at_level(logging.CRITICAL):
            assert (await kept.get(KEY, server.fetch)).stale
        server.says = ["a"]
        assert not (await kept.get(KEY, server.fetch)).stale


async def test_a_server_that_hangs_delays_once_and_then_nobody_until_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snapshots_module, "PATIENCE", 0.01)
    server = Server()
    async with snapshots() as kept:
        await kept.get(KEY, server.fetch)
        server.hangs, server.says = True, ["b"]
        assert await kept.get(KEY, server.fetch) == Snapshot(["a"], known=True, stale=True)

        monkeypatch.setattr(snapshots_module, "PATIENCE", 3600)
        assert await kept.get(KEY, server.fetch) == Snapshot(["a"], known=True, stale=True)
        assert server.asked == 2

        server.hangs = False
        server.stir()
        await anyio.wait_all_tasks_blocked()
        server.says = ["c"]
        assert await kept.get(KEY, server.fetch) == Snapshot(["c"], known=True, stale=False)


async def test_a_server_that_is_late_delays_no_other() -> None:
    slow, quick = Server(), Server()
    slow.hangs = True
    async with snapshots() as kept, anyio.create_task_group() as group:
        group.start_soon(kept.get, KEY, slow.fetch)
        assert (await kept.get(("team", "quick", "tools/list"), quick.fetch)).value == ["a"]
        group.cancel_scope.cancel()


async def test_a_caller_who_leaves_does_not_take_the_question_along() -> None:
    server = Server()
    server.hangs = True
    async with snapshots() as kept:
        async with anyio.create_task_group() as group:
            group.start_soon(kept.get, KEY, server.fetch)
            await server.until(lambda: server.asked)
            group.cancel_scope.cancel()
        server.hangs = False
        server.stir()
        await anyio.wait_all_tasks_blocked()
        assert (await kept.get(KEY, server.fetch)).known


async def test_lists_are_kept_apart_by_key_and_the_longest_unused_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snapshots_module, "REMEMBERED", 2)
    server = Server()
    async with snapshots() as kept:
        for name in ("one", "two", "one", "three"):
            await kept.get((name,), server.fetch)
        server.says = UpstreamDown("files", "down")

        assert (await kept.get(("one",), server.fetch)).known
        assert not (await kept.get(("two",), server.fetch)).known
