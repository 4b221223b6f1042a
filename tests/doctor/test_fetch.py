"""HTTP within bounds, against a server that knows none."""

import ssl

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from portkey_mcp.doctor.fetch import CLAUDE_USER, MOST_BYTES, fetching
from tests.stories.gateway import serving

pytestmark = pytest.mark.anyio


async def echo(request: Request) -> Response:
    seen = {name: request.headers.get(name) for name in ("user-agent", "content-type", "accept", "authorization")}
    return JSONResponse({**seen, "body": (await request.body()).decode()}, headers={"X-Two": "1"})


async def large(request: Request) -> Response:
    async def body():  # type: ignore[no-untyped-def]
        for _ in range(2 * MOST_BYTES // 65_536):
            yield b"x" * 65_536

    return StreamingResponse(body(), media_type="application/json")


async def stream(request: Request) -> Response:
    async def body():  # type: ignore[no-untyped-def]
        yield b': hello\n\ndata: {"jsonrpc":"2.0","id":1,"result":{}}\n\n'
        while (await request.receive())["type"] != "http.disconnect":
            pass

    return StreamingResponse(body(), media_type="text/event-stream")


async def silent(request: Request) -> Response:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return Response()


async def away(request: Request) -> Response:
    response = RedirectResponse("/echo")
    response.headers.append("x-twice", "a")
    response.headers.append("x-twice", "b")
    return response


APP = Starlette(
    routes=[
        Route(f"/{handler.__name__}", handler, methods=["GET", "POST", "DELETE"])
        for handler in (echo, large, stream, silent, away)
    ]
)
TRUST = ssl.create_default_context()


async def test_forms_and_json_go_out_as_what_they_are() -> None:
    async with serving(APP) as origin, fetching(TRUST, 10) as fetch:
        form = (await fetch.post_form(f"{origin}/echo", {"a": "b c&d"})).document or {}
        sent = (await fetch.post_json(f"{origin}/echo", {"a": 1}, agent=CLAUDE_USER)).document or {}

    assert (form["content-type"], form["body"]) == ("application/x-www-form-urlencoded", "a=b+c%26d")
    assert (sent["content-type"], sent["body"], sent["user-agent"]) == ("application/json", '{"a":1}', "Claude-User")


async def test_a_redirect_is_reported_and_not_followed() -> None:
    async with serving(APP) as origin, fetching(TRUST, 10) as fetch:
        answer = await fetch.get(f"{origin}/away")

    assert (answer.status, answer.location, answer.headers["x-twice"]) == (307, "/echo", "a, b")


async def test_a_body_that_is_too_large_is_cut() -> None:
    async with serving(APP) as origin, fetching(TRUST, 10) as fetch:
        answer = await fetch.get(f"{origin}/large")

    assert answer.cut
    assert len(answer.body) == MOST_BYTES


async def test_an_endless_stream_is_read_up_to_its_answer_and_of_a_get_only_the_head() -> None:
    async with serving(APP) as origin, fetching(TRUST, 10) as fetch:
        posted = await fetch.post_json(f"{origin}/stream", {})
        got = await fetch.get(f"{origin}/stream")

    assert b'"result"' in posted.body
    assert (got.status, got.media, got.body) == (200, "text/event-stream", b"")


async def test_who_never_answers_is_waited_for_so_long_and_no_longer() -> None:
    async with serving(APP) as origin, fetching(TRUST, 0.2) as fetch:
        answer = await fetch.get(f"{origin}/silent")

    assert (answer.status, answer.failure) == (0, "no answer within 0.2 seconds")


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/", "http://nothing.invalid/", "ftp://h/", "http://[::1", "http://h:99999/", "", "http://\x00/",
     "http://" + "a" * 70 + ".example/", "https:///x"],
)  # fmt: skip
async def test_what_cannot_be_asked_is_an_answer_too(url: str) -> None:
    async with fetching(TRUST, 5) as fetch:
        answer = await fetch.get(url)

    assert answer.status == 0
    assert answer.failure.startswith("no answer")


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with serving(APP) as origin, fetching(TRUST, 10) as fetch:
        assert (await fetch.get(f"{origin}/echo")).status == 200
        assert (await fetch.delete(f"{origin}/echo", {"x": "y"})).status == 200
