"""Answering an upstream's own requests."""

import anyio
import pytest

from portkey_mcp.errors import UpstreamDown
from portkey_mcp.upstream.answering import Answering, ignore, no_requests
from portkey_mcp.upstream.tasks import Tasks
from portkey_mcp.wire import Json
from tests.upstream.heard import Heard

pytestmark = pytest.mark.anyio


class Upstream:
    """Receives answers."""

    def __init__(self) -> None:
        self.answers: list[Json] = []

    async def reply(self, answer: Json) -> None:
        self.answers.append(answer)

    async def until(self, count: int) -> list[Json]:
        with anyio.fail_after(5):
            while len(self.answers) < count:
                await anyio.lowlevel.checkpoint()
        return self.answers


async def test_a_request_gets_its_answer_and_a_ping_asks_nobody() -> None:
    upstream, heard = Upstream(), Heard(answer={"error": {"code": -1, "message": "no", "data": None}})
    async with Tasks() as tasks:
        answering = Answering(tasks.spawn, upstream.reply)
        answering.start({"jsonrpc": "2.0", "id": "1", "method": "roots/list", "params": None}, heard.on_request)
        answering.start({"jsonrpc": "2.0", "id": 1, "method": "ping"}, heard.on_request)
        answers = await upstream.until(2)

    assert answers == [
        {"jsonrpc": "2.0", "id": "1", "error": {"code": -1, "message": "no", "data": None}},
        {"jsonrpc": "2.0", "id": 1, "result": {}},
    ]
    assert heard.requests == [{"method": "roots/list", "params": None}]


async def test_a_request_nobody_can_answer_is_refused_in_words() -> None:
    upstream = Upstream()

    async def fail(_: Json) -> Json:
        raise ValueError("an inner secret")

    async with Tasks() as tasks:
        answering = Answering(tasks.spawn, upstream.reply)
        answering.start({"id": 1, "method": "roots/list"}, fail)
        answering.start({"id": 2, "method": "roots/list"}, no_requests)
        first, second = await upstream.until(2)

    assert first["error"] == {"code": -32603, "message": "the gateway could not answer"}
    assert second["error"]["code"] == -32601
    await ignore({})


async def test_a_request_that_is_taken_back_or_outlives_its_call_is_given_up() -> None:
    upstream = Upstream()
    given_up: list[object] = []

    async def wait(request: Json) -> Json:
        try:
            await anyio.sleep_forever()
        finally:
            given_up.append(request["params"])
        return {}

    async with Tasks() as tasks:
        answering = Answering(tasks.spawn, upstream.reply)
        for number in (1, 2):
            answering.start({"id": number, "method": "roots/list", "params": number}, wait)
        await anyio.lowlevel.checkpoint()

        assert not answering.withdraw({"method": "notifications/cancelled", "params": {"requestId": "1"}})
        assert not answering.withdraw({"method": "notifications/cancelled", "params": None})
        assert answering.withdraw({"method": "notifications/cancelled", "params": {"requestId": 1}})
        with anyio.fail_after(5):
            while given_up != [1]:
                await anyio.lowlevel.checkpoint()
            answering.stop()
            while given_up != [1, 2]:
                await anyio.lowlevel.checkpoint()

    assert upstream.answers == []


async def test_an_answer_that_cannot_be_delivered_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    tried = anyio.Event()

    async def broken(_: Json) -> None:
        tried.set()
        raise UpstreamDown("up", "gone")

    caplog.set_level("INFO")
    async with Tasks() as tasks:
        Answering(tasks.spawn, broken).start({"id": 1, "method": "ping"}, no_requests)
        with anyio.fail_after(5):
            await tried.wait()
            await anyio.lowlevel.checkpoint()

    assert "could not be delivered" in caplog.text
