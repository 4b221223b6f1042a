"""Requests in flight on a link, and the end of all of them."""

import anyio
import pytest

from portkey_mcp.errors import UpstreamDown
from portkey_mcp.upstream.flights import Flights

pytestmark = pytest.mark.anyio


async def test_grounding_fails_what_flies_and_what_would_start_later() -> None:
    ends: list[str] = []
    flights = Flights("up", lambda: ends.append("end"))
    failed: list[UpstreamDown] = []

    async def fly() -> None:
        with pytest.raises(UpstreamDown, match="it is over") as raised, flights.flying():
            await anyio.sleep_forever()
        failed.append(raised.value)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(fly)
            group.start_soon(fly)
            while flights.busy < 2:
                await anyio.lowlevel.checkpoint()
            flights.ground("it is over")
            flights.ground("a second reason")
    with pytest.raises(UpstreamDown, match="it is over") as raised, flights.flying():
        raise AssertionError

    assert [error.sent for error in failed] == [True, True]
    assert not raised.value.sent
    assert flights.busy == 0
    assert ends == ["end"]


async def test_a_timeout_of_somebody_elses_stays_a_timeout() -> None:
    flights = Flights("up")

    with pytest.raises(TimeoutError), flights.flying():
        raise TimeoutError
