"""No limit is exceeded by any number of processes, and nothing that was answered is lost."""

import asyncio
import contextlib
import resource
import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process

from portkey_mcp.errors import StoreDown
from portkey_mcp.model import Exhausted, Take, Taken
from portkey_mcp.storage.counters import SqliteCounter
from portkey_mcp.storage.ledger import LEASE, RENEW
from portkey_mcp.storage.migrate import migrate
from tests.storage.takes import LATER, Clock, at_once, go, lines, process, stored, taken, window

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    migrate(tmp_path / "data" / "portkey.db")
    return tmp_path / "data" / "portkey.db"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def counter(path: Path, clock: Clock) -> AsyncIterator[SqliteCounter]:
    async with SqliteCounter(path, clock, busy=0.01) as opened:
        yield opened


async def test_all_counters_of_a_call_step_together(counter: SqliteCounter) -> None:
    first = await taken(counter, window("a", 5), window("b", 9, cost=4), at_once("c", 2))
    assert first.used == (1, 4, 1)
    assert len(first.leases) == 1
    assert (await taken(counter, window("a", 5), window("b", 9, cost=4), at_once("c", 2))).used == (2, 8, 2)


async def test_a_refused_call_leaves_every_counter_as_it_was(counter: SqliteCounter) -> None:
    free, full, busy = window("a", 9), window("b", 1), at_once("c", 1)
    await taken(counter, full, busy)
    assert await counter.take([free, full, busy]) == Exhausted((full, busy), (1, 1))
    assert await counter.used([free, full, busy]) == (0, 1, 1)


async def test_the_same_counter_twice_in_one_call_counts_twice(counter: SqliteCounter) -> None:
    assert (await taken(counter, window("a", 3), window("a", 3))).used == (1, 2)
    assert await counter.take([window("a", 3), window("a", 3)]) == Exhausted((window("a", 3),), (2,))


async def test_nothing_to_take_asks_nobody(counter: SqliteCounter, path: Path) -> None:
    shutil.rmtree(path.parent)
    assert await counter.take([]) == Taken((), ())
    assert await counter.used([]) == ()
    await counter.give_back(Taken((window("a", 1),), (1,)), refund=False)


async def test_a_refund_counts_down_but_not_below_nothing(counter: SqliteCounter) -> None:
    took = await taken(counter, window("a", 9, cost=4), window("b", 9))
    await counter.give_back(took, refund=True)
    await counter.give_back(took, refund=True)
    assert await counter.used(took.takes) == (0, 0)


async def test_without_a_refund_only_leases_end(counter: SqliteCounter) -> None:
    took = await taken(counter, window("a", 9), at_once("c", 1))
    await counter.give_back(took, refund=False)
    assert await counter.used(took.takes) == (1, 0)


async def test_a_window_has_its_own_count_and_a_clock_set_back_finds_it_again(
    counter: SqliteCounter, clock: Clock
) -> None:
    today, tomorrow = Take("a", 900_000, 1_010_000, 1, 1), Take("a", 1_010_000, 1_100_000, 1, 1)
    await taken(counter, today)
    clock.now = 1_010_000
    await taken(counter, tomorrow)
    clock.now = 1_000_000
    assert isinstance(await counter.take([today]), Exhausted)
    assert await counter.used([today, tomorrow]) == (1, 1)


async def test_counts_survive_a_restart_and_leases_do_not(path: Path) -> None:
    async with SqliteCounter(path) as first:
        took = await taken(first, window("a", 9), at_once("c", 1))
    async with SqliteCounter(path) as second:
        assert await second.used(took.takes) == (1, 0)


async def test_old_counts_are_swept_after_a_day(counter: SqliteCounter, path: Path, clock: Clock) -> None:
    await taken(counter, Take("old", 900_000, 1_000_001, 1, 9), window("new", 9))
    clock.now += 86_400
    await counter.used([window("new", 9)])
    assert stored(path, "SELECT key FROM counters ORDER BY key") == [("new",), ("old",)]
    clock.now += 3_600
    await counter.used([window("new", 9)])
    assert stored(path, "SELECT key FROM counters") == [("new",)]


async def test_four_processes_and_three_limits_admit_exactly_the_smallest(path: Path) -> None:
    takes = window("workspace", 1000), window("user", 700), window("tool and user", 300)
    admitted: list[str] = []

    async def run(opened: Process, output: Any) -> None:
        await go(opened)
        found = await lines(output)
        assert len(found) == 500
        admitted.extend(line for line in found if line != "-")

    with anyio.fail_after(120):
        async with contextlib.AsyncExitStack() as stack:
            opened = [await stack.enter_async_context(process(path, 10, 500, *takes)) for _ in range(4)]
            async with anyio.create_task_group() as tasks:
                for one in opened:
                    tasks.start_soon(run, *one)
    assert sorted(map(int, admitted)) == list(range(1, 301))
    assert stored(path, "SELECT DISTINCT used FROM counters") == [(300,)]
    assert len(stored(path, "SELECT key FROM counters")) == 3


async def test_kill_9_in_the_middle_loses_no_count_and_its_leases_end(
    path: Path, counter: SqliteCounter, clock: Clock
) -> None:
    workers, takes = 8, (window("a", 10**6), at_once("c", 10**6))
    with anyio.fail_after(120):
        async with process(path, workers, 0, *takes) as (opened, output):
            await go(opened)
            printed = await lines(output, until=200)
            opened.kill()
            printed += await lines(output)
            await opened.wait()
    clock.now = 0  # whatever the clock says, those leases are good
    count, under_way = await counter.used(takes)
    assert len(printed) <= count <= len(printed) + workers
    assert max(map(int, printed)) <= count
    assert under_way == count
    clock.now = LATER
    assert await counter.used(takes) == (count, 0)


async def test_leases_of_a_living_holder_are_renewed_and_of_a_dead_one_end(
    counter: SqliteCounter, path: Path, clock: Clock
) -> None:
    one = at_once("c", 1)
    async with SqliteCounter(path, clock) as other:
        took = await taken(counter, one)
        for _ in range(5):
            clock.now += RENEW
            assert await counter.used([one]) == (1,)
            assert await other.take([one]) == Exhausted((one,), (1,))
        clock.now += LEASE + 1  # a holder that is dead, or asleep, renews nothing
        assert await other.used([one]) == (0,)
        # One that wakes up renews first: what is under way counts.
        assert await counter.take([one]) == Exhausted((one,), (1,))
        await counter.give_back(took, refund=False)
        assert await other.used([one]) == (0,)


async def test_leases_are_renewed_though_nobody_asks(path: Path, clock: Clock) -> None:
    one = at_once("c", 1)
    async with SqliteCounter(path, clock, every=0.001) as counter, SqliteCounter(path, clock) as other:
        await taken(counter, one)
        clock.now += LEASE + 1
        with anyio.fail_after(60):
            while await other.used([one]) == (0,):
                await anyio.lowlevel.checkpoint()


async def test_who_is_cancelled_before_an_answer_has_taken_nothing(counter: SqliteCounter) -> None:
    takes = window("a", 10**6), at_once("c", 10**6)
    for rounds in range(100):
        # From cancelled at once to cancelled when the answer is there, or about.
        task = asyncio.ensure_future(counter.take(takes))
        for _ in range(rounds * 10):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            found = await task
            assert isinstance(found, Taken)
            await counter.give_back(found, refund=True)
    assert await counter.used(takes) == (0, 0)


async def test_who_is_cancelled_with_the_answer_in_hand_has_taken_nothing(counter: SqliteCounter) -> None:
    takes = window("a", 10**6), at_once("c", 10**6)
    request = counter.take(takes)
    answer = request.send(None)
    answer._asyncio_future_blocking = False  # what a task does that waits for it
    assert isinstance(await answer, Taken)
    with pytest.raises(asyncio.CancelledError):
        request.throw(asyncio.CancelledError())
    assert await counter.used(takes) == (0, 0)


async def test_what_is_given_back_by_somebody_cancelled_is_given_back(counter: SqliteCounter) -> None:
    took = await taken(counter, window("a", 9), at_once("c", 1))
    with anyio.CancelScope() as scope:
        scope.cancel()
        await counter.give_back(took, refund=True)
    assert await counter.used(took.takes) == (0, 0)


def test_what_was_taken_for_a_loop_that_is_closed_is_given_back(path: Path) -> None:
    counter, takes = SqliteCounter(path), [window("a", 9), at_once("c", 1)]
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        counter.start()
        loop = asyncio.new_event_loop()
        request = counter.take(takes)
        loop.call_soon(request.send, None)
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        other.execute("COMMIT")

    async def rest() -> tuple[int, ...]:
        # Two rounds: the first may meet the one whose answer finds nobody, and then the second gives back.
        await counter.used(takes)
        found = await counter.used(takes)
        await counter.close()
        return found

    assert anyio.run(rest) == (0, 0)
    with contextlib.suppress(RuntimeError, StopIteration):
        request.close()


async def test_a_locked_store_is_down_for_those_who_wait_and_up_again(counter: SqliteCounter, path: Path) -> None:
    takes = [window("a", 9), at_once("c", 1)]
    took = await taken(counter, *takes)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for request in (counter.take(takes), counter.used(takes), counter.give_back(took, refund=True)):
            with pytest.raises(StoreDown, match="locked"):
                await request
        other.execute("ROLLBACK")
    # What could not be given back is made good, once.
    assert await counter.used(takes) == (0, 0)
    assert (await taken(counter, *takes)).used == (1, 1)


async def test_after_a_commit_that_failed_nothing_is_counted_down_that_may_be_already(
    counter: SqliteCounter,
) -> None:
    took = await taken(counter, window("a", 9), at_once("c", 1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))  # a disk that is full
    try:
        with pytest.raises(StoreDown, match="Unsure"):
            await counter.give_back(took, refund=True)
        with pytest.raises(StoreDown):
            await counter.take(took.takes)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert await counter.used(took.takes) == (1, 0)
    assert (await taken(counter, *took.takes)).used == (2, 1)


async def test_a_store_that_is_gone_is_down_and_one_that_came_back_counts(counter: SqliteCounter, path: Path) -> None:
    takes = [window("a", 9)]
    await taken(counter, *takes)
    moved = path.parent.with_name("moved")
    path.parent.rename(moved)
    with pytest.raises(StoreDown, match="No such file"):
        await counter.take(takes)
    assert not await anyio.Path(path).exists()
    moved.rename(path.parent)
    assert (await taken(counter, *takes)).used == (2,)
    shutil.rmtree(path.parent)
    migrate(path)
    assert (await taken(counter, *takes)).used == (1,)


async def test_a_file_that_is_no_database_is_a_store_that_is_down(counter: SqliteCounter, path: Path) -> None:
    await anyio.Path(path).write_bytes(b"nothing of use" * 1000)
    with pytest.raises(StoreDown, match="not a database"):
        await counter.take([window("a", 9)])


async def test_a_mistake_of_ours_fails_those_who_wait_and_nobody_after(counter: SqliteCounter) -> None:
    bad = replace(window("a", 9), cost=object())  # type: ignore[arg-type]
    with pytest.raises(StoreDown, match="TypeError"):
        await counter.take([bad])
    await taken(counter, window("a", 9))


async def test_a_closed_counter_is_a_store_that_is_down(path: Path) -> None:
    counter = SqliteCounter(path)
    with pytest.raises(StoreDown, match="closed"):
        await counter.take([window("a", 9)])
    counter.start()
    await counter.close()
    await counter.close()
    with pytest.raises(StoreDown, match="closed"):
        await counter.used([window("a", 9)])


async def test_what_waits_when_it_is_closed_is_answered(path: Path) -> None:
    counter = SqliteCounter(path)
    counter.start()
    answers: list[Taken] = []

    async def ask() -> None:
        answers.append(await taken(counter, window("a", 100)))

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(ask)
        await anyio.lowlevel.checkpoint()
        await counter.close()
    assert sorted(found.used[0] for found in answers) == list(range(1, 51))


async def test_many_at_once_are_admitted_up_to_the_limit(counter: SqliteCounter) -> None:
    found: list[Taken | Exhausted] = []

    async def ask() -> None:
        found.append(await counter.take([window("a", 300), window("b", 200, cost=2)]))

    async with anyio.create_task_group() as tasks:
        for _ in range(2500):  # more than go into one transaction
            tasks.start_soon(ask)
    assert sum(isinstance(one, Taken) for one in found) == 100
    assert await counter.used([window("a", 300), window("b", 200)]) == (100, 200)


async def test_a_loop_that_never_rests_gets_its_answers(counter: SqliteCounter) -> None:
    done = False

    async def burn() -> None:
        while not done:
            sum(range(1000))
            await asyncio.sleep(0)

    with anyio.fail_after(120):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(burn)
            for number in range(1, 21):
                assert (await taken(counter, window("a", 100))).used == (number,)
            done = True


async def test_several_loops_may_share_a_counter(counter: SqliteCounter) -> None:
    found: list[Any] = []

    def elsewhere(ask: Callable[[], Any]) -> None:
        found.append(asyncio.run(ask()))

    threads = [threading.Thread(target=elsewhere, args=[lambda: taken(counter, window("a", 9))]) for _ in range(3)]
    for thread in threads:
        thread.start()
    await taken(counter, window("a", 9))
    for thread in threads:
        await anyio.to_thread.run_sync(thread.join)
    assert await counter.used([window("a", 9)]) == (4,)
