"""The owner of background tasks."""

import anyio
import pytest

from portkey_mcp.upstream.tasks import Tasks

pytestmark = pytest.mark.anyio


async def test_an_error_is_logged_and_hurts_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    done = anyio.Event()

    async def fail() -> None:
        raise ValueError("on purpose")

    async def work() -> None:
        done.set()

    async with Tasks() as tasks:
        tasks.spawn(fail())
        tasks.spawn(work())
        with anyio.fail_after(5):
            await done.wait()

    assert "on purpose" in caplog.text


async def test_the_end_cancels_what_runs_and_what_is_started_meanwhile() -> None:
    ended: list[str] = []

    async def late() -> None:
        ended.append("late ran")

    async def work(tasks: Tasks) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("cancelled")
            tasks.spawn(late())

    with anyio.fail_after(5):
        async with Tasks() as tasks:
            tasks.spawn(work(tasks))
            await anyio.lowlevel.checkpoint()

    assert ended == ["cancelled"]


async def test_after_the_end_nothing_can_be_started() -> None:
    async def work() -> None:
        raise AssertionError

    async with Tasks() as tasks:
        pass
    with pytest.raises(RuntimeError):
        tasks.spawn(work())
