from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
import pytest

from portkey_mcp import app as app_module
from portkey_mcp.app import build
from portkey_mcp.errors import Mistake
from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.settings import load
from portkey_mcp.storage.database import Database
from tests.dashboard.connecting_pages import back, hidden
from tests.oauth.conftest import OURS
from tests.stories.gateway import gateway
from tests.vault.connecting_house import House
from tests.vault.outside_server import outside_server

pytestmark = pytest.mark.anyio

DOCUMENT = "version: 1\ngateway: {auth: none}\nworkspaces: {team: {servers: {}}}\n"


async def test_nothing_is_opened_and_nobody_served_before_the_lifespan_begins(tmp_path: Path) -> None:
    app = build(load(data=tmp_path / "data"))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost") as http:
        assert (await http.get("/healthz")).status_code == 200
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()) == (503, {"status": "starting"})
        assert (await http.post("/team/mcp", json={})).status_code == 404
    assert not (tmp_path / "data").exists()


async def test_a_running_gateway_is_ready_and_answers_unknown_paths_in_json(tmp_path: Path) -> None:
    async with gateway(DOCUMENT, tmp_path) as running, httpx2.AsyncClient(base_url=running.url) as http:
        assert (await http.get("/readyz")).json() == {"status": "ok"}
        assert (await http.get("/.well-known/jwks.json")).json() == {"keys": []}
        for path in ("/", "/docs", "/.well-known/oauth-protected-resource", "/.well-known/openid-configuration/mcp"):
            answered = await http.get(path)
            assert (answered.status_code, answered.headers["content-type"]) == (404, "application/json"), path


async def test_a_wrong_file_keeps_the_gateway_from_starting_and_says_where(tmp_path: Path) -> None:
    with pytest.raises(Mistake, match=r"portkey.yaml:2:\d+: .*gatewy"):
        async with gateway("version: 1\ngatewy: {}\n", tmp_path):
            pytest.fail("it started")


async def test_a_file_that_lets_everybody_in_is_refused_off_loopback(tmp_path: Path) -> None:
    with pytest.raises(Mistake, match="loopback"):
        async with gateway(DOCUMENT, tmp_path, host="0.0.0.0"):
            pytest.fail("it started")


async def test_a_hub_greets_and_lists_without_any_server(tmp_path: Path) -> None:
    ask = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    async with gateway(DOCUMENT, tmp_path) as running, httpx2.AsyncClient() as http:
        answered = await http.post(running.at("team"), json=ask)
        assert answered.json() == {"jsonrpc": "2.0", "id": 1, "result": {"tools": []}}
        assert (await http.post(running.at(), json=ask)).json()["result"] == {"tools": []}, (
            "the root hub, for one workspace"
        )


async def test_a_failure_beside_the_calls_ends_neither_them_nor_the_following_of_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(app_module, "BEGIN_ANEW", 0.01)
    refresh, failures, recovered = Identity.refresh, [OSError("the disk is full"), OSError("still")], anyio.Event()

    async def failing(identity: Identity) -> None:
        if failures:
            raise failures.pop()
        await refresh(identity)
        recovered.set()

    monkeypatch.setattr(Identity, "refresh", failing)
    ask = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    async with gateway(None, tmp_path, auth="none") as running, httpx2.AsyncClient() as http:
        with anyio.fail_after(20):
            await recovered.wait()
            async with opened(tmp_path) as database:
                await Registry(database, KeyRing.of(tmp_path)).add_workspace("later")
            while (await http.post(running.at("later"), json=ask)).status_code != 200:
                pass
    assert "begun anew" in caplog.text


async def test_the_last_use_of_a_key_is_written_while_the_gateway_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "RECORD_EVERY", 0.01)
    async with opened(tmp_path) as database:
        await Registry(database, KeyRing.of(tmp_path)).add_workspace("team")
        key = await Identity(database).create_key("team", "ci")
        headers, ask = {"x-portkey-api-key": key}, {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        async with gateway(None, tmp_path) as running, httpx2.AsyncClient(headers=headers) as http:
            with anyio.fail_after(20):
                assert (await http.post(running.at("team"), json=ask)).status_code == 200
                while (await Identity(database).list_keys())[0].last_used is None:
                    pass


@asynccontextmanager
async def opened(data: Path) -> AsyncIterator[Database]:
    """The gateway's database, as another process has it."""
    database = await Database.open(data)
    try:
        yield database
    finally:
        await database.close()


async def test_an_account_at_a_server_is_connected_and_disconnected(tmp_path: Path) -> None:
    async with outside_server() as outside:
        House(None, None, outside).serve()  # type: ignore[arg-type]
        servers = f"{{linear: {{url: '{outside.url}', auth: {{type: oauth}}}}}}"
        declared = f"version: 1\ngateway: {{auth: none}}\nworkspaces: {{team: {{servers: {servers}}}}}\n"
        async with gateway(declared, tmp_path) as running, httpx2.AsyncClient(base_url=running.url) as http:
            page = await http.get("/connect/team/linear")
            sent = await http.post("/connect/team/linear", data=hidden(page.text), headers=OURS)
            asked = {name: value[0] for name, value in parse_qs(urlsplit(sent.headers["location"]).query).items()}
            assert asked["redirect_uri"] == f"{running.url}/oauth/callback"
            done = await http.get((await http.get(back(asked))).headers["location"])
            assert "Connected" in done.text
            listed = (await http.get("/api/v1/workspaces/team/connections")).json()
            assert [(one["server"], one["state"]) for one in listed] == [("linear", "good")]
            ended = await http.post("/ui/accounts/disconnect", data={"server": "team/linear"}, headers=OURS)
            assert "revoked at 127.0.0.1" in ended.text
