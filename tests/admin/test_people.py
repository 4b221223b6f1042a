"""Members over the API: who sees what of whom, and who changes what for whom."""

from typing import Any

import pytest
from sqlalchemy import text

from tests.admin.conftest import House, error_of

pytestmark = pytest.mark.anyio

PEOPLE = "/workspaces/demo/people"
RANKS = ("owner", "admin", "member", "viewer")


async def role(house: House, name: str) -> str | None:
    found = house.services.identity.people.named(f"{name}@example.com")
    return None if found is None else found.role_in("demo")


async def test_everybody_sees_names_and_roles_and_admins_the_rest(house: House) -> None:
    await house.person("ada", "owner", groups=["ops"])
    await house.person("bob", "viewer", groups=["night"])
    told: dict[str, Any] = {}
    for who in ("ada", "bob", "boss", "ci"):
        async with house.client(who) as client:
            told[who] = {one["name"]: one for one in (await client.get(PEOPLE)).json()}
    assert told["ada"] == told["boss"]
    assert {name: one["role"] for name, one in told["ci"].items()} == {"Ada": "owner", "Bob": "viewer"}
    whole = told["boss"]["Ada"]
    assert (whole["email"], whole["groups"], whole["managed"], whole["has_password"], whole["disabled"]) == (
        *("ada@example.com", ["ops"], False, False, None),
    )
    seen = {"id": whole["id"], "name": "Ada", "role": "owner"}
    assert told["bob"]["Ada"] == told["ci"]["Ada"] == {**dict.fromkeys(whole), **seen}
    assert told["bob"]["Bob"] == told["boss"]["Bob"], "of themselves everybody sees all"


async def test_an_admin_adds_changes_and_removes(house: House) -> None:
    async with house.client() as client:
        body = {"email": "Bob@example.com", "name": "Bob", "role": "viewer", "groups": ["ops"]}
        made = (await client.post(PEOPLE, json=body)).json()
        assert (made["name"], made["role"], made["groups"], made["has_password"]) == ("Bob", "viewer", ["ops"], False)
        at = f"{PEOPLE}/{made['id']}"
        changed = (await client.patch(at, json={"role": "admin"})).json()
        assert (changed["role"], changed["groups"]) == ("admin", ["ops"])
        changed = (await client.patch(f"{PEOPLE}/BOB@example.com", json={"groups": []})).json()
        assert (changed["role"], changed["groups"]) == ("admin", [])
        assert (await client.delete(at)).status_code == 200
        assert error_of(await client.delete(at)) == (404, "not_found")
        assert await role(house, "bob") is None
        assert (await client.get(PEOPLE)).json() == []
    assert [(act.act, act.outcome, act.subject) for act in house.acts] == [
        ("member", "done", "bob@example.com"),
        ("person", "done", "bob@example.com"),
        ("member", "done", made["id"]),
        ("member", "done", "bob@example.com"),
        ("member", "done", made["id"]),
    ]


@pytest.mark.parametrize("who", RANKS)
async def test_nobody_changes_removes_or_makes_what_is_above_them(house: House, who: str) -> None:
    for rank in RANKS:
        await house.person(f"the-{rank}", rank)
    await house.person("second", "owner")
    for rank in RANKS:
        await house.person(f"other-{rank}", rank)
    await house.key("asker", who)
    rules = who in ("owner", "admin")
    async with house.client("asker") as client:
        for rank in RANKS:
            may = 200 if rules and RANKS.index(rank) >= RANKS.index(who) else 403
            new = {"email": f"new-{rank}@example.com", "role": rank}
            assert (await client.post(PEOPLE, json=new)).status_code == may, rank
            other = f"{PEOPLE}/other-{rank}@example.com"
            for change in ({"groups": ["x"]}, {"role": "viewer"}):
                assert (await client.patch(other, json=change)).status_code == may, rank
            raised = await client.patch(f"{PEOPLE}/the-viewer@example.com", json={"role": rank})
            assert raised.status_code == (may if rules else 403), rank
            assert (await client.delete(f"{PEOPLE}/the-{rank}@example.com")).status_code in (may, 403)
    if not rules:
        assert [await role(house, f"the-{rank}") for rank in RANKS] == list(RANKS)
        assert {act.outcome for act in house.acts} == {"refused"}
    elif who == "admin":
        assert await role(house, "the-owner") == await role(house, "other-owner") == "owner"
        assert await role(house, "new-owner") is None


async def test_the_last_owner_stays_owner(house: House) -> None:
    await house.person("ada", "owner")
    await house.person("eve", "owner")
    await house.services.identity.people.disable("eve@example.com")
    async with house.client("ada") as client:
        ada = f"{PEOPLE}/ada@example.com"
        assert error_of(await client.delete(ada)) == (409, "conflict")
        assert error_of(await client.patch(ada, json={"role": "admin"})) == (409, "conflict")
        assert (await client.patch(ada, json={"role": "owner", "groups": ["x"]})).status_code == 200
        await house.services.identity.people.enable("eve@example.com")
        assert (await client.patch(ada, json={"role": "admin"})).status_code == 200


async def test_what_a_file_manages_changes_there(house: House) -> None:
    await house.person("ada", "member")
    async with house.database.write() as session:
        await session.execute(text("UPDATE memberships SET origin = 'file'"))
    async with house.client() as client:
        assert (await client.get(PEOPLE)).json()[0]["managed"] is True
        for answer in (
            await client.patch(f"{PEOPLE}/ada@example.com", json={"role": "viewer"}),
            await client.delete(f"{PEOPLE}/ada@example.com"),
        ):
            assert error_of(answer) == (409, "conflict")
            assert "configuration file" in answer.text


async def test_an_account_that_there_is_joins_as_it_is(house: House) -> None:
    await house.person("eve", "owner", "other")
    async with house.client() as client:
        for again in (200, 409):
            answer = await client.post(PEOPLE, json={"email": "EVE@example.com", "name": "Fool"})
            assert answer.status_code == again
    eve = house.services.identity.people.named("eve@example.com")
    assert eve is not None
    assert (eve.name, eve.role_in("other"), eve.role_in("demo")) == ("Eve", "owner", "member")


@pytest.mark.parametrize(
    "body", [{"email": "bob"}, {"email": "b@example.com", "role": "king"}, {"email": "b@example.com", "groups": [" "]}]
)
async def test_what_cannot_be_is_refused_in_words(house: House, body: dict[str, Any]) -> None:
    async with house.client() as client:
        assert error_of(await client.post(PEOPLE, json=body)) == (422, "invalid")
        assert (await client.get(PEOPLE)).json() == []


async def test_members_of_other_workspaces_are_nobody_here(house: House) -> None:
    ident = await house.person("eve", "viewer", "other")
    async with house.client() as client:
        for named in (ident, "eve@example.com", "nobody@example.com"):
            answers = [await client.patch(f"{PEOPLE}/{named}", json={"role": "viewer"})]
            answers.append(await client.delete(f"{PEOPLE}/{named}"))
            assert [error_of(answer) for answer in answers] == [(404, "not_found")] * 2
