"""Two teams on one gateway: by connector and over the API each sees its own, as role, groups and access allow."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from tests.stories.gateway import Gateway, gateway
from tests.stories.house import document
from tests.stories.policy_house import Scripted, tool
from tests.stories.raw_client import Json, RawClient, raw_http
from tests.stories.raw_upstream import raw_upstream
from tests.stories.test_people import portkey

pytestmark = pytest.mark.anyio

PEOPLE = {
    "ada": ("blue", "admin", ["ops"]),
    "oda": ("blue", "owner", []),
    "bob": ("blue", "viewer", []),
    "eve": ("red", "owner", ["ops"]),
}
PASSWORD = "a fine long password"

CHANGES: dict[tuple[str, str], Json] = {
    ("post", "/people"): {"email": "mallory@example.com"},
    ("patch", "/people/{person}"): {"role": "viewer"},
    ("delete", "/people/{person}"): {},
    ("post", "/invitations"): {},
    ("delete", "/invitations/{ident}"): {},
    ("post", "/keys"): {"name": "another"},
    ("delete", "/keys/{ident}"): {},
    ("put", "/policy"): {"text": "version: 1\n", "based_on": None},
    ("patch", "/policy"): {"match": "*", "member": "enabled", "value": False},
    ("post", "/policy/rollback"): {"number": 1},
    ("post", "/definitions/{server}/{name}"): {"digest": "0" * 64, "decision": "approve"},
}
"""A right body for each route that changes something."""

HARMLESS = {
    *(("delete", "/grants/{ident}"), ("post", "/policy/check"), ("post", "/approvals/{ident}")),
    ("delete", "/connections/{server}/{subject}"),
}
"""Changes nothing; and is for whoever made the call or has the account, so that to others there is none."""


@dataclass
class House:
    """A gateway on which `files` is for everybody and `pay` for the group `ops`, in `blue` and in `red`."""

    gateway: Gateway
    http: httpx2.AsyncClient
    ids: dict[str, str]
    keys: dict[str, str]

    def at(self, who: str, *place: str) -> RawClient:
        return RawClient(self.http, self.gateway.at(*place), "modern", self.keys[who])

    async def tools(self, who: str, *place: str) -> list[str] | int:
        """The names of the tools there are for somebody; the status where there is nothing at all."""
        heard = await self.at(who, *place).call("tools/list")
        return [one["name"] for one in heard.answer["result"]["tools"]] if heard.status == 200 else heard.status

    async def api(self, who: str, method: str, path: str, workspace: str = "blue", body: Any = None) -> httpx2.Response:
        url = f"{self.gateway.url}/api/v1/workspaces/{workspace}{path}"
        headers = {"authorization": f"Bearer {self.keys[who]}"}
        return await self.http.request(method.upper(), url, headers=headers, json=body)

    async def routes(self) -> list[tuple[str, str]]:
        """Method and path below a workspace of every route there is."""
        said = (await self.http.get(f"{self.gateway.url}/api/v1/openapi.json")).json()
        below = {path.partition("{workspace}")[2]: methods for path, methods in said["paths"].items()}
        return [(method, path) for path, methods in below.items() for method in methods]

    def filled(self, path: str) -> str:
        """A path about things that there are."""
        return re.sub(r"\{\w+\}", "x", path.replace("{person}", self.ids["ada"]))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    data = tmp_path / "data"
    database = await Database.open(data)
    registry, identity = Registry(database, KeyRing.of(data)), Identity(database)
    ids, keys = {}, {}
    for slug in ("blue", "red"):
        await registry.add_workspace(slug)
    for who, (slug, role, groups) in PEOPLE.items():
        email = f"{who}@example.com"
        ids[who] = await identity.people.add(email, who.title(), workspace=slug, role=role, groups=groups)  # type: ignore[arg-type]
        keys[who] = await identity.create_key(slug, who, person=email)
    await database.close()
    async with raw_upstream("legacy") as upstream, raw_http() as http:
        script = Scripted(tools=[tool("read")])
        upstream.script, upstream.told = script, script.told
        servers = {"files": {"url": upstream.url}, "pay": {"url": upstream.url, "access": {"groups": ["ops"]}}}
        bundles = {"both": {"include": ["files/*", "pay/*"]}}
        blue: Json = {"servers": servers, "bundles": bundles}
        async with gateway(document({"blue": blue, "red": blue}, hosts={"pay.example": "blue/pay"}), data) as running:
            yield House(running, http, ids, keys)


async def test_a_server_for_a_group_is_there_for_the_group_alone_everywhere(house: House) -> None:
    assert await house.tools("ada", "blue", "pay") == await house.tools("bob", "blue", "files") == ["read"]
    for who, there in (("ada", ["files__read", "pay__read"]), ("bob", ["files__read"]), ("oda", ["files__read"])):
        for place in (("blue",), ("blue", "both"), ()):
            assert await house.tools(who, *place) == there, (who, place)
    assert await house.tools("bob", "blue", "pay") == await house.tools("oda", "blue", "pay") == 404
    assert await house.tools("eve", "blue", "pay") == await house.tools("eve", "blue") == 404
    hidden = await house.at("bob", "blue").call("tools/call", {"name": "pay__read", "arguments": {}})
    missing = await house.at("bob", "blue").call("tools/call", {"name": "nil__read", "arguments": {}})
    assert hidden.answer["error"]["message"].replace("pay", "nil") == missing.answer["error"]["message"]
    for method, params in (
        ("resources/read", {"uri": "mcp+pay+file:///a"}),
        ("prompts/get", {"name": "pay__greet"}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "pay__greet"}, "argument": {}}),
    ):
        assert "error" in (await house.at("bob", "blue").call(method, params)).answer, method
        assert "result" in (await house.at("ada", "blue").call(method, params)).answer or method[0] == "c", method


async def test_who_joins_the_group_finds_the_server_and_who_leaves_it_does_not(house: House) -> None:
    async def until(wanted: Any) -> None:
        with anyio.fail_after(120):
            while await house.tools("bob", "blue", "pay") != wanted:
                pass

    at = f"/people/{house.ids['bob']}"
    assert (await house.api("ada", "patch", at, body={"groups": ["ops"]})).status_code == 200
    await until(["read"])
    assert (await house.api("ada", "patch", at, body={"groups": []})).status_code == 200
    await until(404)


async def test_with_a_key_of_another_workspace_no_route_of_the_api_is_there(house: House) -> None:
    for method, path in await house.routes():
        body = None if method == "get" else CHANGES.get((method, path), {})
        answer = await house.api("eve", method, house.filled(path), body=body)
        assert answer.status_code == 404, (method, path)
        assert "no workspace 'blue' here" in answer.text
        assert "ada" not in answer.text.lower()


async def test_with_a_viewers_key_no_route_of_the_api_changes_anything(house: House) -> None:
    changing = {route for route in await house.routes() if route[0] != "get"}
    assert changing == CHANGES.keys() | HARMLESS
    before = (await house.api("oda", "get", "/people")).json(), (await house.api("oda", "get", "/keys")).json()
    for (method, path), body in CHANGES.items():
        answer = await house.api("bob", method, house.filled(path), body=body)
        assert answer.status_code == 403, (method, path, answer.text)
    assert (await house.api("bob", "post", "/approvals/x", body={"decision": "approve"})).status_code == 404
    assert (await house.api("bob", "delete", "/grants/x")).status_code == 404
    assert (await house.api("bob", "delete", "/connections/files/person:ada")).status_code in (403, 404)
    after = (await house.api("oda", "get", "/people")).json(), (await house.api("oda", "get", "/keys")).json()
    assert [{**one, "last_used": None} for one in after[1]] == [{**one, "last_used": None} for one in before[1]]
    assert after[0] == before[0]


async def test_b7_no_route_of_the_api_registers_a_server_or_a_command(house: House) -> None:
    assert [path for method, path in await house.routes() if method != "get" and "server" in path.split("/")[1]] == []


async def test_what_a_viewer_reads_is_names_and_what_is_theirs(house: House) -> None:
    people = (await house.api("bob", "get", "/people")).json()
    assert {one["name"]: one["email"] for one in people} == {"Ada": None, "Oda": None, "Bob": "bob@example.com"}
    assert [one["name"] for one in (await house.api("bob", "get", "/keys")).json()] == ["bob"]
    for path in ("/invitations", "/policy", "/policy/versions", "/definitions"):
        assert (await house.api("bob", "get", path)).status_code == 403, path
    seen = [await house.api("bob", "get", f"/explain?thing=prompt:{server}/x") for server in ("pay", "nil")]
    assert [one.status_code for one in seen] == [404, 404]
    assert seen[0].text == seen[1].text


async def test_a_key_for_one_server_or_to_read_opens_that_and_no_api(house: House) -> None:
    for name, narrow in (("one", {"server": "files"}), ("reads", {"scopes": ["mcp:read"]})):
        made = await house.api("ada", "post", "/keys", body={"name": name, **narrow})
        house.keys[name] = made.json()["key"]
        with anyio.fail_after(120):
            while await house.tools(name, "blue", "files") != ["read"]:
                pass
        assert (await house.api(name, "get", "/people")).status_code == 403
    assert await house.tools("one", "blue", "pay") == await house.tools("one", "blue") == 404
    assert await house.tools("reads", "blue", "pay") == ["read"]
    call = await house.at("reads", "blue", "files").call("tools/call", {"name": "read", "arguments": {}})
    assert call.status == 403


async def test_whoever_is_invited_joins_and_is_out_at_once_when_removed(house: House) -> None:
    invited = await house.api("ada", "post", "/invitations", body={"email": "cleo@example.com"})
    link = invited.json()["link"]
    origin = {"sec-fetch-site": "same-origin"}
    async with httpx2.AsyncClient(base_url=house.gateway.url, headers=origin) as browser:
        assert "Join <bdi>blue</bdi>" in (await browser.get(link)).text
        form = {"how": "make", "name": "Cleo", "password": PASSWORD, "again": PASSWORD}
        assert (await browser.post(link, data=form)).status_code == 303
        assert "Cleo" in (await browser.get("/ui/")).text
        data = ("--data", house.gateway.data)
        house.keys["cleo"] = await portkey("keys", "create", "c", "-w", "blue", "--person", "cleo@example.com", *data)
        with anyio.fail_after(120):
            while await house.tools("cleo", "blue") != ["files__read"]:
                pass
        await portkey("people", "remove", "cleo@example.com", *data)
        with anyio.fail_after(120):
            while await house.tools("cleo", "blue") != 401:
                pass
            while (await browser.get("/ui/")).status_code != 303:
                pass
        assert (await browser.get(link)).status_code == 404
