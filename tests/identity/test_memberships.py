"""Who may change what members are, and that it is decided in one step with the change."""

from collections.abc import Awaitable

import anyio
import pytest

from portkey_mcp.errors import Conflict, Forbidden, Mistake, NotFound, PortkeyError
from portkey_mcp.identity.memberships import Memberships
from portkey_mcp.identity.people import People
from portkey_mcp.storage.database import Database

pytestmark = pytest.mark.anyio

ADA, BOB = "ada@example.com", "bob@example.com"


@pytest.fixture
async def people(workspaces: Database) -> People:
    people = People(workspaces)
    await people.add(ADA, "Ada", workspace="demo", role="owner")
    return people


@pytest.fixture
def memberships(workspaces: Database, people: People) -> Memberships:
    return Memberships(workspaces, people)


async def test_a_member_is_added_with_an_account_once(memberships: Memberships, people: People) -> None:
    bob, is_new = await memberships.add("demo", BOB, by="admin", name="Bob", role="viewer", groups=["ops"])
    assert (is_new, bob.name, bob.origin, bob.has_password) == (True, "Bob", "api", False)
    again, is_new = await memberships.add("other", "BOB@example.com", by="owner", name="Robert")
    assert (is_new, again.id, again.name, len(again.memberships)) == (False, bob.id, "Bob", 1)
    found = people.named(BOB)
    assert found is not None
    assert (found.role_in("demo"), found.groups_in("demo"), found.role_in("other")) == ("viewer", ("ops",), "member")
    with pytest.raises(Conflict, match="already"):
        await memberships.add("demo", BOB, by="owner")


async def test_a_change_leaves_what_it_does_not_name(memberships: Memberships) -> None:
    bob, _ = await memberships.add("demo", BOB, by="owner", role="viewer", groups=["ops"])
    assert (await memberships.change("demo", bob.id, by="owner", role="admin")).memberships[0].groups == ("ops",)
    changed = await memberships.change("demo", "Bob@Example.com", by="owner", groups=["day"])
    assert (changed.memberships[0].role, changed.memberships[0].groups) == ("admin", ("day",))
    with pytest.raises(Mistake):
        await memberships.change("demo", BOB, by="owner", role="viewer", groups=[" "])
    assert (await memberships.end("demo", BOB, by="owner")).memberships[0].role == "admin", "all of it or nothing"
    with pytest.raises(NotFound):
        await memberships.end("demo", BOB, by="owner")


async def test_of_two_owners_who_leave_at_once_one_stays(memberships: Memberships, people: People) -> None:
    await people.add(BOB, workspace="demo", role="owner")
    refused: list[PortkeyError] = []

    async def end(leaving: Awaitable[object]) -> None:
        try:
            await leaving
        except PortkeyError as error:
            refused.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(end, memberships.end("demo", ADA, by="owner"))
        tasks.start_soon(end, memberships.change("demo", BOB, by="owner", role="member"))
    assert [type(error) for error in refused] == [Conflict]
    assert [one.memberships[0].role for one in await people.all("demo")].count("owner") == 1


async def test_nobody_is_touched_by_who_is_below_them(memberships: Memberships, people: People) -> None:
    await people.add(BOB, workspace="demo", role="owner")
    attempts = (
        memberships.change("demo", ADA, by="admin", groups=["x"]),
        memberships.end("demo", ADA, by="admin"),
        memberships.add("demo", "eve@example.com", by="admin", role="owner"),
    )
    for attempt in attempts:
        with pytest.raises(Forbidden):
            await attempt
    assert people.named("eve@example.com") is None
    with pytest.raises(Mistake, match="no role 'king'"):
        await memberships.change("demo", ADA, by="owner", role="king")  # type: ignore[arg-type]
