"""The terms of one call, in the order of the least harm: what fails early costs nothing and troubles nobody."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mcp_types import HEADER_MISMATCH, METHOD_NOT_FOUND

from portkey_mcp.errors import InvalidRequest, Refused, StoreDown, UpstreamDown, UpstreamError
from portkey_mcp.gateway.call import Call
from portkey_mcp.gateway.gate import LIMITS_META, Gate
from portkey_mcp.gateway.passage import Passage
from portkey_mcp.gateway.visible import Use
from portkey_mcp.model import Endpoint, Era, Exhausted, Take, Taken, Visit, Workspace
from portkey_mcp.policy.decide import Allow, Rules, Thing
from portkey_mcp.policy.document import parse
from portkey_mcp.storage.counters import SqliteCounter
from portkey_mcp.storage.database import Database
from portkey_mcp.wire import Json
from tests.gateway.house import ADA
from tests.gateway.memory_link import Client, error
from tests.gateway.wanting_house import CLIENT, ECHO, UPSTREAM, is_said, text_of, wanting

pytestmark = pytest.mark.anyio

THING = Thing("tool", "files", "read")
VISIT = Visit(ADA, Endpoint("server", Workspace("team", "Team", {}, {}), "files"))
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = {"calls": 2, "per": "day", "each": "user"}


def rules_of(rule: Json, **more: Any) -> Rules:
    return Rules(parse({"rules": [{"match": "*", **rule}], **more}))


class Served:
    """One gate, and what came through it."""

    def __init__(self, gate: Gate, rule: Json, **policy: Any) -> None:
        self.gate, self.rules = gate, rules_of(rule, **policy)
        self.sent: list[Call] = []
        self.answer: Json | Exception = {"content": []}
        self.rounds = 1
        """Requests that go to the server for one call."""

    async def __call__(self, arguments: Any = None, tool: Json | None = None, state: str | None = None) -> Json:
        decision = self.rules.decide(VISIT, THING)
        assert isinstance(decision, Allow)
        params = {"name": "read", **({} if arguments is None else {"arguments": arguments})}
        params |= {} if state is None else {"requestState": state}
        call = Call(VISIT, 1, "tools/call", params, "modern", "2026-07-28")
        use = Use(THING, decision.terms, "read")
        return await self.gate.through(call, use, tool, self.rules, Client(), self._send, self._still)

    async def _still(self) -> None:
        """Nothing changed meanwhile."""

    async def _send(self, call: Call, passage: Passage) -> Json:
        passage.rounds += self.rounds
        self.sent.append(call)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@asynccontextmanager
async def counted(tmp_path: Path) -> AsyncIterator[Gate]:
    database = await Database.open(tmp_path)
    async with SqliteCounter(database.path) as counter:
        yield Gate(counter, clock=lambda: NOON)
    await database.close()


async def test_without_terms_a_call_passes_as_it_is() -> None:
    served = Served(Gate(), {"enabled": True})
    answer = await served({"x": 1})
    assert answer is served.answer
    assert served.sent[0].params == {"name": "read", "arguments": {"x": 1}}


async def test_what_is_left_is_told_and_what_is_used_up_refuses(tmp_path: Path) -> None:
    async with counted(tmp_path) as gate:
        served = Served(gate, {"limits": [DAY]})
        left = [(await served())["_meta"][LIMITS_META][0]["left"] for _ in range(2)]
        assert left == [1, 0]
        with pytest.raises(Refused) as refused:
            await served()
        assert refused.value.reason == "limit"
        assert refused.value.retry_after == 12 * 3600
        assert len(served.sent) == 2


@pytest.mark.parametrize(
    ("failure", "rounds", "left"),
    [
        (UpstreamDown("files", "gone"), 1, 2),
        (UpstreamDown("files", "no link"), 0, 2),
        (UpstreamDown("files", "gone", sent=True), 1, 1),
        (UpstreamDown("files", "gone in the second round"), 2, 1),
        (InvalidRequest(HEADER_MISMATCH, "headers"), 0, 2),
        (InvalidRequest(METHOD_NOT_FOUND, "the client says so, of a question"), 1, 1),
        (InvalidRequest(-32021, "the server asked for what the client cannot do"), 1, 1),
        (UpstreamError({"code": -32000, "message": "no"}), 1, 1),
    ],
)
async def test_only_what_never_reached_its_server_is_given_back(
    tmp_path: Path, failure: Exception, rounds: int, left: int
) -> None:
    async with counted(tmp_path) as gate:
        served = Served(gate, {"limits": [DAY]})
        served.answer, served.rounds = failure, rounds
        with pytest.raises(type(failure)):
            await served()
        served.answer, served.rounds = {"content": []}, 1
        assert (await served())["_meta"][LIMITS_META][0]["left"] == left - 1


@pytest.mark.parametrize(
    "rule",
    [
        {"max_arguments": "5B"},
        {"when": "args.x == 2"},
        {"arguments": {"x": {"value": 5}}},
        {"redact": [{"pattern": "7", "in": "arguments", "do": "block"}]},
        {"check_arguments": True},
    ],
)
async def test_what_its_arguments_forbid_costs_nothing(tmp_path: Path, rule: Json) -> None:
    tool = {"name": "read", "inputSchema": {"type": "object", "properties": {"x": {"type": "boolean"}}}}
    async with counted(tmp_path) as gate:
        served = Served(gate, {"limits": [DAY], **rule})
        with pytest.raises(Refused):
            await served({"x": "17"}, tool)
        assert served.sent == []
        free = Served(gate, {"limits": [DAY]})
        assert (await free())["_meta"][LIMITS_META][0]["left"] == 1


class Down:
    """A counter whose store is gone."""

    async def take(self, takes: object) -> Taken | Exhausted:
        raise StoreDown("disk full")

    async def give_back(self, taken: Taken, *, refund: bool) -> None:
        raise StoreDown("disk full")

    async def used(self, takes: object) -> tuple[int, ...]:
        raise StoreDown("disk full")


@pytest.mark.parametrize("counter", [None, Down()])
async def test_what_cannot_be_counted_is_refused_unless_the_policy_says_otherwise(counter: Any) -> None:
    with pytest.raises(Refused) as refused:
        await Served(Gate(counter), {"limits": [DAY]})()
    assert refused.value.reason == "store"
    allowed = Served(Gate(counter), {"limits": [DAY]}, on_store_error="allow")
    assert await allowed() == {"content": []}


async def test_a_place_that_cannot_be_given_back_does_not_cost_the_answer() -> None:
    class Lent(Down):
        async def take(self, takes: Any) -> Taken | Exhausted:
            return Taken((Take("k", 0, 0, 1, 2),), (1,), ("lease",))

    lent: Any = Lent()
    answer = await Served(Gate(lent), {"limits": [{"concurrent": 2}]})()
    assert answer["content"] == []


async def test_where_nobody_can_be_asked_nothing_that_needs_approval_runs() -> None:
    served = Served(Gate(), {"require_approval": True})
    with pytest.raises(Refused) as refused:
        await served()
    assert refused.value.reason == "store"
    assert served.sent == []


async def test_arguments_are_searched_before_they_leave_and_filled_in() -> None:
    served = Served(Gate(), {"redact": [{"find": "email", "in": "both"}], "arguments": {"repo": {"value": "acme"}}})
    await served({"to": "ada@example.com"})
    [call] = served.sent
    assert call.params is not None
    assert call.params["arguments"]["repo"] == "acme"
    assert "ada@" not in call.params["arguments"]["to"]


async def test_the_answer_to_what_a_call_was_asked_is_no_call_of_its_own(tmp_path: Path) -> None:
    async with counted(tmp_path) as gate:
        gate.resumes = lambda call: (call.params or {}).get("requestState") == "parked"
        served = Served(gate, {"limits": [{**DAY, "calls": 1}]})
        await served()
        assert await served(state="parked") == {"content": []}
        with pytest.raises(Refused):
            await served(state="another")


async def test_a_call_that_goes_on_keeps_its_place_until_it_is_over(tmp_path: Path) -> None:
    async with counted(tmp_path) as gate:
        served = Served(gate, {"limits": [{"concurrent": 1}]})
        passages: list[Passage] = []
        send = served._send

        async def parks(call: Call, passage: Passage) -> Json:
            passages.append(passage)
            passage.goes_on = True
            return await send(call, passage)

        served._send = parks  # type: ignore[method-assign]
        await served()
        with pytest.raises(Refused, match="at the same time"):
            await served()
        await passages[0].over()
        await served()


async def test_a_condition_is_not_evaded_by_arguments_that_are_no_object() -> None:
    served = Served(Gate(), {"when": "!('force' in args)"})
    for arguments in ([{"force": 1}], "force", 5):
        with pytest.raises(Refused):
            await served(arguments)
    await served()
    assert len(served.sent) == 1


async def test_an_error_of_the_server_passes_as_it_is(tmp_path: Path) -> None:
    async with counted(tmp_path) as gate:
        served = Served(gate, {"limits": [DAY], "redact": ["email"]})
        served.answer = error(-32050, "its own")
        with pytest.raises(UpstreamError, match="its own"):
            await served()


@UPSTREAM
@CLIENT
async def test_a_limit_is_not_used_up(upstream: Era, era: Era, tmp_path: Path) -> None:
    database = await Database.open(tmp_path)
    limited = {"version": 1, "rules": [{"match": "*", "limits": [{"calls": 1, "per": "day", "each": "user"}]}]}
    async with SqliteCounter(database.path) as counter, wanting(upstream, policy=limited, gate=Gate(counter)) as place:
        assert is_said(await place.answer("tools/call", ECHO, era=era))
        await place.connect()
        await place.answer("tools/list", {}, era=era)
        place.good.clear()  # an open account that ends while it is used: the server itself refuses
        assert is_said(await place.answer("tools/call", ECHO, era=era))
        await place.connect(token="t2")
        assert text_of(await place.answer("tools/call", ECHO, era=era)) == "t2"
        assert "limit" in text_of(await place.answer("tools/call", ECHO, era=era))
    await database.close()
