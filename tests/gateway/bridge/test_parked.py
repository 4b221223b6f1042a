import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.errors import InvalidRequest
from portkey_mcp.gateway.bridge import parked as parked_module
from portkey_mcp.gateway.bridge.parked import Parked, Parking, digest_of
from portkey_mcp.sealing import KeyRing
from portkey_mcp.wire import Json
from tests.gateway.memory_link import Client, error
from tests.gateway.stirring import Stirring

pytestmark = pytest.mark.anyio

QUESTION: Json = {"method": "elicitation/create", "params": {"message": "Sure?"}}
PROGRESS: Json = {"method": "notifications/progress", "params": {"progress": 1}}
OTHER: Json = {"method": "roots/list"}
KEYS = KeyRing.generate()


class Upstream(Stirring):
    """One call that asks: the questions of each round, then what it answered is its result."""

    def __init__(self, *rounds: list[Json]) -> None:
        super().__init__()
        self.rounds = rounds
        self.cancelled = False
        self.answers: list[Json] = []
        self.go_on: anyio.Event | None = None

    async def run(self, parked: Parked) -> Json:
        try:
            for questions in self.rounds:
                async with anyio.create_task_group() as group:
                    for question in questions:
                        group.start_soon(self._ask, parked, question)
            if self.go_on is not None:
                await self.go_on.wait()
            await parked.notify(PROGRESS)
            return {"answers": self.answers}
        except anyio.get_cancelled_exc_class():
            self.cancelled = True
            self.stir()
            raise

    async def _ask(self, parked: Parked, question: Json) -> None:
        self.answers.append(await parked.ask(question))


@asynccontextmanager
async def parking() -> AsyncIterator[Parking]:
    async with anyio.create_task_group() as tasks:
        with anyio.fail_after(10):
            yield Parking(KEYS, tasks)
        tasks.cancel_scope.cancel()


def answers_to(result: Json, value: Any) -> Json:
    return dict.fromkeys(result["inputRequests"], value)


async def refused(parking: Parking, state: str, principal: str = "ada", digest: str = "d") -> str:
    with pytest.raises(InvalidRequest) as caught:
        await parking.resume(principal, digest, state, {}, Client())
    assert caught.value.code == -32602
    return caught.value.message


async def test_a_call_that_asks_nothing_is_answered_at_once_with_its_notifications_first() -> None:
    async with parking() as place:
        client = Client()

        assert await place.begin("ada", "d", Upstream().run, client) == {"answers": []}
        assert client.heard == [PROGRESS]


async def test_a_question_parks_the_call_and_a_retry_answers_it() -> None:
    async with parking() as place:
        upstream, client = Upstream([QUESTION]), Client()
        result = await place.begin("ada", "d", upstream.run, client)

        assert result["resultType"] == "input_required"
        assert list(result["inputRequests"].values()) == [QUESTION]
        again = await place.resume("ada", "d", result["requestState"], answers_to(result, {"action": "accept"}), client)
        assert again == {"answers": [{"result": {"action": "accept"}}]}


async def test_questions_asked_at_once_are_one_round_and_later_ones_another() -> None:
    async with parking() as place:
        upstream = Upstream([QUESTION, OTHER], [QUESTION])
        first = await place.begin("ada", "d", upstream.run, Client())
        assert len(first["inputRequests"]) == 2
        second = await place.resume("ada", "d", first["requestState"], answers_to(first, 1), Client())

        assert len(second["inputRequests"]) == 1
        assert not set(second["inputRequests"]) & set(first["inputRequests"])
        last = await place.resume("ada", "d", second["requestState"], answers_to(second, 2), Client())
        assert last["answers"][-1] == {"result": 2}


async def test_missing_answers_are_asked_for_again_and_unknown_ones_passed_over() -> None:
    async with parking() as place:
        upstream = Upstream([QUESTION, OTHER])
        first = await place.begin("ada", "d", upstream.run, Client())
        given_key, missing_key = first["inputRequests"]
        second = await place.resume("ada", "d", first["requestState"], {given_key: 1, "made-up": 2}, Client())

        assert list(second["inputRequests"]) == [missing_key]
        last = await place.resume("ada", "d", second["requestState"], {missing_key: 3, given_key: 4}, Client())
        assert last == {"answers": [{"result": 1}, {"result": 3}]}


async def test_notifications_after_parking_come_with_the_retry() -> None:
    async with parking() as place:
        parked_call: list[Parked] = []

        async def run(parked: Parked) -> Json:
            parked_call.append(parked)
            await parked.ask(QUESTION)
            return {}

        first = await place.begin("ada", "d", run, Client())
        await parked_call[0].notify(PROGRESS)
        client = Client()

        assert await place.resume("ada", "d", first["requestState"], answers_to(first, 1), client) == {}
        assert client.heard == [PROGRESS]


async def test_notifications_just_before_the_result_are_not_lost_while_questions_gather() -> None:
    async def run(parked: Parked) -> Json:
        async with anyio.create_task_group() as group:
            group.start_soon(parked.ask, QUESTION)
            await anyio.lowlevel.checkpoint()
            await parked.notify(PROGRESS)
            group.cancel_scope.cancel()
        return {"gave up": True}

    async with parking() as place:
        client = Client()

        assert await place.begin("ada", "d", run, client) == {"gave up": True}
        assert client.heard == [PROGRESS]


async def test_a_question_that_the_upstream_withdrew_is_not_put_to_the_client() -> None:
    withdraw = anyio.Event()

    async def run(parked: Parked) -> Json:
        async with anyio.create_task_group() as group:
            group.start_soon(parked.ask, QUESTION)
            await withdraw.wait()
            group.cancel_scope.cancel()
        return {"answer": await parked.ask(OTHER)}

    async with parking() as place:
        first = await place.begin("ada", "d", run, Client())
        withdraw.set()
        second = await place.resume("ada", "d", first["requestState"], {}, Client())

        assert list(second["inputRequests"].values()) == [OTHER]


async def test_only_so_many_notifications_are_kept_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parked_module, "MOST_KEPT", 2)
    alone = Parked("h", "ada", "d")
    for number in range(5):
        await alone.notify({"n": number})

    assert list(alone.heard) == [{"n": 3}, {"n": 4}]


async def test_a_parked_call_expires_and_is_cancelled_upstream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parked_module, "TIME_TO_LIVE", 0.01)
    async with parking() as place:
        upstream = Upstream([QUESTION])
        result = await place.begin("ada", "d", upstream.run, Client())
        await upstream.until(lambda: upstream.cancelled)
        await anyio.wait_all_tasks_blocked()

        assert "expired" in await refused(place, result["requestState"])


async def test_a_parked_call_is_its_principals_and_its_requests_own() -> None:
    async with parking() as place:
        upstream = Upstream([QUESTION])
        state = (await place.begin("ada", "d", upstream.run, Client()))["requestState"]

        assert "another request" in await refused(place, state, principal="bob")
        assert "another request" in await refused(place, state, digest="e")
        assert not upstream.cancelled
        assert await place.resume("ada", "d", state, {"input-1": 1}, Client()) == {"answers": [{"result": 1}]}


async def test_an_answered_call_is_answered_once() -> None:
    async with parking() as place:
        state = (await place.begin("ada", "d", Upstream([QUESTION]).run, Client()))["requestState"]
        await place.resume("ada", "d", state, {"input-1": 1}, Client())

        await refused(place, state)


async def test_two_retries_at_once_do_not_share_a_call() -> None:
    async with parking() as place, anyio.create_task_group() as group:
        upstream, results = Upstream([QUESTION]), []
        upstream.go_on = anyio.Event()
        state = (await place.begin("ada", "d", upstream.run, Client()))["requestState"]

        async def retry() -> None:
            results.append(await place.resume("ada", "d", state, {"input-1": 1}, Client()))

        group.start_soon(retry)
        await anyio.wait_all_tasks_blocked()
        await refused(place, state)
        upstream.go_on.set()

    assert results == [{"answers": [{"result": 1}]}]


@given(st.text(max_size=40))
async def test_no_state_that_a_client_makes_up_does_worse_than_an_invalid_request(state: str) -> None:
    async with parking() as place:
        await refused(place, state)
        await refused(place, KEYS.seal(b'["a","ada"]', parked_module.SEAL))
        await refused(place, KEYS.seal(b'["a","ada","d"]', "another-use"))


async def test_a_client_that_leaves_while_the_call_runs_cancels_it() -> None:
    async with parking() as place:
        upstream = Upstream()
        upstream.go_on = anyio.Event()
        with anyio.move_on_after(0.02):
            await place.begin("ada", "d", upstream.run, Client())

        await upstream.until(lambda: upstream.cancelled)


async def test_a_client_that_leaves_after_its_retry_cancels_the_call_too() -> None:
    async with parking() as place:
        upstream = Upstream([QUESTION])
        upstream.go_on = anyio.Event()
        state = (await place.begin("ada", "d", upstream.run, Client()))["requestState"]
        with anyio.move_on_after(0.02):
            await place.resume("ada", "d", state, {"input-1": 1}, Client())

        await upstream.until(lambda: upstream.cancelled)


async def test_one_parked_call_too_many_lets_the_principals_oldest_go_and_nobody_elses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parked_module, "MOST_PER_PRINCIPAL", 2)
    async with parking() as place:
        oldest, *others = Upstream([QUESTION]), Upstream([QUESTION]), Upstream([QUESTION])
        bobs = (await place.begin("bob", "d", Upstream([QUESTION]).run, Client()))["requestState"]
        states = [(await place.begin("ada", "d", one.run, Client()))["requestState"] for one in (oldest, *others)]
        await oldest.until(lambda: oldest.cancelled)

        with pytest.raises(InvalidRequest, match="expired"):
            await place.resume("ada", "d", states[0], {"input-1": 1}, Client())
        for owner, state in (("ada", states[1]), ("ada", states[2]), ("bob", bobs)):
            assert await place.resume(owner, "d", state, {"input-1": 1}, Client()) == {"answers": [{"result": 1}]}


async def test_calls_that_only_run_do_not_count_as_parked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parked_module, "MOST_PER_PRINCIPAL", 1)
    async with parking() as place, anyio.create_task_group() as group:
        running = Upstream()
        running.go_on = anyio.Event()
        for _ in range(5):
            group.start_soon(place.begin, "ada", "d", running.run, Client())
        await anyio.wait_all_tasks_blocked()

        assert "requestState" in await place.begin("ada", "d", Upstream([QUESTION]).run, Client())
        running.go_on.set()


async def test_what_the_call_raises_is_raised_where_the_client_waits() -> None:
    async def fails(parked: Parked) -> Json:
        await parked.ask(QUESTION)
        raise error(-7)

    async with parking() as place:
        state = (await place.begin("ada", "d", fails, Client()))["requestState"]
        with pytest.raises(Exception, match="-7"):
            await place.resume("ada", "d", state, {"input-1": 1}, Client())


async def test_an_unexpected_failure_of_one_call_leaves_the_others_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(parked: Parked) -> Json:
        raise KeyError("oops")

    async with parking() as place:
        state = (await place.begin("ada", "d", Upstream([QUESTION]).run, Client()))["requestState"]
        with caplog.at_level(logging.CRITICAL), pytest.raises(InvalidRequest, match="Internal error"):
            await place.begin("ada", "d", broken, Client())

        assert await place.resume("ada", "d", state, {"input-1": 1}, Client()) == {"answers": [{"result": 1}]}


def test_a_digest_leaves_out_what_only_a_retry_has() -> None:
    bare = digest_of("team/files", "tools/call", {"name": "x"})

    assert digest_of("team/files", "tools/call", {"name": "x", "_meta": {}, "requestState": "s"}) == bare
    assert digest_of("team/files", "tools/call", {"name": "x", "inputResponses": {}}) == bare
    assert (
        len(
            {
                bare,
                digest_of("team", "tools/call", {"name": "x"}),
                digest_of("team/files", "prompts/get", {"name": "x"}),
            }
        )
        == 3
    )
    assert digest_of("team/files", "tools/call", {"name": "y"}) != bare
    assert digest_of("p", "m", None) == digest_of("p", "m", {})
