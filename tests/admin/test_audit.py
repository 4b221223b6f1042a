"""The audit over the API: for owners and admins, of their workspace only, page by page."""

import pytest

from portkey_mcp.activity.acts import Act
from portkey_mcp.model import Principal
from portkey_mcp.wire import Json
from tests.admin.conftest import House, error_of

pytestmark = pytest.mark.anyio

AUDIT = "/workspaces/demo/audit"
ADA = Principal("person:1", "Ada", "person", email="ada@example.com")


async def noted(house: House, *acts: Act) -> None:
    for act in acts:
        house.services.audit.note(act)
    assert await house.services.audit.flush()


async def listed(house: House, **params: str | int) -> Json:
    async with house.client() as client:
        answer = await client.get(AUDIT, params=params)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def test_an_admin_reads_who_did_what_from_where_and_why_not(house: House) -> None:
    act = Act("member", ADA, address="10.0.0.7", workspace="demo", subject="bob", outcome="refused", why="no")
    await noted(house, act)
    found = await listed(house, act="member")
    assert found["next"] is None
    [one] = found["acts"]
    assert {name: one[name] for name in ("act", "outcome", "actor", "actor_name", "address", "subject", "why")} == {
        "act": "member",
        "outcome": "refused",
        "actor": "person:1",
        "actor_name": "ada@example.com",
        "address": "10.0.0.7",
        "subject": "bob",
        "why": "no",
    }
    assert "workspace" not in one


async def test_acts_of_other_workspaces_and_of_the_gateway_are_not_told(house: House) -> None:
    await noted(house, *(Act("member", ADA, workspace=slug) for slug in ("demo", "other", "")))
    assert len((await listed(house, who="person:1"))["acts"]) == 1


@pytest.mark.parametrize("key", ["ci", "other-ci", None, "no-such-key-of-anybody"])
async def test_nobody_but_owners_and_admins_reads_it(house: House, key: str | None) -> None:
    async with house.client(key) as client:
        answer = await client.get(AUDIT)
    assert error_of(answer) in [(403, "forbidden"), (401, "unauthenticated")]
    assert (answer.status_code == 403) == (key in ("ci", "other-ci"))


async def test_a_workspace_of_others_is_none(house: House) -> None:
    async with house.client() as client:
        assert error_of(await client.get("/workspaces/other/audit")) == (404, "not_found")


async def test_pages_follow_each_other_by_their_cursor(house: House) -> None:
    await noted(house, *(Act("member", ADA, workspace="demo", subject=str(number)) for number in range(5)))
    subjects: list[str] = []
    page = await listed(house, act="member", limit=2)
    while True:
        subjects += [one["subject"] for one in page["acts"]]
        if page["next"] is None:
            break
        page = await listed(house, act="member", limit=2, before=page["next"])
    assert subjects == ["4", "3", "2", "1", "0"]


async def test_acts_are_found_by_outcome_and_moment(house: House) -> None:
    await noted(house, Act("grant", ADA, workspace="demo"), Act("token", ADA, workspace="demo", outcome="refused"))
    assert [one["act"] for one in (await listed(house, outcome="refused"))["acts"]] == ["token"]
    assert (await listed(house, since="2999-01-01T00:00:00Z"))["acts"] == []


@pytest.mark.parametrize(
    "params",
    [
        {"limit": 0},
        {"limit": 501},
        {"before": 0},
        {"before": 2**64},
        {"since": "2026-11-22"},
        {"outcome": "x"},
        {"since": "0001-01-01T00:00:00+14:00"},
    ],
)
async def test_what_is_no_question_is_refused(house: House, params: dict[str, str | int]) -> None:
    async with house.client() as client:
        assert error_of(await client.get(AUDIT, params=params)) == (422, "invalid")


async def test_using_the_api_is_noted_and_so_is_a_refused_key(house: House) -> None:
    for key in ("boss", "boss", "no-such-key-of-anybody", None):
        async with house.client(key, address="10.0.0.1") as client:
            await client.get("/workspaces/demo/limits")
    await house.services.audit.flush()
    found = (await listed(house, act="key_used"))["acts"]
    assert [(one["outcome"], one["actor_name"], one["address"]) for one in found] == [
        ("refused", "", "10.0.0.1"),
        ("done", "boss", "10.0.0.1"),
    ]
    assert "no-such-key" not in str(found)
