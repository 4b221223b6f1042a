"""Apps that people let in: members see and end their own, owners and admins all, nobody those of another workspace."""

from typing import Any

import pytest

from portkey_mcp.oauth.grants import Grant, Granted
from tests.admin.conftest import House

pytestmark = pytest.mark.anyio


async def granted(house: House, name: str, workspace: str = "demo", role: str = "member") -> Grant:
    """A person with a key of their own, who let an app in."""
    identity = house.services.identity
    person = await identity.people.add(f"{name}@example.com", name.title(), workspace=workspace, role=role)  # type: ignore[arg-type]
    house.keys[name] = await identity.create_key(workspace, f"{name}'s", person=f"{name}@example.com")
    place = {"workspace": workspace, "reach": f"{workspace}/files", "resource": "", "issuer": "https://gw.example"}
    app = {"client": "c", "client_name": "<b>App</b>", "redirect_host": "app.example", "address": "10.0.0.1"}
    return await house.services.grants.make(Granted(person=person, scopes=("mcp:read",), **place, **app))


async def listed(house: House, who: str, workspace: str = "demo") -> list[dict[str, Any]]:
    async with house.client(who) as client:
        answer = await client.get(f"/workspaces/{workspace}/grants")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def ended(house: House, who: str, grant: Grant, workspace: str = "demo") -> int:
    async with house.client(who) as client:
        return (await client.delete(f"/workspaces/{workspace}/grants/{grant.id}")).status_code


async def test_members_see_their_own_and_admins_all(house: House) -> None:
    ada, bob = await granted(house, "ada"), await granted(house, "bob", role="viewer")
    await granted(house, "eve", "other", "owner")

    assert [one["id"] for one in await listed(house, "ada")] == [ada.id]
    assert {one["id"] for one in await listed(house, "boss")} == {ada.id, bob.id}
    [told] = await listed(house, "bob")
    told.pop("created")
    assert told == {
        "id": bob.id,
        "person": "bob@example.com",
        "app": "<b>App</b>",
        "client_id": "c",
        "sends_back_to": "app.example",
        "reach": "demo/files",
        "scopes": ["mcp:read"],
        "last_used": None,
    }


async def test_an_app_is_ended_by_its_person_or_an_admin_and_by_nobody_else(house: House) -> None:
    ada, bob = await granted(house, "ada"), await granted(house, "bob")
    eve = await granted(house, "eve", "other", "owner")

    assert [await ended(house, "bob", ada), await ended(house, "boss", eve)] == [404, 404]
    assert [await ended(house, "bob", bob), await ended(house, "boss", ada)] == [200, 200]
    assert await listed(house, "boss") == []
    assert [one["id"] for one in await listed(house, "eve", "other")] == [eve.id]
    assert [(act.act, act.subject) for act in house.acts if act.act == "revoke"] == [("revoke", "<b>App</b>")] * 2
