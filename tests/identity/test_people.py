"""People: added, changed, kept out and removed; who they are comes from memory, and ends with them."""

import pytest
from sqlalchemy import text

from portkey_mcp.errors import Mistake
from portkey_mcp.identity.people import People
from portkey_mcp.model import DeclaredMember, Role
from portkey_mcp.storage.database import Database

pytestmark = pytest.mark.anyio

ADA = "Ada@Example.com"


@pytest.fixture
def people(workspaces: Database) -> People:
    return People(workspaces)


async def test_a_person_is_what_they_are_in_each_workspace(people: People) -> None:
    ident = await people.add(ADA, "Ada", workspace="demo", role="admin", groups=["ops", "night"])
    await people.add("ada@example.com", workspace="other", role="viewer", groups=["board"])
    ada = people.principal(ident)
    assert ada is not None
    assert ident.startswith("person:")
    assert (ada.id, ada.name, ada.kind, ada.workspaces) == (
        *(ident, "Ada", "person"),
        {"demo": "admin", "other": "viewer"},
    )
    assert (ada.groups, ada.groups_in("demo"), ada.groups_in("other")) == ((), ("night", "ops"), ("board",))


async def test_a_person_is_found_in_any_spelling_and_shown_as_given(people: People) -> None:
    ident = await people.add(ADA)
    assert people.named("aDA@eXAMPLE.com") is people.principal(ident) is people.named(ident)
    assert [(one.email, one.id, one.has_password) for one in await people.all()] == [(ADA, ident, False)]
    with pytest.raises(Mistake, match=r"there is a person 'Ada@Example.com' already"):
        await people.add("ada@EXAMPLE.com")


async def test_who_has_no_name_is_called_by_the_address_until_they_get_one(people: People) -> None:
    ident = await people.add(ADA)
    assert (found := people.principal(ident))
    assert found.name == ADA
    await people.add(ADA, "Ada", workspace="demo")
    assert (found := people.principal(ident))
    assert found.name == "Ada"


async def test_who_somebody_is_needs_no_database(people: People, workspaces: Database) -> None:
    ident = await people.add(ADA, workspace="demo")
    async with workspaces.write() as session:
        await session.execute(text("DROP TABLE group_members"))
    assert people.principal(ident) is not None


async def test_another_process_learns_of_it_by_a_refresh(people: People, workspaces: Database) -> None:
    elsewhere = People(workspaces)
    revision = await workspaces.revision()
    ident = await people.add(ADA, workspace="demo")
    assert await workspaces.revision() == revision + 1
    assert elsewhere.principal(ident) is None
    await elsewhere.refresh()
    assert elsewhere.principal(ident) == people.principal(ident) is not None
    await people.remove(ADA)
    await elsewhere.refresh()
    assert elsewhere.principal(ident) is None


async def test_the_members_of_a_workspace_are_told_by_name(people: People) -> None:
    await people.add("z@example.com", "Ada", workspace="demo")
    await people.add("a@example.com", "Bob", workspace="demo")
    await people.add("eve@example.com", "Eve", workspace="other")
    assert [one.name for one in people.members("demo")] == ["Ada", "Bob"]
    assert [one.name for one in await people.all("demo")] == ["Bob", "Ada"]


async def test_a_role_is_changed_and_groups_are_entered_and_left(people: People) -> None:
    ident = await people.add(ADA, workspace="demo", groups=["ops"])
    await people.set_role(ADA, "demo", "owner")
    assert await people.set_groups(ADA, "demo", add=["night", "night"], remove=["ops"]) == ("night",)
    [shown] = await people.all()
    assert [(one.role, one.groups, one.origin) for one in shown.memberships] == [("owner", ("night",), "cli")]
    assert (ada := people.principal(ident))
    assert (ada.role_in("demo"), ada.groups_in("demo")) == ("owner", ("night",))


async def test_who_is_disabled_is_nobody_and_loses_nothing(people: People) -> None:
    ident = await people.add(ADA, workspace="demo", groups=["ops"])
    before = people.principal(ident)
    await people.disable(ADA)
    [shown] = await people.all()
    await people.disable(ADA)
    assert shown.disabled is not None
    assert [one.disabled for one in await people.all()] == [shown.disabled]
    assert (people.principal(ident), people.members("demo"), people.named(ADA)) == (None, [], None)
    await people.add(ADA, workspace="other")
    assert people.principal(ident) is None
    await people.leave(ADA, "other")
    await people.enable(ADA)
    assert people.principal(ident) == before


async def test_who_left_a_workspace_is_nothing_there(people: People) -> None:
    ident = await people.add(ADA, workspace="demo", groups=["ops"])
    await people.add(ADA, workspace="other")
    await people.leave(ADA, "demo")
    assert (ada := people.principal(ident))
    assert (ada.workspaces, ada.groups_in("demo")) == ({"other": "member"}, ())
    await people.add(ADA, workspace="demo")
    assert (ada := people.principal(ident))
    assert ada.groups_in("demo") == ()


async def test_a_removed_person_who_comes_back_is_another_one(people: People, workspaces: Database) -> None:
    ident = await people.add(ADA, workspace="demo", groups=["ops"])
    await people.remove(ADA)
    async with workspaces.read() as session:
        for table in ("people", "memberships", "group_members"):
            assert (await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar() == 0
    assert await people.is_empty()
    assert await people.add(ADA) != ident


async def test_people_outlive_a_workspace(people: People, workspaces: Database) -> None:
    ident = await people.add(ADA, workspace="demo", groups=["ops"])
    async with workspaces.write() as session:
        await session.execute(text("DELETE FROM workspaces WHERE slug = 'demo'"))
    await people.refresh()
    assert (ada := people.principal(ident))
    assert ada.workspaces == {}


@pytest.mark.parametrize(
    ("email", "name", "workspace", "role", "groups", "problem"),
    [
        ("ada", "", None, "member", (), "'ada' is no e-mail address; expected one like ada@example.com"),
        ("a d@x", "", None, "member", (), "'a d@x' is no e-mail address; expected one like ada@example.com"),
        (
            *("a@x.org", " Ada", None, "member", ()),
            "' Ada' is no name of a person; expected 1 to 100 characters on one line, without spaces around",
        ),
        ("a@x.org", "", "nowhere", "member", (), "there is no workspace 'nowhere'"),
        (
            *("a@x.org", "", "demo", "boss", ()),
            "there is no role 'boss'; expected one of owner, admin, member, viewer",
        ),
        (
            *("a@x.org", "", "demo", "member", ("a\nb",)),
            "'a\\nb' is no name of a group; expected 1 to 100 characters on one line, without spaces around",
        ),
        (
            *(ADA, "", "demo", "member", ()),
            "Ada@Example.com is a member of workspace 'demo' already; "
            "`portkey-mcp people role` and `people group` change what they are there",
        ),
    ],
)
async def test_who_cannot_be_is_refused_whole(
    people: People, email: str, name: str, workspace: str | None, role: Role, groups: tuple[str, ...], problem: str
) -> None:
    await people.add(ADA, workspace="demo")
    with pytest.raises(Mistake) as wrong:
        await people.add(email, name, workspace=workspace, role=role, groups=groups)
    assert str(wrong.value) == problem
    assert [one.email for one in await people.all()] == [ADA]


async def test_a_person_that_there_is_gets_no_password_by_the_way(people: People) -> None:
    await people.add(ADA)
    with pytest.raises(Mistake, match="set their password with `portkey-mcp people password`"):
        await people.add(ADA, workspace="demo", password="a hash")
    [shown] = await people.all()
    assert (shown.has_password, shown.memberships) == (False, ())


async def test_what_is_not_there_is_said(people: People) -> None:
    await people.add(ADA)
    for gone in (people.remove, people.disable, people.enable):
        with pytest.raises(Mistake, match=r"there is no person 'bob@example.com'"):
            await gone("bob@example.com")
    for change in (people.leave(ADA, "demo"), people.set_role(ADA, "demo", "owner"), people.set_groups(ADA, "demo")):
        with pytest.raises(Mistake, match=r"Ada@Example.com is no member of workspace 'demo'; `portkey-mcp people add"):
            await change
    await people.add(ADA, workspace="demo")
    with pytest.raises(Mistake, match=r"Ada@Example.com is in no group 'ops' of workspace 'demo'"):
        await people.set_groups(ADA, "demo", add=["night"], remove=["ops"])
    with pytest.raises(Mistake, match="there is no role 'boss'"):
        await people.set_role(ADA, "demo", "boss")  # type: ignore[arg-type]


async def test_what_a_file_manages_is_changed_there(people: People, workspaces: Database) -> None:
    async with workspaces.write() as session:
        assert await people.provision(session, [DeclaredMember("demo", ADA)]) == set()
    managed = "what Ada@Example.com is in workspace 'demo' is managed by the configuration file; change it there"
    for change in (
        people.leave(ADA, "demo"),
        people.set_role(ADA, "demo", "owner"),
        people.set_groups(ADA, "demo", add=["ops"]),
    ):
        with pytest.raises(Mistake) as wrong:
            await change
        assert str(wrong.value) == managed
    with pytest.raises(Mistake, match=r"or keep them out with `portkey-mcp people disable Ada@Example.com`"):
        await people.remove(ADA)
    await people.disable(ADA)
    assert people.named(ADA) is None
