import json
from typing import Any

import anyio
import pytest

from portkey_mcp.gateway.inbound import InAnswer
from portkey_mcp.gateway.reply import Questions, Reply, send_json
from portkey_mcp.wire import Json
from tests.gateway.asgi import Answered

pytestmark = pytest.mark.anyio

NEWS: Json = {"method": "notifications/message", "params": {"data": None}}
QUESTION: Json = {"method": "roots/list"}


def replying(session: str | None = "s", **more: Any) -> tuple[Reply, Answered, Questions]:
    answered, questions = Answered(), Questions()
    return Reply(answered.send, questions, session=session, **more), answered, questions


async def test_an_answer_with_nothing_before_it_is_plain_json_with_its_status() -> None:
    reply, answered, _ = replying()
    reply.extra_headers.append((b"mcp-session-id", b"token"))
    await reply.finish("1", {"error": {"code": -32601}}, 404)

    assert (answered.status, answered.headers["mcp-session-id"]) == (404, "token")
    assert answered.json == {"jsonrpc": "2.0", "id": "1", "error": {"code": -32601}}
    assert answered.headers["content-length"] == str(len(answered.body))
    assert answered.ended


async def test_a_notification_makes_it_an_event_stream_that_ends_with_the_answer() -> None:
    reply, answered, _ = replying()
    reply.extra_headers.append((b"mcp-session-id", b"token"))
    await reply.notify(NEWS)
    assert not answered.ended
    await reply.finish(1, {"result": {"big": 2**70}}, 404)

    assert (answered.status, answered.headers["content-type"]) == (200, "text/event-stream")
    assert answered.headers["x-accel-buffering"] == "no"
    assert answered.headers["mcp-session-id"] == "token"
    assert answered.events == [{"jsonrpc": "2.0", **NEWS}, {"jsonrpc": "2.0", "id": 1, "result": {"big": 2**70}}]
    assert answered.ended


async def test_a_client_that_takes_no_stream_hears_only_the_answer() -> None:
    reply, answered, _ = replying(may_stream=False)
    await reply.notify(NEWS)
    await reply.keep_alive()
    assert "error" in await reply.ask(QUESTION)
    await reply.finish(1, {"result": {}})

    assert answered.json["result"] == {}


async def test_a_client_without_a_session_cannot_be_asked() -> None:
    reply, answered, _ = replying(session=None)

    assert "error" in await reply.ask(QUESTION)
    assert answered.messages == []


async def test_a_question_waits_for_its_own_answer_from_its_own_session() -> None:
    reply, answered, questions = replying()
    outcomes: list[Json] = []

    async def ask() -> None:
        outcomes.append(await reply.ask(QUESTION))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await answered.until(lambda: answered.events)
        ident = answered.events[0]["id"]
        assert not questions.answer("other", InAnswer(ident, {"result": 1}))
        assert not questions.answer("s", InAnswer("made-up", {"result": 1}))
        assert not questions.answer("s", InAnswer(7, {"result": 1}))
        assert questions.answer("s", InAnswer(ident, {"result": {"roots": []}}))
        assert not questions.answer("s", InAnswer(ident, {"result": 2}))

    assert outcomes == [{"result": {"roots": []}}]
    assert not questions.answer("s", InAnswer(ident, {"result": 3}))


async def test_questions_have_ids_that_nobody_can_guess() -> None:
    reply, answered, _ = replying()
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(reply.ask, QUESTION)
        await answered.until(lambda: len(answered.events) == 20)
        group.cancel_scope.cancel()

    assert len({event["id"] for event in answered.events}) == 20
    assert min(len(event["id"]) for event in answered.events) > 20


async def test_a_question_given_up_is_forgotten() -> None:
    reply, answered, questions = replying()
    async with anyio.create_task_group() as group:
        group.start_soon(reply.ask, QUESTION)
        await answered.until(lambda: answered.events)
        group.cancel_scope.cancel()

    assert not questions.answer("s", InAnswer(answered.events[0]["id"], {"result": 1}))


async def test_a_silent_line_is_kept_alive_by_comments_that_are_no_events() -> None:
    reply, answered, _ = replying()
    await reply.keep_alive()
    await reply.finish(1, {"result": {}})

    assert answered.body.startswith(b":")
    assert len(answered.events) == 1


async def test_closing_an_untouched_response_makes_an_empty_stream() -> None:
    reply, answered, _ = replying()
    await reply.close()

    assert (answered.status, answered.events, answered.ended) == (200, [], True)


async def test_events_are_on_one_line_whatever_they_hold() -> None:
    reply, answered, _ = replying()
    await reply.notify({"method": "x", "params": {"text": "a\r\n\r\ndata: b\u2028\ud800"}})

    assert answered.body.count(b"\r\n\r\n") == 1
    assert answered.events[0]["params"]["text"] == "a\r\n\r\ndata: b\u2028\ud800"


async def test_one_json_response_is_sent_whole() -> None:
    answered = Answered()
    await send_json(answered.send, 405, {"a": None}, [(b"allow", b"POST")])

    assert (answered.status, answered.headers["allow"], json.loads(answered.body)) == (405, "POST", {"a": None})
