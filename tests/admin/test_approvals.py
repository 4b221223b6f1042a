"""Approvals over the API: who sees them, who decides, once."""

import sqlite3
from datetime import timedelta

import pytest

from portkey_mcp.policy.decide import Thing
from portkey_mcp.wire import Json
from tests.admin.conftest import House, error_of

pytestmark = pytest.mark.anyio

APPROVALS = "/workspaces/demo/approvals"
THING = Thing("tool", "files", "write")
PARAMS: Json = {"name": "write", "arguments": {"path": "/srv/a"}}


async def ask(house: House, who: str = "ci", params: Json = PARAMS) -> str:
    return (await house.services.approvals.ask(house.visit(who), THING, params, via="page")).id


async def claim(house: House, who: str = "ci") -> str | None:
    return await house.services.approvals.claim(house.visit(who), THING, PARAMS)


async def test_an_admin_sees_all_and_a_member_their_own(house: House) -> None:
    mine, other = await ask(house), await ask(house, "other-ci")
    async with house.client() as client:
        found = (await client.get(APPROVALS)).json()
    assert [(one["id"], one["who"], one["what"], one["state"]) for one in found] == [
        (other, "other-ci", "files/write", "asked"),
        (mine, "ci", "files/write", "asked"),
    ]
    assert all("arguments" not in one for one in found)
    async with house.client("ci") as client:
        assert [one["id"] for one in (await client.get(APPROVALS)).json()] == [mine]


async def test_one_is_read_with_what_the_call_would_send(house: House) -> None:
    ident = await ask(house)
    for key in ("boss", "ci"):
        async with house.client(key) as client:
            said = (await client.get(f"{APPROVALS}/{ident}")).json()
        assert (said["state"], said["via"], said["decided_at"]) == ("asked", "page", None)
        assert '"path": "/srv/a"' in said["arguments"]


@pytest.mark.parametrize("key", ["boss", "ci"])
@pytest.mark.parametrize(("decision", "state"), [("approve", "granted"), ("deny", "denied")])
async def test_who_called_or_rules_decides_for_one_call(house: House, key: str, decision: str, state: str) -> None:
    ident = await ask(house)
    async with house.client(key) as client:
        decided = await client.post(f"{APPROVALS}/{ident}", json={"decision": decision})
        assert (decided.status_code, decided.json()["state"], decided.json()["decided_by"]) == (200, state, key)
        assert error_of(await client.post(f"{APPROVALS}/{ident}", json={"decision": "approve"})) == (409, "conflict")
    assert [await claim(house) for _ in range(2)] == [state, None]


async def test_a_call_of_somebody_else_looks_like_none(house: House) -> None:
    ident = await ask(house)
    await house.key("far", "owner", "other")
    places = [("other-ci", f"{APPROVALS}/{ident}"), ("far", f"/workspaces/other/approvals/{ident}")]
    for key, path in [*places, ("boss", f"{APPROVALS}/never")]:
        async with house.client(key) as client:
            assert error_of(await client.get(path)) == (404, "not_found")
            assert error_of(await client.post(path, json={"decision": "approve"})) == (404, "not_found")
    assert await claim(house) is None


@pytest.mark.parametrize("body", [{}, {"decision": "yes"}, {"decision": True}, {"decision": "approve", "key": "pk_a"}])
async def test_what_is_not_clearly_a_decision_decides_nothing(house: House, body: Json) -> None:
    ident = await ask(house)
    async with house.client() as client:
        assert error_of(await client.post(f"{APPROVALS}/{ident}", json=body)) == (422, "invalid")
    assert await claim(house) is None


async def test_one_that_has_expired_is_decided_no_more(house: House) -> None:
    house.late = timedelta(minutes=-11)
    ident = await ask(house)
    house.late = timedelta()
    async with house.client() as client:
        assert [one["state"] for one in (await client.get(APPROVALS)).json()] == ["expired"]
        assert error_of(await client.post(f"{APPROVALS}/{ident}", json={"decision": "approve"})) == (409, "conflict")
    assert await claim(house) is None


async def test_a_store_that_is_down_decides_nothing(house: House) -> None:
    ident = await ask(house)
    other = sqlite3.connect(house.database.path)
    other.execute("ALTER TABLE approvals RENAME TO gone")
    other.close()
    async with house.client() as client:
        assert error_of(await client.get(APPROVALS)) == (503, "unavailable")
        assert error_of(await client.post(f"{APPROVALS}/{ident}", json={"decision": "approve"})) == (503, "unavailable")
