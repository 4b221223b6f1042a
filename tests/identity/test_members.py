"""Members that a file declares come, change and go with it; what was made by hand stays, or is in the way."""

from collections.abc import Collection

import pytest

from portkey_mcp.errors import Mistake
from portkey_mcp.identity import members
from portkey_mcp.identity.passwords import Passwords
from portkey_mcp.identity.people import People
from portkey_mcp.model import DeclaredMember
from portkey_mcp.storage.database import Database

pytestmark = pytest.mark.anyio

ADA = "ada@example.com"
PASSWORD = "correct horse battery"


@pytest.fixture
def people(workspaces: Database) -> People:
    return People(workspaces)


async def declare(database: Database, people: People, *declared: DeclaredMember) -> Collection[str]:
    async with database.write() as session:
        occupied = await members.declare(session, declared)
    await people.refresh()
    return occupied


async def test_declared_members_come_change_and_go(people: People, workspaces: Database) -> None:
    await declare(workspaces, people, DeclaredMember("demo", "Ada@Example.com", "admin", ("ops", "ops"), "Ada"))
    before = people.named(ADA)
    assert before is not None
    assert (before.name, before.workspaces, before.groups_in("demo")) == ("Ada", {"demo": "admin"}, ("ops",))
    await declare(workspaces, people, DeclaredMember("demo", ADA, "viewer", ("night",)), DeclaredMember("other", ADA))
    after = people.named(ADA)
    assert after is not None
    assert (after.id, after.name, after.workspaces) == (before.id, ADA, {"demo": "viewer", "other": "member"})
    assert (after.groups_in("demo"), after.groups_in("other")) == (("night",), ())
    await declare(workspaces, people)
    assert await people.all() == []


async def test_a_name_may_stand_at_any_place_of_the_file(people: People, workspaces: Database) -> None:
    await declare(workspaces, people, DeclaredMember("demo", ADA), DeclaredMember("other", ADA, name="Ada"))
    assert (ada := people.named(ADA))
    assert ada.name == "Ada"


async def test_who_was_added_by_hand_stays_when_they_leave_the_file(people: People, workspaces: Database) -> None:
    ident = await people.add(ADA, "Ada L.")
    assert await declare(workspaces, people, DeclaredMember("demo", ADA, name="Ada")) == set()
    assert (ada := people.named(ADA))
    assert (ada.id, ada.name, ada.workspaces) == (ident, "Ada L.", {"demo": "member"})
    await declare(workspaces, people)
    assert (ada := people.named(ADA))
    assert (ada.id, ada.workspaces) == (ident, {})


async def test_a_name_from_the_file_is_better_than_none(people: People, workspaces: Database) -> None:
    await people.add(ADA)
    await declare(workspaces, people, DeclaredMember("demo", ADA, name="Ada"))
    assert (ada := people.named(ADA))
    assert ada.name == "Ada"


async def test_a_membership_made_by_hand_holds_person_and_workspace(people: People, workspaces: Database) -> None:
    await declare(workspaces, people, DeclaredMember("demo", ADA))
    await people.add(ADA, workspace="other")
    assert await declare(workspaces, people) == {"other"}
    assert (ada := people.named(ADA))
    assert ada.workspaces == {"other": "member"}


async def test_a_file_takes_over_no_membership_made_by_hand(people: People, workspaces: Database) -> None:
    await people.add(ADA, workspace="demo", role="viewer")
    with pytest.raises(Mistake) as wrong:
        await declare(workspaces, people, DeclaredMember("demo", "ADA@example.com", "owner"))
    assert str(wrong.value) == (
        "workspace 'demo': ADA@example.com was made a member by hand; take them out with "
        "`portkey-mcp people remove ADA@example.com --workspace demo`, or out of the file"
    )
    await people.refresh()
    assert (ada := people.named(ADA))
    assert ada.workspaces == {"demo": "viewer"}


async def test_a_password_and_being_kept_out_are_not_the_files(people: People, workspaces: Database) -> None:
    await declare(workspaces, people, DeclaredMember("demo", ADA))
    await Passwords(workspaces, people).set(ADA, PASSWORD)
    await people.disable(ADA)
    await declare(workspaces, people, DeclaredMember("demo", ADA, "admin"))
    [ada] = await people.all()
    assert (ada.has_password, ada.disabled is not None, ada.memberships[0].role) == (True, True, "admin")


@pytest.mark.parametrize(
    "member",
    [
        DeclaredMember("demo", "ada"),
        DeclaredMember("demo", ADA, groups=("",)),
        DeclaredMember("demo", ADA, name="\n"),
        DeclaredMember("demo", ADA, role="king"),  # type: ignore[arg-type]
    ],
)
async def test_who_cannot_be_is_a_mistake_here_too(
    people: People, workspaces: Database, member: DeclaredMember
) -> None:
    with pytest.raises(Mistake):
        await declare(workspaces, people, member)
    assert await people.is_empty()
