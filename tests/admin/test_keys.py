"""API keys over the API: one's own, those of service accounts, and what nobody makes or ends."""

from typing import Any

import pytest
from sqlalchemy import text

from portkey_mcp.model import Access, Principal
from tests.admin.conftest import House, error_of

pytestmark = pytest.mark.anyio

KEYS = "/workspaces/demo/keys"


async def bearer(house: House, key: str) -> Principal:
    return await house.services.identity.authenticate({"authorization": f"Bearer {key}"})


async def test_a_member_makes_sees_and_ends_their_own_keys(house: House) -> None:
    ident = await house.person("bob")
    async with house.client("bob") as client:
        made = (await client.post(KEYS, json={"name": "laptop", "days": 3})).json()
        key = made.pop("key")
        assert (await bearer(house, key)).id == ident
        assert made["expires"] is not None
        assert [one["name"] for one in (await client.get(KEYS)).json()] == ["bob's", "laptop"]
        assert made in (await client.get(KEYS)).json()
        assert (await client.delete(f"{KEYS}/{made['id']}")).json() == made
        assert error_of(await client.delete(f"{KEYS}/{made['id']}")) == (404, "not_found")
    assert [(act.act, act.subject) for act in house.acts][:2] == [("key_made", "laptop"), ("key_ended", made["id"])]
    assert key not in repr(house.acts)


async def test_a_key_can_be_for_one_server_and_some_scopes(house: House) -> None:
    await house.person("bob")
    async with house.client("bob") as client:
        made = (await client.post(KEYS, json={"name": "n", "server": "files", "scopes": ["mcp:read"]})).json()
        assert (made["server"], made["scopes"]) == ("files", ["mcp:read"])
        for wrong in ({"server": "fles"}, {"scopes": ["all"]}, {"scopes": []}, {"name": " "}, {"days": 0}):
            assert error_of(await client.post(KEYS, json={"name": "wrong", **wrong})) == (422, "invalid")
        await house.services.registry.set_access("demo", "linear", Access(groups=("ops",)))
        hidden = await client.post(KEYS, json={"name": "h", "server": "linear"})
        missing = await client.post(KEYS, json={"name": "h", "server": "missing"})
        assert hidden.text.replace("linear", "missing") == missing.text
    who = await bearer(house, made["key"])
    assert (who.reach, who.scopes) == ("demo/files", ("mcp:read",))


async def test_nobody_makes_a_key_above_their_own_role(house: House) -> None:
    await house.person("bob")
    await house.person("ada", "admin")
    for who, body, status in (
        ("bob", {"role": "admin"}, 403),
        ("bob", {"role": "viewer"}, 200),
        ("bob", {"whose": "service"}, 403),
        ("ada", {"role": "owner"}, 403),
        ("ada", {"role": "owner", "whose": "service"}, 403),
        ("ada", {"role": "admin", "whose": "service"}, 200),
    ):
        async with house.client(who) as client:
            answer = await client.post(KEYS, json={"name": f"{who}{body}"[:90], **body})
        assert answer.status_code == status, (who, body)


async def test_a_key_made_by_a_lesser_key_is_no_greater(house: House) -> None:
    await house.person("ada", "owner")
    weak = await house.services.identity.create_key("demo", "weak", "member", person="ada@example.com")
    house.keys["weak"] = weak
    async with house.client("weak") as client:
        assert error_of(await client.post(KEYS, json={"name": "x", "role": "owner"})) == (403, "forbidden")
        made = (await client.post(KEYS, json={"name": "y"})).json()
        strong = next(one for one in (await client.get(KEYS)).json() if one["role"] == "owner")
        assert error_of(await client.delete(f"{KEYS}/{strong['id']}")) == (403, "forbidden")
    assert made["role"] == (await bearer(house, made["key"])).role_in("demo") == "member"


async def test_viewers_see_their_keys_and_change_none(house: House) -> None:
    await house.person("vic", "viewer")
    async with house.client("vic") as client:
        [own] = (await client.get(KEYS)).json()
        assert error_of(await client.post(KEYS, json={"name": "x"})) == (403, "forbidden")
        assert error_of(await client.delete(f"{KEYS}/{own['id']}")) == (403, "forbidden")


async def test_a_service_account_has_no_keys_of_its_own(house: House) -> None:
    async with house.client("ci") as client:
        assert (await client.get(KEYS)).json() == []
        assert error_of(await client.post(KEYS, json={"name": "x"})) == (403, "forbidden")
    async with house.client("boss") as client:
        assert error_of(await client.post(KEYS, json={"name": "x"})) == (403, "forbidden")
        made = (await client.post(KEYS, json={"name": "x", "whose": "service", "role": "viewer"})).json()
    assert (await bearer(house, made["key"])).kind == "service"


async def test_keys_of_others_are_there_for_admins_and_end_unless_they_are_above_them(house: House) -> None:
    await house.person("bob")
    await house.person("eve", "owner")
    low = await house.services.identity.create_key("demo", "eve-low", "viewer", person="eve@example.com")
    await house.key("lord", "owner")
    await house.key("far", "viewer", "other")
    async with house.client("boss") as client:
        all_keys = {one["name"]: one["id"] for one in (await client.get(KEYS)).json()}
        assert set(all_keys) == {"boss", "ci", "other-ci", "bob's", "eve's", "eve-low", "lord"}
        for name in ("eve's", "eve-low", "lord"):
            assert error_of(await client.delete(f"{KEYS}/{all_keys[name]}")) == (403, "forbidden")
        for name in ("bob's", "ci"):
            assert (await client.delete(f"{KEYS}/{all_keys[name]}")).status_code == 200
        assert error_of(await client.delete(f"{KEYS}/{house.whose['far'].id}")) == (404, "not_found")
    assert (await bearer(house, low)).role_in("demo") == "viewer"
    async with house.client("bob") as client:
        assert (await client.get(KEYS)).status_code == 401


async def test_to_a_member_keys_of_others_are_not_there(house: House) -> None:
    await house.person("bob")
    async with house.client("bob") as client:
        answers: list[Any] = [await client.delete(f"{KEYS}/{house.whose['ci'].id}"), await client.delete(f"{KEYS}/x")]
    assert [error_of(answer) for answer in answers] == [(404, "not_found")] * 2
    assert answers[0].text == answers[1].text


async def test_what_a_file_declares_ends_there(house: House) -> None:
    async with house.database.write() as session:
        await session.execute(text("UPDATE api_keys SET origin = 'file' WHERE name = 'ci'"))
    async with house.client() as client:
        assert error_of(await client.delete(f"{KEYS}/{house.whose['ci'].id}")) == (409, "conflict")
        told = {one["name"]: one["managed"] for one in (await client.get(KEYS)).json()}
    assert (told["ci"], told["boss"]) == (True, False)
