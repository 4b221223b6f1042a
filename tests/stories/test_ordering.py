"""A burst before a result: nothing is lost, nothing is told twice, nothing comes after the result."""

from collections.abc import AsyncIterator

import anyio
import pytest

from tests.stories.raw_client import Heard, RawClient
from tests.stories.raw_upstream_house import RawHouse, raw_house
from tests.stories.raw_upstream_script import TICK, Json

pytestmark = pytest.mark.anyio

MANY = 1500

SERVERS = ["legacy", "modern", "child", "modern-child"]
ERAS = ["legacy", "modern"]


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RawHouse]:
    async with raw_house(tmp_path_factory.mktemp("raw")) as made:
        yield made


def burst(many: int) -> Json:
    return {"name": "burst", "say": {"burst": many, "result": {"resultType": "complete", "content": [], "n": many}}}


def check(heard: Heard, many: int) -> None:
    """All of a burst, in order, then the result, then nothing."""
    assert heard.answer["result"]["n"] == many
    assert [message["method"] for message in heard.messages[:-1]] == [TICK] * many
    assert [message["params"]["n"] for message in heard.messages[:-1]] == list(range(many))


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("server", SERVERS)
async def test_a_burst_arrives_whole_and_before_the_result(house: RawHouse, server: str, era: str) -> None:
    client = await house.through(server, era)
    check(await client.call("tools/call", burst(MANY)), MANY)


async def test_a_burst_of_a_legacy_server_reaches_a_modern_client_that_may_be_asked(house: RawHouse) -> None:
    client = await house.through("legacy", "modern")
    message = client.request("tools/call", burst(MANY))
    message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = {"elicitation": {}, "sampling": {}}
    check(await client.post(message), MANY)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("server", ["legacy", "modern"])
async def test_bursts_of_calls_at_once_do_not_mix(house: RawHouse, server: str, era: str) -> None:
    client = await house.through(server, era)

    async def one(many: int) -> None:
        check(await client.call("tools/call", burst(many)), many)

    async with anyio.create_task_group() as group:
        for many in range(100, 120):
            group.start_soon(one, many)


@pytest.mark.parametrize("server", ["child", "modern-child"])
async def test_progress_of_calls_at_once_on_one_process_finds_its_call(house: RawHouse, server: str) -> None:
    clients = [await house.through(server, "legacy"), await house.through(server, "modern")]
    params = {"progressToken": "$token", "progress": 1}

    async def one(client: RawClient, number: int) -> None:
        first = [{"method": "notifications/progress", "params": {**params, "n": [number, n]}} for n in range(50)]
        say = {"first": first, "result": {"resultType": "complete", "number": number}}
        # The same token from everybody: they are different clients' and must not be confused.
        heard = await client.call("tools/call", {"name": "x", "say": say, "_meta": {"progressToken": "same"}})
        assert heard.answer["result"]["number"] == number
        assert [message["params"]["n"] for message in heard.notifications] == [[number, n] for n in range(50)]
        assert {message["params"]["progressToken"] for message in heard.notifications} == {"same"}

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(one, clients[number % 2], number)
