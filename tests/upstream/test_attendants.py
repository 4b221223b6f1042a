"""Those who attend: queues of their own, a keeper, and what they are told after a gap."""

import anyio
import pytest

from portkey_mcp.upstream.attendants import MAX_WAITING, Attendants
from portkey_mcp.upstream.tasks import Tasks
from portkey_mcp.wire import Json
from tests.upstream.heard import Heard

pytestmark = pytest.mark.anyio


class Keeper:
    """Writes down when it is wanted."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def settled(self) -> None:
        self.calls.append("settled")

    def stop(self) -> None:
        self.calls.append("stop")


async def test_a_stuck_attendant_delays_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    async def never(_: Json) -> None:
        await anyio.sleep_forever()

    heard = Heard()
    async with Tasks() as tasks:
        attendants = Attendants(tasks.spawn)
        async with (
            attendants.attend("ada", never, heard.on_request),
            attendants.attend("bob", heard.on_notification, heard.on_request),
        ):
            for number in range(MAX_WAITING + 2):
                attendants.tell({"method": "x", "params": number})
                await anyio.lowlevel.checkpoint()
            await heard.until(MAX_WAITING + 2)
            assert attendants.principals == {"ada", "bob"}

    assert [one["params"] for one in heard.notifications] == list(range(MAX_WAITING + 2))
    assert "behind" in caplog.text


async def test_one_who_fails_is_told_the_rest_all_the_same() -> None:
    heard = Heard()

    async def fail_once(notification: Json) -> None:
        await heard.on_notification(notification)
        if notification["method"] == "first":
            raise ValueError

    async with Tasks() as tasks:
        attendants = Attendants(tasks.spawn)
        async with attendants.attend("ada", fail_once, heard.on_request):
            attendants.tell({"method": "first"})
            attendants.tell({"method": "second"})
            await heard.until(2)


async def test_the_keeper_is_asked_for_by_each_and_stopped_by_the_last() -> None:
    keeper, heard = Keeper(), Heard()
    async with Tasks() as tasks:
        attendants = Attendants(tasks.spawn)
        attendants.keeper = keeper
        async with attendants.attend("a", heard.on_notification, heard.on_request):
            async with attendants.attend("b", heard.on_notification, heard.on_request):
                assert attendants.newest is not None
                assert attendants.newest.principal == "b"
            assert keeper.calls == ["settled", "settled"]

    assert keeper.calls == ["settled", "settled", "stop"]
    assert not attendants
    assert attendants.newest is None


async def test_after_a_gap_only_lists_that_can_change_have_changed() -> None:
    heard = Heard()
    capabilities = {"tools": {"listChanged": True}, "prompts": {}, "resources": {"listChanged": True}, "x": None}
    async with Tasks() as tasks:
        attendants = Attendants(tasks.spawn)
        async with attendants.attend("a", heard.on_notification, heard.on_request):
            attendants.tell_lists_changed({})
            attendants.tell_lists_changed({"capabilities": capabilities})
            await heard.until(2)

    assert [one["method"] for one in heard.notifications] == [
        "notifications/tools/list_changed",
        "notifications/resources/list_changed",
    ]
