"""What is left of limits, asked over the API."""

from datetime import UTC, datetime
from typing import Any

import pytest

from portkey_mcp.admin.desk import Asker
from portkey_mcp.admin.visiting import existing, visitor
from portkey_mcp.policy.limits import charges_of
from tests.admin.conftest import House, error_of

pytestmark = pytest.mark.anyio

LIMITS = "/workspaces/demo/limits"


async def left(house: House, key: str = "ci", **query: Any) -> list[dict[str, Any]]:
    async with house.client(key) as client:
        answer = await client.get(LIMITS, params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def call(house: House, name: str, key: str = "ci") -> None:
    """Take what a call of this tool of `files` takes."""
    who = house.whose[key]
    about = await visitor(house.services, Asker(who, "demo", who.workspaces["demo"]))
    for thing, terms in await existing(house.services, about):
        if thing.name == name:
            charges = charges_of(terms, about.visit, thing, about.rules.policy.time_zone, datetime.now(UTC))
            await house.services.counter.take([charge.take for charge in charges])


async def test_without_limits_nothing_is_left_to_tell(house: House) -> None:
    await house.offers("files", {"name": "read"})
    assert await left(house) == []


async def test_one_count_is_told_once_with_all_that_it_counts(house: House) -> None:
    await house.offers("files", {"name": "read"}, {"name": "write"})
    await house.policy(
        "version: 1\nrules:\n"
        "  - match: files/*\n"
        "    for: {roles: [member]}\n"
        "    limits: [{calls: 1000000, per: month, each: user}, {concurrent: 2, each: [user, tool]}]\n"
        "  - {match: files/write, cost: 5}\n"
        "  - {match: files/write, limits: [{cost: 100, per: month}]}\n"
    )
    await call(house, "write")
    month, read, write, cost = await left(house)
    assert month.pop("opensAt").endswith("Z")
    assert month == {
        "match": ["files/*"],
        "for": {"roles": ["member"]},
        "limit": 1000000,
        "unit": "calls",
        "per": "month",
        "each": ["user"],
        "used": 1,
        "left": 999999,
        "things": ["files/read", "files/write"],
    }
    assert [(one["things"], one["unit"], one["used"], one["opensAt"]) for one in (read, write)] == [
        (["files/read"], "concurrent", 0, None),
        (["files/write"], "concurrent", 1, None),
    ]
    assert (cost["unit"], cost["used"], cost["left"], cost["for"]) == ("cost", 5, 95, None)


async def test_everybody_is_told_of_their_own_counts_and_an_admin_of_every_keys(house: House) -> None:
    await house.offers("files", {"name": "read"})
    await house.policy("version: 1\nrules: [{match: 'files/*', limits: [{calls: 5, per: month, each: user}]}]\n")
    await call(house, "read")
    assert [one["used"] for one in await left(house, "ci")] == [1]
    assert [one["used"] for one in await left(house, "other-ci")] == [0]
    assert [one["used"] for one in await left(house, "boss", **{"as": "ci"})] == [1]
    async with house.client("other-ci") as client:
        assert error_of(await client.get(LIMITS, params={"as": "ci"})) == (403, "forbidden")


async def test_what_is_hidden_is_told_of_in_no_limit(house: House) -> None:
    await house.offers("files", {"name": "read"}, {"name": "rm"})
    await house.policy(
        "version: 1\nrules:\n"
        "  - {match: 'files/*', limits: [{calls: 5, per: month}]}\n"
        "  - {match: files/rm, limits: [{calls: 1, per: month}]}\n"
        "  - {match: files/rm, for: {roles: [member]}, enabled: false}\n"
    )
    assert [one["things"] for one in await left(house, "boss")] == [["files/read", "files/rm"], ["files/rm"]]
    for query in ({}, {"thing": "files/rm"}):
        assert [one["things"] for one in await left(house, "ci", **query)] == [["files/read"]]


async def test_things_that_nobody_lists_are_told_of_when_they_are_named(house: House) -> None:
    await house.offers("files", {"name": "read"})
    await house.policy(
        "version: 1\nrules: [{match: ['files/*', 'resource:files/*'], limits: [{calls: 5, per: month}]}]\n"
    )
    uri = "resource:files/file:///a"
    assert [one["things"] for one in await left(house, thing=[uri, "files/read"])] == [["files/read", uri]]
    async with house.client() as client:
        assert error_of(await client.get(LIMITS, params={"thing": "files"})) == (422, "invalid")
        assert error_of(await client.get(LIMITS, params={"thing": ["files/a"] * 51})) == (422, "invalid")


async def test_of_many_things_some_are_named(house: House) -> None:
    await house.offers("files", *({"name": f"tool{n:02}"} for n in range(30)))
    await house.policy("version: 1\nrules: [{match: 'files/*', limits: [{calls: 5, per: month}]}]\n")
    ((one,),) = [await left(house)]
    assert one["things"] == [f"files/tool{n:02}" for n in range(20)]
