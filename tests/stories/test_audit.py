"""Whatever is sent to a gateway that notes acts, nothing of it that could open anything is on its disk afterwards."""

import sqlite3
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from portkey_mcp.activity.audit import Audit, Wanted
from portkey_mcp.storage.database import Database
from tests.identity.issuer import AUDIENCE, RSA, issuer
from tests.stories.gateway import gateway
from tests.stories.house import document

pytestmark = pytest.mark.anyio

PASSWORD = "ada's own fine password"
PLANTED = "planted-secret-"
ASK = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


async def plant(http: httpx2.AsyncClient, url: str, foreign: str) -> list[str]:
    """Send a secret by every way in; returns all of them."""
    api, hub = f"{url}/api/v1/workspaces/team", f"{url}/team/mcp"
    secrets = [f"{PLANTED}{number}-{'x' * 30}" for number in range(9)]
    own = {"origin": url}
    form = {"email": "ada@example.com", "password": secrets[0]}
    assert (await http.post(f"{url}/ui/sign-in", data=form, headers=own)).status_code == 403
    await http.post(f"{url}/ui/sign-in", data={"email": secrets[1], "password": "x"}, headers=own)
    await http.post(f"{url}/ui/sign-out", headers={**own, "cookie": f"portkey={secrets[2]}"})
    for header, value in (
        ("authorization", f"Bearer {secrets[3]}"),
        ("authorization", f"Basic {secrets[4]}"),
        ("x-portkey-api-key", f"pk_{secrets[5]}"),
        ("authorization", f"Bearer {foreign}"),
    ):
        assert (await http.post(hub, json=ASK, headers={header: value})).status_code == 401
        assert (await http.get(f"{api}/limits", headers={header: value})).status_code == 401
    await http.post(f"{hub}?token={secrets[6]}&code={secrets[7]}", json=ASK)
    await http.post(f"{url}/{secrets[8]}/mcp", json=ASK, headers={"x-portkey-api-key": "nobody"})
    redirects = {
        "client_name": "App",
        "redirect_uris": ["https://app.example/cb"],
        "token_endpoint_auth_method": "none",
    }
    client = (await http.post(f"{url}/register", json=redirects)).json()["client_id"]
    codes = {
        name: f"{PLANTED}{name}-{'x' * 43}" for name in ("code", "code_verifier", "refresh_token", "client_secret")
    }
    for kind in ("authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:jwt-bearer"):
        sent = {"grant_type": kind, "client_id": client, "redirect_uri": "https://app.example/cb", **codes}
        for more in ({}, {"assertion": foreign}):
            assert (await http.post(f"{url}/token", data={**sent, **more})).status_code in (400, 401)
    await http.post(f"{url}/revoke", data={"client_id": client, "token": codes["refresh_token"]})
    return [*secrets[:8], *codes.values(), foreign, foreign.rpartition(".")[2]]


def on_disk(data: Path) -> bytes:
    with closing(sqlite3.connect(data / "portkey.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return b"".join(path.read_bytes() for path in data.glob("portkey.db*"))


async def test_no_secret_that_was_tried_or_used_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, client_secret = tmp_path / "data", f"{PLANTED}client-{'x' * 30}"
    key = f"{PLANTED}key-{'x' * 30}"
    part = {
        "servers": {},
        "members": [{"email": "ada@example.com", "role": "admin"}],
        "api_keys": [{"name": "ci", "key": "${env:CI_KEY}", "role": "admin"}],
    }
    monkeypatch.setenv("CI_KEY", key)
    monkeypatch.setenv("CLIENT_SECRET", client_secret)
    async with issuer() as made:
        trusting = {
            "issuer": made.url,
            "audience": AUDIENCE,
            "workspace": "team",
            "check": "introspection",
            "url": f"{made.url}/introspect",
            "client_id": "gateway",
            "client_secret": "${env:CLIENT_SECRET}",
        }
        async with (
            gateway(document({"team": part}, issuers=[trusting]), data) as running,
            httpx2.AsyncClient() as http,
        ):
            secrets = await plant(http, running.url, made.token(RSA["second"]))
            good = {"authorization": f"Bearer {key}"}
            assert (await http.post(running.at("team"), json=ASK, headers=good)).status_code == 200
        assert any(made.credentials), "the client's secret was used"
    kept = on_disk(data)
    for secret in [*secrets, key, client_secret]:
        assert secret.encode() not in kept, secret


async def test_what_happened_is_told_afterwards(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with issuer() as made:
        text = document(
            {"team": {"servers": {}}}, issuers=[{"issuer": made.url, "audience": AUDIENCE, "workspace": "team"}]
        )
        async with gateway(text, data) as running, httpx2.AsyncClient() as http:
            for token in (made.token(), made.token(), made.token(exp=1)):
                await http.post(running.at("team"), json=ASK, headers={"authorization": f"Bearer {token}"})
    database = await Database.open(data)
    refused, used = await Audit(database).recent(Wanted("team", "key_used"))
    await database.close()
    assert (used.outcome, used.actor_name, used.address, used.client) == ("done", "robot", "127.0.0.1", "ci")
    assert (refused.outcome, refused.actor, refused.actor_name) == ("refused", "", "")
    assert "it has expired" in refused.why
