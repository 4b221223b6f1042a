from typing import Any

import anyio
import pytest

from portkey_mcp.errors import NotFound
from portkey_mcp.gateway.changes import Changes
from portkey_mcp.model import Endpoint, Principal, Visit, Workspace

pytestmark = pytest.mark.anyio

BEFORE = Visit(Principal("ada", "Ada", "person"), Endpoint("hub", Workspace("team", "Team", {}, {})))
AFTER = Visit(BEFORE.principal, Endpoint("hub", Workspace("team", "Another name", {}, {})))


async def test_a_change_from_before_anybody_asked_is_noticed_too() -> None:
    async def again() -> Visit:
        return AFTER

    with anyio.fail_after(5):
        assert await Changes().outdated(BEFORE, again) == AFTER


@pytest.mark.parametrize("now", [AFTER, NotFound("gone")])
async def test_a_visit_is_outdated_once_admission_would_not_grant_it_as_it_was(now: Any) -> None:
    changes = Changes()
    granted: list[Any] = [BEFORE, BEFORE, now]
    done = anyio.Event()

    async def again() -> Visit:
        found = granted.pop(0)
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, Visit)
        return found

    async def wait() -> None:
        await changes.outdated(BEFORE, again)
        done.set()

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        changes.tell()
        await anyio.wait_all_tasks_blocked()
        assert not done.is_set(), "the same visit is granted still"

        changes.tell()
        with anyio.fail_after(5):
            await done.wait()


async def test_everything_is_outdated_once_the_gateway_stops() -> None:
    changes = Changes()
    ended: list[Visit | None] = []

    async def again() -> Visit:
        return BEFORE

    async def wait() -> None:
        ended.append(await changes.outdated(BEFORE, again))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            changes.close()
        await wait()
    assert ended == [None, None]


async def test_whoever_waits_is_told_of_what_comes_and_not_of_what_was() -> None:
    changes, told = Changes(), anyio.Event()

    async def wait() -> None:
        await changes.told()
        told.set()

    changes.tell()
    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert not told.is_set()
        changes.tell()
        with anyio.fail_after(5):
            await told.wait()
