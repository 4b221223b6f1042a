"""What callers get who have no account at a server that wants one: in both eras, on servers of both."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web

from portkey_mcp.approval.approvals import Approvals
from portkey_mcp.gateway.asking import KEY as APPROVAL
from portkey_mcp.gateway.asking import Asking
from portkey_mcp.gateway.gate import Gate
from portkey_mcp.gateway.wanting import CONNECT, KEY, LIFE
from portkey_mcp.model import Era, McpServer
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.wire import Json
from tests.gateway.house import BOB, FORM
from tests.gateway.memory_link import Client
from tests.gateway.wanting_house import CLIENT, ECHO, UPSTREAM, URL, Shop, is_said, text_of, wanting
from tests.upstream.accounts import PAGE
from tests.upstream.scripted import Seen, modern, reply

pytestmark = pytest.mark.anyio

ACCEPT: Json = {KEY: {"action": "accept"}}


def retry(asked: Json, responses: Json = ACCEPT, params: Json = ECHO) -> Json:
    return {**params, "requestState": asked["result"]["requestState"], "inputResponses": responses}


@UPSTREAM
async def test_a29_a_modern_client_that_opens_urls_is_asked_and_goes_on_once_connected(upstream: Era) -> None:
    async with wanting(upstream) as place:
        asked = await place.answer("tools/call", ECHO, capabilities=URL)
        assert asked["result"]["resultType"] == "input_required"
        assert asked["result"]["inputRequests"] == {
            KEY: {
                "method": "elicitation/create",
                "params": {"mode": "url", "url": f"{PAGE}/alpha", "message": "alpha wants an account of yours."},
            }
        }
        assert place.alpha.seen == []
        outcomes: list[Json] = []

        async def again() -> None:
            outcomes.append(await place.answer("tools/call", retry(asked), capabilities=URL))

        async with anyio.create_task_group() as group:
            group.start_soon(again)
            await place.until_asked(len(place.tokens.urls) + 2)
            await place.connect()

    assert text_of(outcomes[0]) == "t1"


@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_person_who_declines_is_not_asked_again(action: str) -> None:
    async with wanting("modern") as place:
        asked = await place.answer("tools/call", ECHO, capabilities=URL)
        declined = await place.answer("tools/call", retry(asked, {KEY: {"action": action}}), capabilities=URL)

    assert declined["result"]["isError"] is True
    assert "not connected: the person declined" in text_of(declined)
    assert PAGE not in text_of(declined)


async def test_whoever_accepts_and_does_not_connect_gets_the_link_in_words() -> None:
    async with wanting("modern", patience=0) as place:
        asked = await place.answer("tools/call", ECHO, capabilities=URL)
        assert is_said(await place.answer("tools/call", retry(asked), capabilities=URL))


async def test_a_retry_without_an_answer_is_asked_once_more() -> None:
    async with wanting("modern") as place:
        asked = await place.answer("tools/call", ECHO, capabilities=URL)
        again = await place.answer("tools/call", retry(asked, {}), capabilities=URL)
        assert again["result"]["resultType"] == "input_required"
        await place.connect()
        assert text_of(await place.answer("tools/call", retry(again), capabilities=URL)) == "t1"


async def test_what_the_server_had_asked_before_comes_back_to_it() -> None:
    """Its account ended between two rounds: state and answers of the first go on with the second."""

    async def asks(request: web.Request, seen: Seen) -> web.StreamResponse:
        params = (seen.message or {}).get("params", {})
        if "requestState" not in params:
            form = {"method": "elicitation/create", "params": {"mode": "form", "message": "?", "requestedSchema": {}}}
            return reply(seen, {"resultType": "input_required", "inputRequests": {"q": form}, "requestState": "s"})
        got = {"state": params["requestState"], "answers": params["inputResponses"]}
        return reply(seen, {"resultType": "complete", "content": [], "structuredContent": got})

    both = {"elicitation": {"url": {}, "form": {}}}
    async with wanting("modern", shop=modern(asks)) as place:
        await place.connect()
        first = await place.answer("tools/call", ECHO, capabilities=both)
        place.tokens.held.clear()
        answers = {"q": {"action": "accept", "content": {}}}
        asked = await place.answer("tools/call", retry(first, answers), capabilities=both)
        assert list(asked["result"]["inputRequests"]) == [KEY]
        await place.connect()
        done = await place.answer("tools/call", retry(asked), capabilities=both)

    assert done["result"]["structuredContent"] == {"state": "s", "answers": answers}


async def test_b4_a_state_is_good_for_one_person_one_request_and_a_while() -> None:
    async with wanting("modern") as place:
        asked = await place.answer("tools/call", ECHO, capabilities=URL)
        for who, params in ((BOB, ECHO), (None, {"name": "echo", "arguments": {"other": 1}})):
            more: dict[str, Any] = {"principal": who} if who else {}
            refused = await place.answer("tools/call", retry(asked, params=params), capabilities=URL, **more)
            assert refused["error"]["message"] == "requestState belongs to another request"
        now = place.house.means.wanting.clock()
        place.house.means.wanting.clock = lambda: now + LIFE + 1
        refused = await place.answer("tools/call", retry(asked), capabilities=URL)
        assert "expired" in refused["error"]["message"]


@UPSTREAM
async def test_a29_a_legacy_client_that_opens_urls_gets_the_error_of_its_era(upstream: Era) -> None:
    async with wanting(upstream) as place:
        session = place.house.shake_hands(capabilities=URL)
        outcomes = [
            await place.answer("tools/call", ECHO, era="legacy", session=session, capabilities=URL) for _ in range(2)
        ]
        (asked,) = outcomes[0]["error"]["data"]["elicitations"]
        assert outcomes[0]["error"]["code"] == -32042
        assert (asked["mode"], asked["url"]) == ("url", f"{PAGE}/alpha")
        assert outcomes[0] == outcomes[1]
        await place.connect()
        done = await place.answer("tools/call", ECHO, era="legacy", session=session, capabilities=URL)

    assert text_of(done) == "t1"


@UPSTREAM
async def test_a_legacy_standing_stream_hears_when_it_is_done(upstream: Era) -> None:
    async with wanting(upstream) as place:
        session, client = place.house.shake_hands(capabilities=URL), Client()
        call = place.house.call("", None, era="legacy", session=session, capabilities=URL)
        (source,) = place.house.corridor.at(call).sources()
        outcome = await place.answer("tools/call", ECHO, era="legacy", session=session, capabilities=URL)
        ident = outcome["error"]["data"]["elicitations"][0]["elicitationId"]
        ready = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(source, client, ready.set)
            await ready.wait()
            await place.connect()
            await client.until(lambda: "notifications/elicitation/complete" in client.methods)
            group.cancel_scope.cancel()

    assert client.methods.count("notifications/tools/list_changed") == 1
    assert client.heard[-1]["params"] == {"elicitationId": ident}


@UPSTREAM
@CLIENT
@pytest.mark.parametrize("capabilities", [{}, FORM])
async def test_everybody_else_is_told_in_words_with_the_link(upstream: Era, era: Era, capabilities: Json) -> None:
    async with wanting(upstream) as place:
        assert is_said(await place.answer("tools/call", ECHO, era=era, capabilities=capabilities))
        for method, params in (
            ("prompts/get", {"name": "p"}),
            ("resources/read", {"uri": "a:b"}),
            ("completion/complete", {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {}}),
        ):
            outcome = await place.answer(method, params, era=era, capabilities=capabilities)
            assert outcome["error"]["code"] == 1001
            assert outcome["error"]["data"]["url"] == f"{PAGE}/alpha"
            assert f"{PAGE}/alpha" in outcome["error"]["message"]
        assert place.alpha.seen == []


@CLIENT
async def test_who_cannot_connect_it_gets_words_alone(era: Era) -> None:
    async with wanting("modern") as place:

        def needed(server: McpServer) -> Any:
            return type(before)(server.name, "Only an admin can connect it.")

        before = place.tokens.needed(place.house.workspace.servers["alpha"])
        place.tokens.needed = needed  # type: ignore[method-assign]
        outcome = await place.answer("tools/call", ECHO, era=era, capabilities=URL)

    assert text_of(outcome) == "Only an admin can connect it."
    assert "url" not in str(outcome["result"]["_meta"])


async def test_on_a_hub_a_modern_client_is_asked_and_goes_on() -> None:
    params = {"name": "alpha__echo"}
    async with wanting("legacy") as place:
        asked = await place.answer("tools/call", params, at="", capabilities=URL)
        assert list(asked["result"]["inputRequests"]) == [KEY]
        await place.connect()
        done = await place.answer("tools/call", retry(asked, params=params), at="", capabilities=URL)

    assert text_of(done) == "t1"


async def test_the_record_says_that_an_account_was_missing() -> None:
    async with wanting("modern") as place:
        await place.answer("tools/call", ECHO)
        await place.answer("tools/call", {"name": CONNECT})
        await place.answer("tools/call", ECHO, capabilities=URL)

    assert [(one.name, one.outcome, one.error) for one in place.records] == [
        ("echo", "refused", "account"),
        (CONNECT, "refused", "account"),
        ("echo", "input_required", ""),
    ]


async def _asking(tmp_path: Path) -> tuple[Database, Gate]:
    database, keyring = await Database.open(tmp_path), KeyRing.generate()
    registry = Registry(database, keyring)
    await registry.add_workspace("team")
    await registry.add_server(McpServer("team", "alpha", "http", url="http://127.0.0.1:9/mcp"))
    return database, Gate(None, Asking(Approvals(database, keyring), keyring, lambda ident: f"https://gw/{ident}"))


APPROVED: Json = {"version": 1, "rules": [{"match": "*", "require_approval": True}]}
YES: Json = {APPROVAL: {"action": "accept", "content": {"approve": True}}}


@UPSTREAM
async def test_an_approval_is_not_used_up(upstream: Era, tmp_path: Path) -> None:
    """Nobody is troubled before there is an account; and where it ends in between, the approval stays good."""
    both = {"elicitation": {"url": {}, "form": {}}}
    database, gate = await _asking(tmp_path)
    async with wanting(upstream, policy=APPROVED, gate=gate) as place:
        asked = await place.answer("tools/call", ECHO, capabilities=both)
        assert list(asked["result"]["inputRequests"]) == [KEY]
        await place.connect()
        approve = await place.answer("tools/call", retry(asked), capabilities=both)
        assert list(approve["result"]["inputRequests"]) == [APPROVAL]
        place.good.clear()
        ended = await place.answer("tools/call", retry(approve, YES), capabilities=both)
        assert list(ended["result"]["inputRequests"]) == [KEY]
        await place.connect(token="t2")
        done = await place.answer("tools/call", retry(ended), capabilities=both)
        assert text_of(done) == "t2"
        again = await place.answer("tools/call", retry(ended), capabilities=both)
        assert "error" in again or again["result"].get("isError")
    await database.close()


async def test_an_approval_given_in_place_is_not_used_up(tmp_path: Path) -> None:
    database, gate = await _asking(tmp_path)
    async with wanting("legacy", policy=APPROVED, gate=gate) as place:
        await place.connect()
        session = place.house.shake_hands(capabilities=FORM)
        client = Client(elicitation_create={"result": YES[APPROVAL]})
        more: Json = {"era": "legacy", "session": session, "capabilities": FORM, "client": client}
        await place.answer("tools/list", {}, **more)
        place.good.clear()
        assert is_said(await place.answer("tools/call", ECHO, **more))
        await place.connect(token="t2")
        assert text_of(await place.answer("tools/call", ECHO, **more)) == "t2"
        assert len(client.questions) == 1
    await database.close()


async def test_a_call_that_began_is_not_said_to_have_done_nothing() -> None:
    """A legacy client on a modern server that asks: the account ends before the second round."""

    async def asks(request: web.Request, seen: Seen) -> web.StreamResponse:
        form = {"method": "elicitation/create", "params": {"mode": "form", "message": "?", "requestedSchema": {}}}
        return reply(seen, {"resultType": "input_required", "inputRequests": {"q": form}, "requestState": "s"})

    async with wanting("modern", shop=modern(asks)) as place:
        await place.connect()

        class Ending(Client):
            async def ask(self, message: Json) -> Json:
                place.tokens.held.clear()
                return {"result": {"action": "decline"}}

        outcome = await place.answer("tools/call", ECHO, era="legacy", capabilities=FORM, client=Ending())

    assert "may have run" in text_of(outcome)


async def test_a_server_with_a_tool_of_that_name_keeps_it() -> None:
    class Own(Shop):
        async def __call__(self, request: web.Request, seen: Seen) -> web.StreamResponse:
            if seen.method == "tools/list":
                return reply(seen, {"tools": [{"name": CONNECT, "inputSchema": {"type": "object"}}]})
            if seen.method == "tools/call":
                return reply(seen, {"content": [{"type": "text", "text": "its own"}]})
            return await super().__call__(request, seen)

    async with wanting("legacy", shop=Own("legacy").served()) as place:
        assert is_said(await place.answer("tools/call", {"name": CONNECT}))
        await place.connect()
        assert text_of(await place.answer("tools/call", {"name": CONNECT})) == "its own"


async def test_a_server_that_wants_no_account_has_no_such_tool() -> None:
    async with wanting("legacy") as place:
        outcome = await place.answer("tools/call", {"name": CONNECT}, at="open")

    assert "error" in outcome


async def test_a_wait_can_be_cancelled() -> None:
    async with wanting("modern", patience=1000) as place:
        asked = await place.answer("tools/call", ECHO, capabilities=URL)
        async with anyio.create_task_group() as group:
            call = place.house.call("tools/call", retry(asked), capabilities=URL)
            group.start_soon(place.house.corridor.answer, call, Client())
            await place.until_asked(len(place.tokens.urls) + 2)
            group.cancel_scope.cancel()

    assert [one.outcome for one in place.records] == ["input_required", "cancelled"]
