import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import pytest

from portkey_mcp.errors import ConnectNeeded, UpstreamDown
from portkey_mcp.gateway import snapshots as snapshots_module
from portkey_mcp.gateway.freshness import Freshness
from portkey_mcp.gateway.snapshots import HELD, Answer, Place, Snapshot, Snapshots
from portkey_mcp.model import McpServer
from tests.gateway.house import Clock
from tests.gateway.stirring import Stirring

pytestmark = pytest.mark.anyio

FILES = McpServer("team", "files", "http")
HERE = Place(FILES, "tools/list", "modern", "ada", "a session")


class Kept(Snapshots):
    """Snapshots with their clock and their freshness at hand."""

    def __init__(self, tasks: Any) -> None:
        self.tasks, self.clock, self.freshness = tasks, Clock(), Freshness()
        super().__init__(tasks, self.freshness, self.clock)


@asynccontextmanager
async def snapshots() -> AsyncIterator[Kept]:
    async with anyio.create_task_group() as tasks:
        with anyio.fail_after(10):
            yield Kept(tasks)
        tasks.cancel_scope.cancel()


class Server(Stirring):
    """Answers with a list, fails, or hangs until told to go on."""

    def __init__(self, ttl: float = 0.0) -> None:
        super().__init__()
        self.says: Any = ["a"]
        self.ttl = ttl
        self.hangs = False
        self.asked = 0

    async def fetch(self) -> Answer:
        self.asked += 1
        self.stir()
        said = self.says
        await self.until(lambda: not self.hangs)
        if isinstance(said, Exception):
            raise said
        return Answer(said, self.ttl)

    async def go_on(self) -> None:
        """Answer, once everybody else waits."""
        await anyio.wait_all_tasks_blocked()
        self.hangs = False
        self.stir()


async def test_a_fresh_list_is_not_asked_for_again() -> None:
    server = Server()
    async with snapshots() as kept:
        first = await kept.get(HERE, server.fetch)
        kept.clock.now += 0.9
        assert await kept.get(HERE, server.fetch) is first

    assert first == Snapshot(["a"], known=True, stale=False)
    assert server.asked == 1


async def test_a_list_that_is_no_longer_fresh_is_served_and_asked_for_once_beside() -> None:
    server = Server()
    async with snapshots() as kept:
        await kept.get(HERE, server.fetch)
        kept.clock.now += 2
        server.says, server.hangs = ["b"], True
        for _ in range(3):
            assert (await kept.get(HERE, server.fetch)).value == ["a"]
        await server.until(lambda: server.asked == 2)
        server.hangs = False
        server.stir()
        await anyio.wait_all_tasks_blocked()

        assert (await kept.get(HERE, server.fetch)).value == ["b"]
    assert server.asked == 2


async def test_a_list_that_is_old_is_asked_for_and_waited_for() -> None:
    server = Server()
    async with snapshots() as kept:
        await kept.get(HERE, server.fetch)
        server.says = ["b"]
        kept.clock.now += HELD
        assert (await kept.get(HERE, server.fetch)).value == ["b"]


async def test_a_list_is_good_for_as_long_as_its_server_says() -> None:
    server = Server(ttl=600)
    async with snapshots() as kept:
        began = kept.clock.now
        assert (await kept.get(HERE, server.fetch)).ends == began + 600
        kept.clock.now += 599
        await kept.get(HERE, server.fetch)
        assert server.asked == 1

        kept.clock.now += 1
        server.says = ["b"]
        assert (await kept.get(HERE, server.fetch)).value == ["b"]


@pytest.mark.parametrize(("who", "asked"), [("", 2), ("ada", 2), ("bob", 1)])
async def test_what_may_have_changed_a_list_makes_it_old_at_once(who: str, asked: int) -> None:
    server = Server(ttl=600)
    async with snapshots() as kept:
        await kept.get(HERE, server.fetch)
        kept.freshness.changed(FILES.key, who)
        await kept.get(HERE, server.fetch)
        await kept.get(HERE, server.fetch)

    assert server.asked == asked


async def test_an_answer_to_a_question_from_before_the_change_is_not_enough() -> None:
    server = Server()
    async with snapshots() as kept, anyio.create_task_group() as group:
        server.hangs = True
        group.start_soon(kept.get, HERE, server.fetch)
        await server.until(lambda: server.asked)
        kept.freshness.changed(FILES.key)
        server.says, server.hangs = ["b"], False
        server.stir()

        assert (await kept.get(HERE, server.fetch)).value == ["b"]
    assert server.asked == 2


async def test_a_server_that_is_now_another_one_is_asked() -> None:
    server = Server()
    async with snapshots() as kept:
        await kept.get(HERE, server.fetch)
        server.says = ["b"]
        await kept.get(HERE._replace(server=replace(FILES)), server.fetch)
        assert server.asked == 1

        elsewhere = HERE._replace(server=replace(FILES, url="http://elsewhere/mcp"))
        assert (await kept.get(elsewhere, server.fetch)).value == ["b"]


async def test_no_list_crosses_principals_and_another_session_is_asked_for_itself() -> None:
    server = Server()
    async with snapshots() as kept:
        await kept.get(HERE, server.fetch)
        server.says = ["b"]
        assert (await kept.get(HERE._replace(party="another"), server.fetch)).value == ["b"]
        server.says = UpstreamDown("files", "down")
        assert not (await kept.get(HERE._replace(principal="bob"), server.fetch)).known
        assert (await kept.get(HERE._replace(party="a third"), server.fetch)) == Snapshot(["b"], True, stale=True)


async def test_an_unchanged_list_stays_the_object_it_was_and_a_changed_one_does_not() -> None:
    server = Server()
    async with snapshots() as kept:
        first = (await kept.get(HERE, server.fetch)).value
        server.says = ["".join(["a"])]
        assert (await kept.get(HERE, server.fetch, anew=True)).value is first
        assert (await kept.get(HERE._replace(party="another"), server.fetch)).value is first
        server.says = [1]
        one = (await kept.get(HERE, server.fetch, anew=True)).value
        server.says = [True]
        assert (await kept.get(HERE, server.fetch, anew=True)).value is not one


async def test_the_last_good_list_of_a_server_that_fails_is_served_as_stale_until_it_answers() -> None:
    server = Server()
    async with snapshots() as kept:
        await kept.get(HERE, server.fetch)
        server.says = UpstreamDown("files", "down")
        kept.clock.now += 2
        assert not (await kept.get(HERE, server.fetch)).stale
        await anyio.wait_all_tasks_blocked()
        assert await kept.get(HERE, server.fetch) == Snapshot(["a"], known=True, stale=True)
        server.says = ["b"]
        assert await kept.get(HERE, server.fetch) == Snapshot(["b"], known=True, stale=False)


async def test_a_server_that_never_answered_is_not_known() -> None:
    server = Server()
    server.says = UpstreamDown("files", "down")
    async with snapshots() as kept:
        assert await kept.get(HERE, server.fetch) == Snapshot(None, known=False, stale=True)


async def test_an_unexpected_failure_is_a_stale_list_and_hurts_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    server.says = KeyError("oops")
    async with snapshots() as kept:
        with caplog.at_level(logging.CRITICAL):
            assert (await kept.get(HERE, server.fetch)).stale
        server.says = ["a"]
        assert not (await kept.get(HERE, server.fetch)).stale


async def test_a_server_that_hangs_delays_once_and_then_nobody_until_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snapshots_module, "PATIENCE", 0.01)
    server = Server()
    async with snapshots() as kept:
        await kept.get(HERE, server.fetch)
        kept.clock.now += HELD
        server.hangs, server.says = True, ["b"]
        assert await kept.get(HERE, server.fetch) == Snapshot(["a"], known=True, stale=True)

        monkeypatch.setattr(snapshots_module, "PATIENCE", 3600)
        assert await kept.get(HERE, server.fetch) == Snapshot(["a"], known=True, stale=True)
        assert server.asked == 2

        server.hangs = False
        server.stir()
        await anyio.wait_all_tasks_blocked()
        assert await kept.get(HERE, server.fetch) == Snapshot(["b"], known=True, stale=False)


async def test_a_question_from_before_a_change_that_fails_does_not_answer_for_after_it() -> None:
    server = Server()
    async with snapshots() as kept:
        await kept.get(HERE, server.fetch)
        server.says, server.hangs = UpstreamDown("files", "down"), True
        kept.clock.now += 2
        await kept.get(HERE, server.fetch)
        await server.until(lambda: server.asked == 2)
        server.says = ["b"]
        kept.freshness.changed("team/files")
        kept.tasks.start_soon(server.go_on)

        assert await kept.get(HERE, server.fetch) == Snapshot(["b"], known=True, stale=False)


@pytest.mark.parametrize("how", ["it failed", "it goes on"])
async def test_a_late_server_is_waited_for_again_once_it_is_heard_of(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    server = Server()
    async with snapshots() as kept:
        await kept.get(HERE, server.fetch)
        server.says, server.hangs = UpstreamDown("files", "down"), True
        kept.freshness.changed("team/files")
        monkeypatch.setattr(snapshots_module, "PATIENCE", 0.01)
        assert (await kept.get(HERE, server.fetch)).stale
        monkeypatch.setattr(snapshots_module, "PATIENCE", 3600)
        if how == "it failed":
            await server.go_on()
            await anyio.wait_all_tasks_blocked()
        server.says = ["b"]
        kept.freshness.spoke("team/files", "bob")
        assert (await kept.get(HERE._replace(principal="ada"), server.fetch)).stale

        kept.freshness.changed("team/files")
        kept.freshness.spoke("team/files", "ada")
        kept.tasks.start_soon(server.go_on)

        assert await kept.get(HERE, server.fetch) == Snapshot(["b"], known=True, stale=False)


async def test_another_definition_of_a_late_server_is_waited_for_and_what_the_one_before_says_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, after = Server(), Server()
    before.hangs, after.says = True, UpstreamDown("files", "down")
    elsewhere = HERE._replace(server=replace(FILES, url="http://elsewhere/mcp"))
    async with snapshots() as kept:
        monkeypatch.setattr(snapshots_module, "PATIENCE", 0.01)
        await kept.get(HERE, before.fetch)
        monkeypatch.setattr(snapshots_module, "PATIENCE", 3600)
        kept.tasks.start_soon(before.go_on)

        assert await kept.get(elsewhere, after.fetch) == Snapshot(None, known=False, stale=True)
        after.says = ["b"]
        assert await kept.get(elsewhere, after.fetch) == Snapshot(["b"], known=True, stale=False)


async def test_a_server_that_is_late_delays_no_other() -> None:
    slow, quick = Server(), Server()
    slow.hangs = True
    async with snapshots() as kept, anyio.create_task_group() as group:
        group.start_soon(kept.get, HERE, slow.fetch)
        other = HERE._replace(server=McpServer("team", "quick", "http"))
        assert (await kept.get(other, quick.fetch)).value == ["a"]
        group.cancel_scope.cancel()


async def test_a_caller_who_leaves_does_not_take_the_question_along() -> None:
    server = Server()
    server.hangs = True
    async with snapshots() as kept:
        async with anyio.create_task_group() as group:
            group.start_soon(kept.get, HERE, server.fetch)
            await server.until(lambda: server.asked)
            group.cancel_scope.cancel()
        server.hangs = False
        server.stir()
        await anyio.wait_all_tasks_blocked()
        assert (await kept.get(HERE, server.fetch)).known
    assert server.asked == 1


async def test_no_more_lists_are_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots_module, "REMEMBERED", 2)
    server = Server()
    async with snapshots() as kept:
        for who in ("one", "two", "one", "three"):
            await kept.get(HERE._replace(principal=who), server.fetch, anew=True)
        server.says = UpstreamDown("files", "down")

        assert (await kept.get(HERE._replace(principal="one"), server.fetch, anew=True)).known
        assert not (await kept.get(HERE._replace(principal="two"), server.fetch, anew=True)).known


async def test_lists_that_weigh_too_much_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots_module, "REMEMBERED_BYTES", 50)
    server = Server()
    server.says = ["x" * 60]
    async with snapshots() as kept:
        assert (await kept.get(HERE, server.fetch)).value == (await kept.get(HERE, server.fetch)).value
        assert server.asked == 2


async def test_what_takes_an_account_is_asked_for_each_time_and_is_neither_stale_nor_late() -> None:
    async with snapshots() as kept:
        connected, needed = False, ConnectNeeded("files", "It wants an account.")

        async def fetch() -> Answer:
            if not connected:
                raise ConnectNeeded("files", "It wants an account.")
            return Answer(["one"], ttl=60)

        first, second = await kept.get(HERE, fetch), await kept.get(HERE, fetch)
        assert (first.needs, first.known, first.stale) == (needed, False, False)
        assert second.needs is first.needs
        connected = True
        assert (await kept.get(HERE, fetch)).value == ["one"]
        kept.freshness.changed(FILES.key)
        connected = False
        assert (await kept.get(HERE, fetch)).needs == needed


async def test_an_account_that_is_back_is_not_waited_for_because_it_was_gone() -> None:
    async with snapshots() as kept:
        connected, asked = True, anyio.Event()

        async def fetch() -> Answer:
            asked.set()
            if not connected:
                raise ConnectNeeded("files", "It wants an account.")
            return Answer(["one"])

        await kept.get(HERE, fetch)
        connected, asked = False, anyio.Event()
        kept.clock.now += HELD / 2
        assert (await kept.get(HERE, fetch)).known, "asked beside"
        await asked.wait()
        connected = True
        assert (await kept.get(HERE, fetch)).value == ["one"]
