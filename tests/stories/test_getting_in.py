"""Getting in: API keys, what they open, how they end, and that nobody else gets to see one."""

import json
import logging
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx2
import pytest

from portkey_mcp.errors import Mistake
from tests.stories.gateway import Gateway, gateway
from tests.stories.house import ROOT, document, open_house
from tests.stories.raw_client import BOTH, MODERN, Json, RawClient, raw_http
from tests.stories.raw_upstream import RawUpstream, raw_upstream

pytestmark = pytest.mark.anyio

ADA = "pk_ada-0123456789-0123456789-0123456789"
BOB = "pk_bob-0123456789-0123456789-0123456789"
EVE = "pk_eve-0123456789-0123456789-0123456789"

REQUEST: Json = {"jsonrpc": "2.0", "id": 1, "method": "vendor/x", "params": {"say": {"result": {"ok": True}}}}
SERVED = {"jsonrpc": "2.0", "id": 1, "result": {"ok": True}}
UNKNOWN_KEY = "This API key is not known here: it is mistyped or was revoked."
NO_KEY = (
    "Authentication is required: sign in, or send `Authorization: Bearer <API key>` or `x-portkey-api-key: <API key>`."
)
NOT_VALID = "The credential is not valid here."
NO_SESSION = "Session not found: it has ended or is not yours. Send `initialize` to start another."


def house(upstream: RawUpstream, *, ada: bool = True) -> str:
    """Ada and Bob have keys of `blue`, Eve one of `red`; each workspace has one server, and `blue` a disabled one."""
    server = {"url": upstream.url}
    keys = [{"name": "bob", "key": "${env:BOB_KEY}"}, *([{"name": "ada", "key": "${env:ADA_KEY}"}] if ada else [])]
    blue = {"servers": {"files": server, "off": {**server, "enabled": False}}, "api_keys": keys}
    red = {"servers": {"mail": server}, "api_keys": [{"name": "eve", "key": "${env:EVE_KEY}"}]}
    return document({"blue": blue, "red": red})


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, key in (("ADA", ADA), ("BOB", BOB), ("EVE", EVE)):
        monkeypatch.setenv(f"{name}_KEY", key)


@pytest.fixture
async def upstream() -> AsyncIterator[RawUpstream]:
    async with raw_upstream("legacy") as running:
        yield running


@pytest.fixture
async def running(upstream: RawUpstream, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway(house(upstream), tmp_path / "data") as ready:
        yield ready


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with raw_http() as connections:
        yield connections


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}", "accept": BOTH}


async def ask(http: httpx2.AsyncClient, url: str, headers: dict[str, str]) -> tuple[int, Json]:
    response = await http.post(url, json=REQUEST, headers=headers)
    return response.status_code, response.json()


async def begin(http: httpx2.AsyncClient, url: str, key: str) -> str:
    """Shake hands and return the session's id."""
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    response = await http.post(url, json=message, headers=bearer(key))
    assert response.status_code == 200
    return response.headers["mcp-session-id"]


async def until_refused(http: httpx2.AsyncClient, url: str, key: str) -> Json:
    """Ask until the key is refused; it must work till then."""
    with anyio.fail_after(120):
        while (answer := await ask(http, url, bearer(key)))[0] != 401:
            assert answer == (200, SERVED)
    return answer[1]


async def portkey(*arguments: object) -> str:
    """Run a command in a process of its own; it must succeed."""
    command = [sys.executable, "-m", "portkey_mcp", *map(str, arguments)]
    ended = await anyio.run_process(command, cwd=ROOT, stderr=None, env=dict(os.environ))
    return ended.stdout.decode()


def refusal(text: str) -> Json:
    return {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": text}}


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {ADA}"},
        {"authorization": f"bearer   {ADA}"},
        {"x-portkey-api-key": ADA},
        {"X-Portkey-Api-Key": ADA, "authorization": "Basic eDp5"},
    ],
    ids=["bearer", "in small letters", "own header", "beside another scheme"],
)
async def test_a_key_opens_its_workspace(running: Gateway, http: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    assert await ask(http, running.at("blue", "files"), headers) == (200, SERVED)


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({}, NO_KEY),
        ({"authorization": ""}, NO_KEY),
        ({"authorization": "Bearer"}, NO_KEY),
        ({"authorization": f"Basic {ADA}"}, NO_KEY),
        ({"authorization": ADA}, NO_KEY),
        ({"authorization": "Bearer something else"}, NOT_VALID),
        ({"authorization": f"Bearer {ADA}x"}, UNKNOWN_KEY),
        ({"authorization": f"Bearer {ADA[:-1]}"}, UNKNOWN_KEY),
        ({"x-portkey-api-key": ADA.upper()}, NOT_VALID),
        ({"x-portkey-api-key": "pk_"}, UNKNOWN_KEY),
    ],
)
async def test_a_wrong_key_is_unauthorized_everywhere(
    running: Gateway, http: httpx2.AsyncClient, upstream: RawUpstream, headers: dict[str, str], text: str
) -> None:
    places = [("blue", "files"), ("blue",), (), ("nowhere", "files"), ("blue", "off")]
    for url in [running.at(*place) for place in places]:
        for verb in ("POST", "GET", "DELETE", "HEAD"):
            sent = {"content": json.dumps(REQUEST)} if verb == "POST" else {}
            response = await http.request(verb, url, headers={"accept": BOTH, **headers}, **sent)
            challenge = response.headers["www-authenticate"]
            assert (response.status_code, 'error="invalid_token"' in challenge) == (401, text != NO_KEY)
            path = url.removeprefix(running.url)
            assert f'resource_metadata="{running.url}/.well-known/oauth-protected-resource{path}"' in challenge
            assert verb == "HEAD" or response.json() == refusal(text)
    assert upstream.received == []


async def test_another_workspace_looks_like_none_at_all(
    running: Gateway, http: httpx2.AsyncClient, upstream: RawUpstream
) -> None:
    nowhere = await http.post(running.at("nowhere", "nothing"), json=REQUEST, headers=bearer(EVE))
    assert nowhere.status_code == 404
    for place in (("blue", "files"), ("blue", "off"), ("blue", "nothing"), ("blue",), ("red", "nothing")):
        for verb in ("POST", "GET", "DELETE", "HEAD"):
            sent = {"content": json.dumps(REQUEST)} if verb == "POST" else {}
            response = await http.request(verb, running.at(*place), headers=bearer(EVE), **sent)
            assert response.status_code == 404
            assert verb == "HEAD" or response.content == nowhere.content
            assert "www-authenticate" not in response.headers
    assert upstream.received == []
    assert await ask(http, running.at("red", "mail"), bearer(EVE)) == (200, SERVED)


async def test_the_root_hub_is_the_keys_own_workspace(running: Gateway, http: httpx2.AsyncClient) -> None:
    # Each workspace has one enabled server, and a hub names what is its own.
    for key, server in ((ADA, "files"), (EVE, "mail")):
        params = {"name": f"{server}__tool", "say": {"result": {"server": server}}}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        response = await http.post(running.at(), json=message, headers=bearer(key))
        assert response.json()["result"]["server"] == server


async def test_a_session_is_its_principals_alone(running: Gateway, http: httpx2.AsyncClient) -> None:
    url = running.at("blue", "files")
    session = await begin(http, url, ADA)
    for verb in ("POST", "GET", "DELETE"):
        sent = {"content": json.dumps(REQUEST)} if verb == "POST" else {}
        response = await http.request(verb, url, headers={**bearer(BOB), "mcp-session-id": session}, **sent)
        assert (response.status_code, response.json()) == (404, refusal(NO_SESSION))
    assert await ask(http, url, {**bearer(ADA), "mcp-session-id": session}) == (200, SERVED)


async def test_a_session_is_no_credential(running: Gateway, http: httpx2.AsyncClient) -> None:
    url = running.at("blue", "files")
    session = await begin(http, url, ADA)
    response = await http.post(url, json=REQUEST, headers={"mcp-session-id": session, "accept": BOTH})
    assert (response.status_code, response.json()) == (401, refusal(NO_KEY))


async def test_a_key_that_another_process_revokes_is_refused_and_others_go_on(
    running: Gateway, http: httpx2.AsyncClient
) -> None:
    url, at = running.at("blue", "files"), ("--workspace", "blue", "--data", running.data)
    made = json.loads(await portkey("keys", "create", "late", *at, "--json"))["key"]
    with anyio.fail_after(120):
        while (await ask(http, url, bearer(made)))[0] == 401:
            pass
    session = await begin(http, url, made)
    await portkey("keys", "revoke", "late", *at)
    assert await until_refused(http, url, made) == refusal(UNKNOWN_KEY)
    # The session that it began is of no use without it.
    response = await http.post(url, json=REQUEST, headers={**bearer(made), "mcp-session-id": session})
    assert response.status_code == 401
    assert await ask(http, url, bearer(ADA)) == (200, SERVED)


async def test_a_key_that_leaves_the_file_is_refused_and_others_go_on(
    running: Gateway, http: httpx2.AsyncClient, upstream: RawUpstream
) -> None:
    url = running.at("blue", "files")
    assert await ask(http, url, bearer(ADA)) == (200, SERVED)
    assert running.config
    running.config.write_text(house(upstream, ada=False))
    assert await until_refused(http, url, ADA) == refusal(UNKNOWN_KEY)
    assert await ask(http, url, bearer(BOB)) == (200, SERVED)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "gateway.example.com"])
async def test_an_open_gateway_is_refused_off_loopback(tmp_path: Path, host: str) -> None:
    with pytest.raises(Mistake, match="loopback address only"):
        async with gateway(open_house(), tmp_path / "data", host=host):
            pass


async def test_an_open_gateway_on_loopback_asks_nobody(
    upstream: RawUpstream, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with gateway(open_house(files={"url": upstream.url}), tmp_path / "data") as ready:
        for headers in ({}, bearer("anything"), {"x-portkey-api-key": ""}):
            assert await ask(http, ready.at("team", "files"), headers) == (200, SERVED)


async def test_no_key_is_logged_stored_or_sent_upstream(
    running: Gateway, http: httpx2.AsyncClient, upstream: RawUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = running.at("blue", "files")
    wrong = "pk_wrong-0123456789-0123456789-0123456789"
    for headers in (bearer(ADA), {"x-portkey-api-key": BOB}, bearer(wrong), {"x-portkey-api-key": wrong}):
        await ask(http, url, headers)
    session = await begin(http, url, ADA)
    modern = RawClient(http, url, "modern")
    message = modern.request("vendor/x", {"say": {"error": {"code": -1, "message": "no"}}})
    await http.post(url, json=message, headers={**modern.headers(message), **bearer(ADA)})
    await http.post(url, content=b"no JSON", headers=bearer(ADA))
    await http.request("DELETE", url, headers={**bearer(ADA), "mcp-session-id": session})

    # The client's own libraries log what they send; the gateway's do not.
    own = [record for record in caplog.records if not record.name.startswith(("httpcore", "httpx"))]
    said = [record.getMessage() + str(record.exc_info or "") for record in own]
    stored = [file.read_bytes() for file in running.data.iterdir() if file.is_file()]
    sent = json.dumps([[received.headers, received.message] for received in upstream.received])
    assert own
    assert upstream.received
    assert any(b"SQLite format 3" in content for content in stored)
    for key in (ADA, BOB, wrong):
        assert [line for line in said if key in line] == []
        assert [content for content in stored if key.encode() in content] == []
        assert key not in sent
    assert MODERN in sent  # the probe came, so these are the gateway's own words
