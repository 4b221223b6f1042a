"""After a run in which everything happens to accounts, nothing that was given out for them is to be found anywhere."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import pytest

from tests.stories.accounts_house import KEY, AccountsHouse, connected, processes, user_of
from tests.stories.hearing import PATIENCE
from tests.stories.oauth_upstreams import oauth_upstream
from tests.stories.raw_client import Heard
from tests.stories.upstreams import ROOT

pytestmark = [pytest.mark.anyio, pytest.mark.outside("node")]

COLLECTOR = ROOT / "tests" / "telemetry" / "collector.py"
ENTERED = "planted-key-of-ada-7Qw3ZxLm"
CONFIGURED = "planted-secret-of-the-file-9Rt5BvNk"
HEADER = "planted-header-of-the-file-2Hj8DsPq"


class Evidence:
    """All that came out of a gateway, by where it came out."""

    def __init__(self) -> None:
        self.found: dict[str, bytes] = {}

    async def note(self, response: httpx2.Response) -> None:
        """An event hook: take down an answer of the gateway's, head and body."""
        await response.aread()
        where = f"answer {len(self.found)} to {response.request.method} {response.request.url.path}"
        self.found[where] = repr(response.headers.multi_items()).encode() + response.content

    def files(self, folder: Path) -> None:
        """Take down every file below a folder."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.found[str(path)] = path.read_bytes()

    def places_of(self, secrets: set[str]) -> list[str]:
        """Where any of these is to be found, whole or in part: one line each, without the secret itself."""
        parts = {part for secret in secrets for part in [secret, *secret.split(".")] if len(part) >= 16}
        return [
            f"{where}: {part[:4]}…"
            for where, what in self.found.items()
            for part in sorted(parts)
            if part.encode() in what
        ]


@asynccontextmanager
async def collector() -> AsyncIterator[tuple[str, list[bytes]]]:
    """The suite's own OTLP collector; gives its endpoint, and all that it was told once the block has ended."""
    told: list[bytes] = []
    async with await anyio.open_process([sys.executable, str(COLLECTOR), "http"], stderr=None) as process:
        assert process.stdout is not None
        said = b""
        with anyio.fail_after(PATIENCE):
            while b"\n" not in said:
                said += await process.stdout.receive()
        try:
            yield f"http://127.0.0.1:{said.split()[0].decode()}", told
        finally:
            process.terminate()
        told.extend([said, *[chunk async for chunk in process.stdout]])


async def everything_happens(house: AccountsHouse, evidence: Evidence) -> None:
    """Connecting in every way, calls, refusals, refreshes, failures, and the end."""
    house.http.event_hooks["response"].append(evidence.note)
    server, authority = house.upstream.server, house.upstream.authority
    async with house.browser("ada") as ada:
        ada.event_hooks["response"].append(evidence.note)
        await connected(house.origin, ada, "mine", "upstream-ada")
        await connected(house.origin, ada, "ours", "upstream-team")
        page = await ada.post("/connect/blue/keyed", data={"enter.key": ENTERED})
        assert page.status_code == 303, page.text
        access = (await house.given("ada", "blue"))["access_token"]
        assert user_of(await whoami(house, access, "mine")) == "upstream-ada"
        assert user_of(await whoami(house, KEY, "ours")) == "upstream-team"
        for name in ("keyed", "configured", "fixed"):  # the server wants another kind of proof, and says no
            await whoami(house, access, name)
        assert ENTERED in server.keys

        server.ban()
        assert user_of(await whoami(house, access, "mine")) == "upstream-ada"
        server.ban()
        await authority.end_grants("upstream-ada")
        assert (await whoami(house, access, "mine")).answer["result"]["isError"]
        await connected(house.origin, ada, "mine", "upstream-ada")
        server.ban()
        await authority.stop()
        await whoami(house, access, "mine")
        await whoami(house, KEY, "ours")
        await authority.start()
        for path in ("/ui/", "/connect/blue/mine", "/connect/blue/keyed", "/api/v1/workspaces/blue/connections"):
            await ada.get(path)
        for path in ("/metrics", "/oauth/client.json", "/oauth/callback?code=planted-code-of-nobody&state=x"):
            await ada.get(path)


async def whoami(house: AccountsHouse, access: str, server: str) -> Heard:
    """Call through the workspace's hub."""
    name = {"name": f"{server}__whoami", "arguments": {}}
    return await house.client(access, "blue").call("tools/call", name)


async def test_no_planted_secret_is_in_any_log_span_answer_file_or_output(tmp_path: Path) -> None:
    """A28: tokens, codes, client secrets, entered keys and configured ones, after all that can happen."""
    evidence, secrets = Evidence(), {ENTERED, CONFIGURED, HEADER}
    async with oauth_upstream(tmp_path) as upstream, collector() as (endpoint, told):
        client = {"client_id": "configured-client", "client_secret": "${env:PLANTED_SECRET}"}
        servers = {
            "configured": {"url": upstream.url, "auth": {"type": "client_credentials", **client}},
            "fixed": {"url": upstream.url, "auth": {"type": "headers", "headers": {"X-Key": "${env:PLANTED_HEADER}"}}},
        }
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "PLANTED_SECRET": CONFIGURED,
            "PLANTED_HEADER": HEADER,
        }
        async with processes(tmp_path, upstream, 1, environment, **servers) as [house]:
            await everything_happens(house, evidence)
            for command in (["connections", "list", "--json"], ["servers", "list", "--json"], ["calls", "list"]):
                evidence.found[" ".join(command)] = (await said_by(house, *command)).encode()
            evidence.files(tmp_path / "data")  # while it is open: the write-ahead log is there
            await upstream.authority.seen()
            secrets |= upstream.authority.given
    evidence.found["spans"] = b"".join(told)
    evidence.files(tmp_path / "data")
    evidence.found["log"] = (tmp_path / "said-0").read_bytes()

    assert len(secrets) > 10
    assert b"whoami" in evidence.found["spans"]
    assert any(path.endswith(".db") or "sqlite" in path for path in evidence.found), sorted(evidence.found)
    assert evidence.places_of(secrets) == []


async def said_by(house: AccountsHouse, *command: str) -> str:
    """What a command prints about the gateway's data, whether it is there yet or not."""
    arguments = [sys.executable, "-m", "portkey_mcp", *command, "--data", str(house.gateway.data)]
    ended = await anyio.run_process(arguments, cwd=ROOT, check=False)
    return json.dumps([ended.stdout.decode(), ended.stderr.decode()])
