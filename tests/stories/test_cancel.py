"""One of a hundred calls in flight is cancelled: that one ends upstream, the others go on and are answered."""

from collections.abc import AsyncIterator

import anyio
import pytest

from tests.stories.raw_client import Heard, Json, RawClient
from tests.stories.raw_upstream import PATIENCE, RawUpstream
from tests.stories.raw_upstream_house import RawHouse, raw_house
from tests.stories.raw_upstream_stdio import TOLD

pytestmark = pytest.mark.anyio

MANY = 100
CHOSEN = 37

CELLS = [(client, upstream) for client in ("legacy", "modern") for upstream in ("legacy", "modern")]


@pytest.fixture
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RawHouse]:
    async with raw_house(tmp_path_factory.mktemp("raw")) as made:
        yield made


def holding(client: RawClient, number: int) -> Json:
    """A call that is answered only when the test releases it."""
    params = {"name": "hold", "say": {"hold": f"call {number}", "result": {"resultType": "complete", "n": number}}}
    return client.request("tools/call", params, ident=f"id {number}")


class Flights:
    """Many calls under way; `heard` are the answers by number, each call in a scope of its own."""

    def __init__(self, client: RawClient) -> None:
        self.client = client
        self.heard: dict[int, Heard] = {}
        self.scopes: dict[int, anyio.CancelScope] = {}
        self.ended: dict[int, anyio.Event] = {}

    async def fly(self, number: int) -> None:
        """One call; leaving its scope closes its connection."""
        self.ended[number] = anyio.Event()
        with anyio.CancelScope() as self.scopes[number]:
            self.heard[number] = await self.client.post(holding(self.client, number))
        self.ended[number].set()

    def release_all(self, upstream: RawUpstream) -> None:
        """Let all that are still held be answered."""
        for name in list(upstream.held):
            upstream.release(name)


def answered(flights: Flights) -> list[object]:
    return [flights.heard[number].answer.get("result", {}).get("n") for number in sorted(flights.heard)]


@pytest.mark.parametrize(("era", "server"), CELLS)
async def test_exactly_the_cancelled_call_stops_upstream(house: RawHouse, era: str, server: str) -> None:
    upstream, flights = house.upstream(server), Flights(await house.through(server, era))
    async with anyio.create_task_group() as group:
        for number in range(MANY):
            group.start_soon(flights.fly, number)
        await upstream.until(lambda: len(upstream.held) == MANY)
        if era == "legacy":
            reason = {"requestId": f"id {CHOSEN}", "reason": "the test says so"}
            await flights.client.notify("notifications/cancelled", reason)
        else:
            flights.scopes[CHOSEN].cancel()
        await upstream.until(lambda: bool(upstream.cancelled))
        with anyio.fail_after(PATIENCE):
            await flights.ended[CHOSEN].wait()
        flights.release_all(upstream)

    assert upstream.cancelled == [f"call {CHOSEN}"]
    if era == "legacy":
        assert flights.heard.pop(CHOSEN).messages == []
    assert answered(flights) == [number for number in range(MANY) if number != CHOSEN]


@pytest.mark.parametrize("server", ["legacy", "modern"])
async def test_a_legacy_client_that_merely_leaves_cancels_nothing(house: RawHouse, server: str) -> None:
    upstream, flights = house.upstream(server), Flights(await house.through(server, "legacy"))
    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(flights.fly, number)
        await upstream.until(lambda: len(upstream.held) == 3)
        flights.scopes[1].cancel()
        await flights.ended[1].wait()
        # The gateway has seen it leave by the time that it has answered others on the way.
        for _ in range(20):
            await flights.client.call("tools/list")
        assert upstream.cancelled == []
        assert len(upstream.held) == 3
        flights.release_all(upstream)
        await upstream.until(lambda: not upstream.held)

    assert upstream.cancelled == []
    assert answered(flights) == [0, 2]


@pytest.mark.parametrize("server", ["legacy", "modern"])
async def test_a_cancellation_names_calls_of_its_own_session_only(house: RawHouse, server: str) -> None:
    upstream = house.upstream(server)
    mine, other = Flights(await house.through(server, "legacy")), await house.through(server, "legacy")
    async with anyio.create_task_group() as group:
        group.start_soon(mine.fly, 1)
        await upstream.until(lambda: len(upstream.held) == 1)
        for ident in ("id 1", "id 2", 1, None, ["id 1"], {"id": 1}, True):
            assert (await other.notify("notifications/cancelled", {"requestId": ident})).status == 202
        for params in (None, {}, {"requestId": 1}, {"requestId": "ID 1"}):
            assert (await mine.client.notify("notifications/cancelled", params)).status == 202
        await other.call("tools/list")
        mine.release_all(upstream)

    assert upstream.cancelled == []
    assert answered(mine) == [1]


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("server", ["child", "modern-child"])
async def test_exactly_the_cancelled_call_stops_in_a_process(house: RawHouse, server: str, era: str) -> None:
    flights = Flights(await house.through(server, era))

    async def told(member: str, many: int) -> Json:
        """What the child says once so many names are in one of its lists."""
        with anyio.fail_after(PATIENCE):
            while True:
                result: Json = (await flights.client.call(TOLD)).answer["result"]
                if len(result[member]) >= many:
                    return result

    async with anyio.create_task_group() as group:
        for number in range(MANY):
            group.start_soon(flights.fly, number)
        await told("held", MANY)
        if era == "legacy":
            await flights.client.notify("notifications/cancelled", {"requestId": f"id {CHOSEN}"})
        else:
            flights.scopes[CHOSEN].cancel()
        result = await told("cancelled", 1)
        group.cancel_scope.cancel()

    assert result["cancelled"] == [f"call {CHOSEN}"]
    assert sorted(result["held"]) == sorted(f"call {number}" for number in range(MANY) if number != CHOSEN)
