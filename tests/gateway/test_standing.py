from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from portkey_mcp.gateway import standing
from portkey_mcp.gateway.session import Live
from portkey_mcp.gateway.standing import ACKNOWLEDGED, attend, honoured, listen, stream, wants, with_subscription
from portkey_mcp.gateway.standing import without_subscription as without
from portkey_mcp.wire import Json
from tests.gateway.house import FORM, House, house
from tests.gateway.memory_link import EVERYTHING, SUBSCRIPTION_KEY, Asked, Client, MemoryLink, error

pytestmark = pytest.mark.anyio

TOOLS, PROMPTS = "notifications/tools/list_changed", "notifications/prompts/list_changed"
UPDATED = "notifications/resources/updated"
ALL: Json = {"toolsListChanged": True, "promptsListChanged": True, "resourceSubscriptions": ["f:a", "f:b"]}
ERAS = pytest.mark.parametrize("era", ["legacy", "modern"])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "FIRST_PAUSE", 0.01)


def upstream(era: Any = "legacy", name: str = "alpha", **more: Any) -> MemoryLink:
    link = MemoryLink(name, era, **more)
    for method in ("resources/subscribe", "resources/unsubscribe") if era == "legacy" else ():
        link.on(method, {})
    return link


@asynccontextmanager
async def attending(
    place: House, wanted: Json | None, client: Client | None = None, call: Any = None
) -> AsyncIterator[Client]:
    """Attend alpha for a client; on entering nothing is missed any more."""
    client, ready = client or Client(), anyio.Event()
    lane = place.lane(call or place.call("subscriptions/listen", {}))
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(attend, lane, wanted, client, ready.set)
            await ready.wait()
            yield client
            group.cancel_scope.cancel()


def test_a_filter_wants_what_it_names() -> None:
    assert wants(ALL, {"method": TOOLS})
    assert not wants(ALL, {"method": "notifications/resources/list_changed"})
    assert not wants({"toolsListChanged": "yes"}, {"method": TOOLS})
    assert wants(ALL, {"method": UPDATED, "params": {"uri": "f:a"}})
    assert not wants(ALL, {"method": UPDATED, "params": {"uri": "f:c"}})
    assert not wants({}, {"method": UPDATED, "params": {"uri": None}})
    assert not wants(ALL, {"method": "notifications/message"})


def test_only_what_can_be_delivered_is_honoured() -> None:
    assert honoured({**ALL, "vendor": 1}, EVERYTHING) == ALL
    assert honoured(ALL, {}) == {}
    assert honoured(ALL, {"tools": {"listChanged": True}, "prompts": {}}) == {"toolsListChanged": True}
    assert honoured({"resourceSubscriptions": ["f:a", 7]}, EVERYTHING) == {"resourceSubscriptions": ["f:a"]}
    assert honoured({"resourceSubscriptions": []}, EVERYTHING) == {}


@pytest.mark.parametrize("ident", [1, "1"])
def test_a_frame_carries_this_hops_subscription_id_and_no_other(ident: Any) -> None:
    frame = with_subscription({"method": UPDATED, "params": {"uri": "f:a", "_meta": {"v": 1}}}, ident)

    assert frame["params"]["_meta"] == {"v": 1, SUBSCRIPTION_KEY: ident}
    assert without(frame) == {"method": UPDATED, "params": {"uri": "f:a", "_meta": {"v": 1}}}
    assert without(with_subscription({"method": TOOLS}, 1)) == {"method": TOOLS}
    assert without({"method": TOOLS, "params": {"_meta": {}}}) == {"method": TOOLS, "params": {"_meta": {}}}


@ERAS
async def test_events_come_in_as_the_filter_wants_them(era: Any) -> None:
    link = upstream(era)
    async with house(link) as place, attending(place, ALL) as client:
        await link.tell(TOOLS)
        await link.tell("notifications/resources/list_changed")
        await link.tell(UPDATED, {"uri": "f:a"})
        await link.tell(UPDATED, {"uri": "f:c"})

    assert client.heard == [{"method": TOOLS}, {"method": UPDATED, "params": {"uri": "f:a"}}]
    assert link.listeners == 0


@ERAS
async def test_updates_of_hidden_resources_do_not_come_in(era: Any) -> None:
    link = upstream(era)
    async with house(link, hidden=["resource:alpha/f:a"]) as place, attending(place, ALL) as client:
        await link.tell(UPDATED, {"uri": "f:a"})
        await link.tell(UPDATED, {"uri": "f:b"})

    assert [message["params"]["uri"] for message in client.heard] == ["f:b"]


async def test_a_resource_is_subscribed_by_the_first_listener_and_unsubscribed_by_the_last() -> None:
    link = upstream()
    wanted: Json = {"resourceSubscriptions": ["f:a"]}
    async with house(link) as place, attending(place, wanted) as one:
        async with attending(place, wanted) as other:
            await link.tell(UPDATED, {"uri": "f:a"})
        assert link.asked("resources/unsubscribe") == []
        await link.tell(UPDATED, {"uri": "f:a"})

    assert (len(one.heard), len(other.heard)) == (2, 1)
    assert [asked.params for asked in link.asked("resources/subscribe")] == [{"uri": "f:a"}]
    assert [asked.params for asked in link.asked("resources/unsubscribe")] == [{"uri": "f:a"}]


async def test_a_refused_resource_costs_neither_this_listener_nor_another_anything() -> None:
    async def picky(asked: Asked) -> Json:
        if (asked.params or {})["uri"] == "f:bad":
            raise error(-32602, "unknown resource")
        return {}

    link = upstream()
    link.on("resources/subscribe", picky)
    async with house(link) as place, attending(place, {"resourceSubscriptions": ["f:b"]}) as other:
        async with attending(place, {"toolsListChanged": True, "resourceSubscriptions": ["f:bad", "f:b"]}) as client:
            await link.tell(TOOLS)
            await link.tell(UPDATED, {"uri": "f:b"})
        assert [asked.params for asked in link.asked("resources/unsubscribe")] == [{"uri": "f:bad"}]
        await link.tell(UPDATED, {"uri": "f:b"})

    assert client.methods == [TOOLS, UPDATED]
    assert other.methods == [UPDATED, UPDATED]


async def test_an_upstream_that_never_answers_a_subscription_is_tried_again() -> None:
    async def silent(asked: Asked) -> Json:
        await anyio.sleep_forever()
        raise AssertionError

    link = upstream()
    link.on("resources/subscribe", silent)
    async with house(link, timeout=0.01) as place, attending(place, ALL):
        await link.until(lambda: len(link.asked("resources/subscribe")) > 2)


@ERAS
async def test_a_lane_that_was_lost_and_regained_says_that_lists_changed(era: Any) -> None:
    broken, fresh = upstream(era), upstream(era)
    async with house(broken) as place, attending(place, {"toolsListChanged": True}) as client:
        place.upstreams.links["alpha"] = fresh
        await broken.close()
        await client.until(lambda: client.heard)
        assert fresh.listeners == 1
        await fresh.tell(TOOLS)

    assert client.methods == [TOOLS, TOOLS]


async def test_a_listener_that_asked_for_no_list_changes_hears_of_none_after_a_gap() -> None:
    broken, fresh = upstream(), upstream()
    async with house(broken) as place, attending(place, {}) as client:
        place.upstreams.links["alpha"] = fresh
        await broken.close()
        await fresh.until(lambda: fresh.listeners)

    assert client.heard == []


async def test_a_server_that_is_down_is_ready_at_once_and_taken_up_when_it_comes_back() -> None:
    link = upstream()
    async with house(link) as place:
        place.upstreams.down.add("alpha")
        async with attending(place, ALL) as client:
            place.upstreams.down.clear()
            await client.until(lambda: UPDATED in client.methods)
            await anyio.wait_all_tasks_blocked()

    assert client.methods == [TOOLS, PROMPTS, UPDATED, UPDATED]


@ERAS
async def test_what_was_subscribed_to_and_may_be_seen_is_told_to_have_changed_after_a_gap(era: Any) -> None:
    broken, fresh = upstream(era), upstream(era)
    wanted = {"resourceSubscriptions": ["f:a", "f:b"]}
    async with house(broken, hidden=["resource:alpha/f:a"]) as place, attending(place, wanted) as client:
        place.upstreams.links["alpha"] = fresh
        await broken.close()
        await client.until(lambda: client.heard)
        await anyio.wait_all_tasks_blocked()

    assert client.heard == [{"method": UPDATED, "params": {"uri": "f:b"}}]


async def test_a_legacy_client_is_told_that_what_it_subscribed_to_may_have_changed_in_a_gap() -> None:
    broken, fresh = upstream(), upstream()
    async with house(broken) as place:
        session = place.shake_hands()
        place.sessions.live(session).subscribe("alpha", "f:a", True)
        async with attending(place, None, call=place.call("", era="legacy", session=session)) as client:
            place.upstreams.links["alpha"] = fresh
            await broken.close()
            await client.until(lambda: UPDATED in client.methods)

    assert client.heard[-1] == {"method": UPDATED, "params": {"uri": "f:a"}}


async def test_a_stream_that_ends_at_once_is_taken_up_ever_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await (anyio.lowlevel.checkpoint() if len(pauses) < 8 else anyio.sleep_forever())

    link = upstream("modern")
    link.on("subscriptions/listen", {"resultType": "complete"})
    monkeypatch.setattr(standing.random, "uniform", lambda low, high: high)
    monkeypatch.setattr(standing.anyio, "sleep", sleep)
    async with house(link) as place, attending(place, ALL):
        await link.until(lambda: len(link.requests) > 7)

    assert pauses == [0.01 * 2**times for times in range(len(pauses))]


async def test_a_modern_server_without_listen_is_left_in_peace() -> None:
    async def unknown(asked: Asked) -> Json:
        raise error(-32601)

    link = upstream("modern")
    link.on("subscriptions/listen", unknown)
    async with house(link) as place, attending(place, ALL):
        await anyio.wait_all_tasks_blocked()

    assert len(link.requests) == 1


async def test_a_legacy_clients_standing_stream_carries_the_questions_it_can_answer() -> None:
    link = upstream()
    question: Json = {"method": "elicitation/create", "params": {"message": "?"}}
    yes: Json = {"result": {"action": "accept"}}
    async with house(link) as place:
        call = place.call("", era="legacy", capabilities=FORM)
        async with attending(place, None, Client(elicitation_create=yes), call) as client:
            assert await link.ask_standing(question) == yes
            assert "error" in await link.ask_standing({"method": "sampling/createMessage"})
        async with attending(place, ALL, call=call):
            assert "error" in await link.ask_standing(question)

    assert client.questions == [question]


async def test_a_listen_stream_begins_with_its_acknowledgement_and_misses_nothing_after_it() -> None:
    link = upstream()
    async with house(link) as place:
        client = Client()
        lane = place.lane(place.call("subscriptions/listen", {}))

        async def source(answers: Any, ready: Any) -> None:
            await attend(lane, ALL, answers, ready)

        async def early(answers: Any, ready: Any) -> None:
            ready()
            await answers.notify({"method": PROMPTS})

        async with anyio.create_task_group() as group:
            group.start_soon(listen, "7", ALL, [source, early], client)
            await client.until(lambda: client.heard)
            await link.tell(TOOLS)
            await client.until(lambda: len(client.heard) == 3)
            group.cancel_scope.cancel()

    assert client.heard[0]["params"] == {"notifications": ALL, "_meta": {SUBSCRIPTION_KEY: "7"}}
    assert sorted(client.methods[1:]) == [PROMPTS, TOOLS]
    assert all(message["params"]["_meta"] == {SUBSCRIPTION_KEY: "7"} for message in client.heard)


async def test_a_server_that_hangs_does_not_hold_back_the_acknowledgement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "READY_WITHIN", 0.01)

    async def never(answers: Any, ready: Any) -> None:
        await anyio.sleep_forever()

    client = Client()
    async with anyio.create_task_group() as group:
        group.start_soon(listen, 1, {}, [never], client)
        await client.until(lambda: client.heard)
        group.cancel_scope.cancel()

    assert client.methods == [ACKNOWLEDGED]


async def test_a_legacy_stream_follows_the_sessions_subscriptions() -> None:
    link, live, client = upstream("modern"), Live(), Client()
    async with house(link) as place:
        session = place.shake_hands()
        live = place.sessions.live(session)
        lane = place.lane(place.call("", era="legacy", session=session))

        async def source(answers: Any, ready: Any) -> None:
            await attend(lane, None, answers, ready)

        async with anyio.create_task_group() as group:
            group.start_soon(stream, live, [source], client)
            await link.until(lambda: link.listeners == 1)
            live.subscribe("alpha", "f:a", True)
            live.subscribe("other", "f:b", True)
            await link.until(lambda: len(link.requests) > 1 and link.listeners == 1)
            await link.tell(UPDATED, {"uri": "f:a"})
            await link.tell(TOOLS)
            group.cancel_scope.cancel()

    assert [(asked.params or {})["notifications"].get("resourceSubscriptions") for asked in link.requests][-1] == [
        "f:a"
    ]
    assert client.heard == [{"method": UPDATED, "params": {"uri": "f:a"}}, {"method": TOOLS}]
