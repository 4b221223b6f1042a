"""Requests that HTTP itself turns away, and those that it must not: size, Host, Origin, sessions, paths, methods."""

from collections.abc import AsyncIterator

import pytest

from tests.stories.house_undisturbed import Others, others
from tests.stories.raw_client import BOTH, ENVELOPE, MODERN, Json, RawClient
from tests.stories.raw_upstream_house import raw_house

pytestmark = pytest.mark.anyio

LIMIT = 4 * 1024 * 1024
NO_ENDPOINT = "There is no such MCP endpoint here. Check the workspace and server in the URL."
NO_SESSION = "Session not found: it has ended or is not yours. Send `initialize` to start another."
NO_HOST = "This Host is not served here; see `public_url` and `hosts`"
NO_ORIGIN = "This Origin may not use the gateway"
NO_ACCEPT = "Accept must allow application/json or text/event-stream"
ONLY_POST = "Only POST is served without a session"

REQUEST: Json = {"jsonrpc": "2.0", "id": 1, "method": "vendor/x", "params": {"say": {"result": {"ok": True}}}}
SERVED = {"jsonrpc": "2.0", "id": 1, "result": {"ok": True}}
JSON = {"content-type": "application/json", "accept": BOTH}


@pytest.fixture(scope="module")
async def room(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Others]:
    async with raw_house(tmp_path_factory.mktemp("raw")) as made:
        yield await others(made)


def refusal(text: str) -> Json:
    return {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": text}}


async def asked(
    room: Others, verb: str, path: str = "/team/legacy/mcp", body: Json | None = None, **headers: str
) -> tuple[int, Json | None]:
    """One request as others go on; status and JSON body."""
    url = room.house.gateway.url + path
    more = {name.replace("_", "-").encode(): value.encode("latin-1") for name, value in headers.items()}
    sent = {**{name.encode(): value.encode() for name, value in JSON.items()}, **more}
    async with room.undisturbed():
        response = await room.house.http.request(verb, url, json=body, headers=sent)
    assert "location" not in response.headers
    assert response.headers.get("content-type", "application/json") == "application/json"
    return response.status_code, response.json() if response.content else None


async def test_a_body_of_five_megabytes_is_too_large(room: Others) -> None:
    text = f"The body is larger than the {LIMIT} bytes this gateway accepts"
    assert await asked(room, "POST", body={**REQUEST, "x": "x" * 5_000_000}) == (413, refusal(text))


async def test_a_body_in_chunks_that_never_says_its_size_is_too_large(room: Others) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"x":"'
        for _ in range(50):
            yield b"x" * 100_000

    async with room.undisturbed():
        response = await room.house.http.post(room.clients["legacy"].url, content=chunks(), headers=JSON)
    text = f"The body is larger than the {LIMIT} bytes this gateway accepts"
    assert (response.status_code, response.json()) == (413, refusal(text))


async def test_a_body_just_below_the_limit_is_served(room: Others) -> None:
    assert await asked(room, "POST", body={**REQUEST, "x": "x" * (LIMIT - 1000)}) == (200, SERVED)


@pytest.mark.parametrize("path", ["/team/legacy/mcp", "/", "/.well-known/x"])
@pytest.mark.parametrize("host", ["evil.example.com", "127.0.0.1.evil.example.com", "", "[::2]"])
async def test_a_foreign_host_is_misdirected(room: Others, host: str, path: str) -> None:
    assert await asked(room, "POST", path, REQUEST, host=host) == (421, refusal(NO_HOST))


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:65535", "[::1]:8080"])
async def test_loopback_by_any_name_and_port_is_served(room: Others, host: str) -> None:
    assert await asked(room, "POST", body=REQUEST, host=host) == (200, SERVED)


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", "", "http://127.0.0.1.evil.example.com", "x"])
async def test_a_foreign_origin_is_forbidden(room: Others, origin: str) -> None:
    assert await asked(room, "POST", body=REQUEST, origin=origin) == (403, refusal(NO_ORIGIN))


@pytest.mark.parametrize("origin", ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:8080"])
async def test_a_page_of_this_machine_is_served(room: Others, origin: str) -> None:
    assert await asked(room, "POST", body=REQUEST, origin=origin) == (200, SERVED)


@pytest.mark.parametrize("verb", ["POST", "GET", "DELETE"])
@pytest.mark.parametrize("token", ["nope", "", "raw-1", "AAAA" * 50, "\xe9"])
async def test_a_session_that_nobody_began_is_not_found(room: Others, verb: str, token: str) -> None:
    sent = REQUEST if verb == "POST" else None
    answer = await asked(room, verb, body=sent, mcp_session_id=token)
    assert answer == (404, refusal(NO_SESSION))


async def test_a_session_of_another_endpoint_is_not_found(room: Others) -> None:
    token = room.clients["legacy"].session
    for path in ("/team/modern/mcp", "/team/mcp", "/mcp"):
        assert await asked(room, "POST", path, REQUEST, mcp_session_id=token) == (404, refusal(NO_SESSION))
    assert await asked(room, "POST", body=REQUEST, mcp_session_id=token) == (200, SERVED)


async def test_an_ended_session_is_not_found_and_others_live_on(room: Others) -> None:
    client, other = [await room.house.through("legacy", "legacy") for _ in range(2)]
    assert await asked(room, "DELETE", mcp_session_id=client.session) == (200, None)
    for verb in ("POST", "GET", "DELETE"):
        sent = REQUEST if verb == "POST" else None
        answer = await asked(room, verb, body=sent, mcp_session_id=client.session)
        assert answer == (404, refusal(NO_SESSION))
    assert (await other.post(REQUEST)).answer == SERVED
    await client.hello()
    assert (await client.post(REQUEST)).answer == SERVED


async def test_a_modern_request_ignores_any_session(room: Others) -> None:
    for token in ("nope", room.clients["legacy"].session):
        message = room.clients["modern"].request("vendor/x", {"say": {"result": {"resultType": "complete"}}})
        heard = await room.clients["modern"].post(message, mcp_session_id=token)
        assert (heard.status, "mcp-session-id" in heard.headers) == (200, False)


@pytest.mark.parametrize(
    "path", ["/nope/legacy/mcp", "/team/nope/mcp", "/nope/mcp", "/Team/Nope/MCP/", "/x/../mcp/mcp"]
)
@pytest.mark.parametrize("verb", ["POST", "GET", "DELETE", "HEAD"])
async def test_an_endpoint_that_does_not_exist_is_not_found(room: Others, path: str, verb: str) -> None:
    status, body = await asked(room, verb, path, REQUEST if verb == "POST" else None)
    assert (status, body) == (404, None if verb == "HEAD" else refusal(NO_ENDPOINT))


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/team/legacy/mcp",
        "/.well-known/oauth-authorization-server",
        "/.well-known/unknown",
        "/team/legacy/mcp/.well-known/openid-configuration",
        "/team/legacy",
        "/team/legacy/mcp/more",
        "/a/b/c/mcp",
        "/register",
        "/nothing",
    ],
)
async def test_any_other_path_is_not_found_in_json(room: Others, path: str) -> None:
    for verb in ("GET", "POST"):
        status, body = await asked(room, verb, path, REQUEST if verb == "POST" else None)
        assert status == 404
        assert isinstance(body, dict)


@pytest.mark.parametrize(
    "path",
    ["/Team/LEGACY/MCP/", "/team/legacy/mcp/", "/TEAM/legacy/mcp//", "//team//legacy//mcp", "/team/legacy/mcp?x=1"],
)
async def test_variants_of_a_path_are_served_in_place(room: Others, path: str) -> None:
    assert await asked(room, "POST", path, REQUEST) == (200, SERVED)
    assert await asked(room, "HEAD", path) == (200, None)


async def test_a_session_is_good_at_every_variant_of_its_path(room: Others) -> None:
    token = room.clients["legacy"].session
    assert await asked(room, "POST", "/TEAM/Legacy/mcp/", REQUEST, mcp_session_id=token) == (200, SERVED)


async def test_methods_without_a_session_are_answered_at_once(room: Others) -> None:
    assert await asked(room, "HEAD") == (200, None)
    assert await asked(room, "GET") == (405, refusal(ONLY_POST))
    assert await asked(room, "DELETE") == (405, refusal(ONLY_POST))
    assert await asked(room, "GET", mcp_protocol_version=MODERN) == (405, refusal(ONLY_POST))
    token = room.clients["legacy"].session
    version = {"mcp_session_id": token, "mcp_protocol_version": MODERN}
    assert await asked(room, "DELETE", **version) == (405, refusal(ONLY_POST))
    for verb in ("PUT", "PATCH", "OPTIONS"):
        assert await asked(room, verb) == (405, refusal("This method is not served here"))


@pytest.mark.parametrize(
    "accept",
    ["*/*", "application/json", "text/event-stream", "application/*", "text/*", "", "Application/JSON;q=0.9, x/y"],
)
async def test_an_accept_that_allows_anything_of_mcp_is_served(room: Others, accept: str) -> None:
    assert await asked(room, "POST", body=REQUEST, accept=accept) == (200, SERVED)


async def test_an_accept_that_allows_nothing_of_mcp_is_not_acceptable(room: Others) -> None:
    assert await asked(room, "POST", body=REQUEST, accept="text/html, image/*") == (406, refusal(NO_ACCEPT))


async def test_a_client_that_takes_no_events_gets_the_result_alone(room: Others) -> None:
    say = {"burst": 3, "result": {"ok": True}}
    assert await asked(room, "POST", body={**REQUEST, "params": {"say": say}}, accept="application/json") == (
        200,
        SERVED,
    )


async def test_a_listen_stream_needs_a_client_that_takes_events(room: Others) -> None:
    client = room.clients["modern"]
    heard = await client.post(client.request("subscriptions/listen", {"notifications": {}}), accept="application/json")
    text = "subscriptions/listen answers with an event stream only"
    assert (heard.status, heard.messages) == (406, [refusal(text)])


async def test_a_routing_header_that_comes_twice_is_refused(room: Others) -> None:
    client = room.clients["modern"]
    message = {**REQUEST, "params": {"_meta": ENVELOPE}}
    headers = [*client.headers(message).items(), ("mcp-method", "vendor/x")]
    async with room.undisturbed():
        response = await room.house.http.post(client.url, json=message, headers=headers)
    error = {"code": -32020, "message": "mcp-method header appears more than once"}
    assert (response.status_code, response.json()) == (400, {"jsonrpc": "2.0", "id": 1, "error": error})


async def test_a_client_that_leaves_in_the_middle_of_its_body_disturbs_nobody(room: Others) -> None:
    class LeavesError(Exception):
        """The client's power plug."""

    async def half() -> AsyncIterator[bytes]:
        yield b'{"jsonrpc":"2.0",'
        raise LeavesError

    async with room.undisturbed():
        with pytest.raises(LeavesError):
            await room.house.http.post(room.clients["legacy"].url, content=half(), headers=JSON)


async def test_a_notification_to_a_server_that_is_gone_is_accepted_and_lost(room: Others) -> None:
    client = RawClient(room.house.http, room.house.gateway.at("team", "child"), "legacy")
    await client.hello()
    heard = await client.call("tools/call", {"name": "x", "say": {"end": True}})
    assert heard.answer["result"]["isError"] is True
    async with room.undisturbed():
        assert (await client.notify("notifications/vendor/x", {})).status == 202
