"""Two people in one workspace and one in another: each gets what their role, groups and person allow, until they go."""

import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx2
import pytest

from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from tests.stories.gateway import Gateway, gateway
from tests.stories.house import ROOT, document
from tests.stories.policy_house import Scripted, tool
from tests.stories.raw_client import Json, RawClient, raw_http
from tests.stories.raw_upstream import raw_upstream

pytestmark = pytest.mark.anyio

TOOLS = ("read", "write", "night", "vault", "secret")
OPEN = [name for name in TOOLS if name != "secret"]


@dataclass
class House:
    """A gateway on which Ada (admin, in `ops`) and Bob (viewer) are members of `blue`, and Eve (owner) of `red`."""

    gateway: Gateway
    http: httpx2.AsyncClient
    ids: dict[str, str]
    keys: dict[str, str]

    def at(self, who: str, workspace: str, era: str = "modern") -> RawClient:
        return RawClient(self.http, self.gateway.at(workspace, "files"), era, self.keys[who])

    async def lists(self, who: str, workspace: str, era: str = "modern") -> list[str]:
        """The tools somebody is shown; each that is shown can be called, and no other."""
        client = self.at(who, workspace, era)
        await client.hello()
        shown = [one["name"] for one in (await client.call("tools/list")).answer["result"]["tools"]]
        for name in TOOLS:
            answer = (await client.call("tools/call", {"name": name, "arguments": {}})).answer
            assert ("result" in answer) is (name in shown), answer
        return shown

    async def status(self, who: str, workspace: str) -> int:
        return (await self.at(who, workspace).call("tools/list")).status


async def settle(data: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Make the people, by id, and a key of each."""
    database = await Database.open(data)
    try:
        registry, identity = Registry(database, KeyRing.of(data)), Identity(database)
        for slug in ("blue", "red"):
            await registry.add_workspace(slug)
        ids = {
            "ada": await identity.people.add("ada@example.com", workspace="blue", role="admin", groups=["ops"]),
            "bob": await identity.people.add("bob@example.com", workspace="blue", role="viewer", groups=["day"]),
            "eve": await identity.people.add("eve@example.com", workspace="red", role="owner", groups=["ops"]),
        }
        homes = {"ada": "blue", "bob": "blue", "eve": "red"}
        keys = {who: await identity.create_key(home, who, person=f"{who}@example.com") for who, home in homes.items()}
    finally:
        await database.close()
    return ids, keys


def policed(ids: dict[str, str]) -> list[Json]:
    return [
        {"match": "files/write", "for": {"roles": ["viewer"]}, "enabled": False},
        {"match": ["files/night", "files/vault", "files/secret"], "enabled": False},
        {"match": "files/night", "for": {"groups": ["ops"]}, "enabled": True},
        {"match": "files/vault", "for": {"people": [ids["bob"]]}, "enabled": True},
    ]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    data = tmp_path / "data"
    ids, keys = await settle(data)
    async with raw_upstream("legacy") as upstream, raw_http() as http:
        script = Scripted(tools=[tool(name) for name in TOOLS])
        upstream.script, upstream.told = script, script.told
        part: Json = {"servers": {"files": {"url": upstream.url}}}
        blue = {**part, "policy": {"version": 1, "rules": policed(ids)}}
        text = document({"blue": blue, "red": part})
        async with gateway(text, data) as running:
            yield House(running, http, ids, keys)


async def portkey(*arguments: object) -> str:
    """Run a command in a process of its own, and return what it printed; it must succeed."""
    command = [sys.executable, "-m", "portkey_mcp", *map(str, arguments)]
    ended = await anyio.run_process(command, cwd=ROOT, stderr=None, env=dict(os.environ))
    return ended.stdout.decode().strip()


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_each_gets_what_role_group_and_person_allow(house: House, era: str) -> None:
    assert await house.lists("ada", "blue", era) == ["read", "write", "night"]
    assert await house.lists("bob", "blue", era) == ["read", "vault"]
    assert await house.lists("eve", "red", era) == list(TOOLS)


async def test_nobody_gets_into_the_other_workspace(house: House) -> None:
    assert [await house.status(who, "red") for who in ("ada", "bob", "eve")] == [404, 404, 200]
    assert [await house.status(who, "blue") for who in ("ada", "bob", "eve")] == [200, 200, 404]


async def test_a_key_opens_its_own_workspace_only_whatever_its_person_is_elsewhere(house: House) -> None:
    data = ("--data", house.gateway.data)
    await portkey("people", "add", "ada@example.com", "-w", "red", *data)
    await portkey("people", "add", "eve@example.com", "-w", "blue", *data)
    house.keys["eve in blue"] = await portkey(
        "keys", "create", "two", "-w", "blue", "--person", "eve@example.com", *data
    )
    with anyio.fail_after(120):
        while await house.status("eve in blue", "blue") != 200:
            pass
    assert await house.lists("eve in blue", "blue") == ["read", "write"]  # in `ops` she is in red alone
    assert await house.status("eve in blue", "red") == 404
    assert await house.status("eve", "blue") == 404
    assert await house.status("ada", "red") == 404
    assert await house.lists("ada", "blue") == ["read", "write", "night"]


async def test_who_is_removed_by_another_process_is_out_and_others_stay(house: House) -> None:
    assert await house.status("ada", "blue") == 200
    session = house.at("ada", "blue", "legacy")
    await session.hello()
    await portkey("people", "remove", "ADA@example.com", "--data", house.gateway.data)
    with anyio.fail_after(120):
        while (status := await house.status("ada", "blue")) != 401:
            assert status == 200
    assert (await session.call("tools/list")).status == 401
    assert await house.lists("bob", "blue") == ["read", "vault"]


async def test_a_changed_role_and_group_hold_without_a_new_key(house: House) -> None:
    at = ("bob@example.com", "-w", "blue", "--data", house.gateway.data)
    await portkey("people", "role", *at, "member")
    await portkey("people", "group", *at, "--add", "ops")
    client = house.at("bob", "blue")
    with anyio.fail_after(120):
        while len((await client.call("tools/list")).answer["result"]["tools"]) != 4:
            pass
    assert await house.lists("bob", "blue") == OPEN


async def test_who_is_kept_out_comes_in_again_with_the_same_key(house: House) -> None:
    for verb, wanted in (("disable", 401), ("enable", 200)):
        await portkey("people", verb, "bob@example.com", "--data", house.gateway.data)
        with anyio.fail_after(120):
            while await house.status("bob", "blue") != wanted:
                pass
    assert await house.lists("bob", "blue") == ["read", "vault"]
