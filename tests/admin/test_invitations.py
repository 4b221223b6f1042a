"""Invitations over the API: made, seen and taken back by those who could give the role themselves."""

import pytest

from tests.admin.conftest import ORIGIN, House, error_of

pytestmark = pytest.mark.anyio

INVITATIONS = "/workspaces/demo/invitations"


async def test_an_admin_invites_and_sees_the_link_once(house: House) -> None:
    await house.person("ada", "admin")
    body = {"email": "bob@example.com", "role": "viewer", "groups": ["ops"], "days": 2}
    async with house.client("ada") as client:
        made = (await client.post(INVITATIONS, json=body)).json()
        link = made.pop("link")
        assert link.startswith(f"{ORIGIN}/ui/join/")
        assert (await client.get(INVITATIONS)).json() == [made]
    assert (made["email"], made["role"], made["groups"]) == ("bob@example.com", "viewer", ["ops"])
    assert made["inviter"] == house.whose["ada"].id
    token = link.removeprefix(f"{ORIGIN}/ui/join/")
    assert await house.services.identity.invitations.find(token) is not None
    assert token not in repr(house.acts)


async def test_one_that_was_taken_back_is_gone(house: House) -> None:
    async with house.client() as client:
        made = (await client.post(INVITATIONS, json={})).json()
        at = f"{INVITATIONS}/{made['id']}"
        assert (await client.delete(at)).status_code == 200
        assert error_of(await client.delete(at)) == (404, "not_found")
        assert (await client.get(INVITATIONS)).json() == []
    assert [(act.act, act.detail["how"]) for act in house.acts] == [
        ("invitation", "made"),
        ("invitation", "taken back"),
    ]


async def test_nobody_invites_above_themselves_or_takes_such_an_invitation_back(house: House) -> None:
    _, lords = await house.services.identity.invitations.invite("demo", "owner")
    async with house.client() as client:
        assert error_of(await client.post(INVITATIONS, json={"role": "owner"})) == (403, "forbidden")
        assert error_of(await client.delete(f"{INVITATIONS}/{lords.id}")) == (403, "forbidden")
        assert (await client.post(INVITATIONS, json={"role": "admin"})).status_code == 200
    assert [act.outcome for act in house.acts] == ["refused", "refused", "done"]
    await house.key("lord", "owner")
    async with house.client("lord") as client:
        assert (await client.post(INVITATIONS, json={"role": "owner"})).status_code == 200
        assert (await client.delete(f"{INVITATIONS}/{lords.id}")).status_code == 200


@pytest.mark.parametrize("role", ["member", "viewer"])
async def test_others_neither_invite_nor_see_invitations(house: House, role: str) -> None:
    _, made = await house.services.identity.invitations.invite("demo")
    await house.key("small", role)
    async with house.client("small") as client:
        for answer in (
            await client.get(INVITATIONS),
            await client.post(INVITATIONS, json={}),
            await client.delete(f"{INVITATIONS}/{made.id}"),
        ):
            assert error_of(answer) == (403, "forbidden")
    assert len(await house.services.identity.invitations.all()) == 1


async def test_invitations_into_other_workspaces_are_not_there(house: House) -> None:
    _, far = await house.services.identity.invitations.invite("other")
    async with house.client() as client:
        assert (await client.get(INVITATIONS)).json() == []
        assert error_of(await client.delete(f"{INVITATIONS}/{far.id}")) == (404, "not_found")


async def test_a_member_is_not_invited_and_nobody_for_ever(house: House) -> None:
    await house.person("ada")
    async with house.client() as client:
        assert error_of(await client.post(INVITATIONS, json={"email": "Ada@example.com"})) == (409, "conflict")
        for wrong in ({"days": 0}, {"days": 91}, {"email": "bob"}, {"role": "king"}):
            assert error_of(await client.post(INVITATIONS, json=wrong)) == (422, "invalid")
