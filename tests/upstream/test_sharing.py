"""One run of some work for all who want its result."""

import anyio
import pytest

from portkey_mcp.errors import UpstreamDown
from portkey_mcp.upstream.sharing import Shared
from portkey_mcp.upstream.tasks import Tasks

pytestmark = pytest.mark.anyio


async def test_it_is_made_once_and_kept_until_forgotten() -> None:
    made: list[int] = []

    async def make() -> int:
        made.append(len(made))
        await anyio.lowlevel.checkpoint()
        return len(made)

    async with Tasks() as tasks:
        shared = Shared(tasks.spawn, make)
        assert shared.value is None
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(shared.get)
        assert (shared.value, await shared.get()) == (1, 1)
        shared.forget()
        assert shared.value is None
        assert await shared.get() == 2


async def test_a_failure_is_told_to_everybody_as_a_copy_and_tried_again_the_next_time() -> None:
    raised: list[UpstreamDown] = []
    fine = False

    async def make() -> str:
        await anyio.lowlevel.checkpoint()
        if not fine:
            raise UpstreamDown("up", "not yet", retry_after=3.0)
        return "made"

    async def want(shared: "Shared[str]") -> None:
        with pytest.raises(UpstreamDown) as error:
            await shared.get()
        raised.append(error.value)

    async with Tasks() as tasks:
        shared = Shared(tasks.spawn, make)
        async with anyio.create_task_group() as group:
            group.start_soon(want, shared)
            group.start_soon(want, shared)
        fine = True
        assert await shared.get() == "made"

    assert raised[0] is not raised[1]
    assert [error.retry_after for error in raised] == [3.0, 3.0]


async def test_one_who_stops_waiting_does_not_stop_the_work() -> None:
    release = anyio.Event()

    async def make() -> str:
        await release.wait()
        return "made"

    async with Tasks() as tasks:
        shared = Shared(tasks.spawn, make)
        with anyio.move_on_after(0):
            await shared.get()
        assert shared.in_progress
        release.set()
        assert await shared.get() == "made"
        assert not shared.in_progress


async def test_nobody_waits_for_ever_when_the_work_is_cancelled() -> None:
    told = anyio.Event()

    async def wait(shared: "Shared[None]") -> None:
        with pytest.raises(UpstreamDown, match="shutting down"):
            await shared.get()
        told.set()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            async with Tasks() as tasks:
                shared: Shared[None] = Shared(tasks.spawn, anyio.sleep_forever)
                group.start_soon(wait, shared)
                while not shared.in_progress:
                    await anyio.lowlevel.checkpoint()
            await told.wait()
