"""API keys: seen once, stored as a digest, verified from memory, and gone when revoked."""

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from portkey_mcp.errors import Mistake, Unauthenticated
from portkey_mcp.identity.keys import ApiKeys
from portkey_mcp.identity.people import People
from portkey_mcp.model import DeclaredKey, Principal, Role
from portkey_mcp.storage.database import FILE, Database

pytestmark = pytest.mark.anyio

GIVEN = "a-key-of-my-own-that-is-long-enough"
OTHER = "another-key-that-is-also-long-enough"


@pytest.fixture
async def keys(workspaces: Database) -> ApiKeys:
    return ApiKeys(workspaces, People(workspaces))


async def provision(database: Database, keys: ApiKeys, *declared: DeclaredKey) -> Collection[str]:
    async with database.write() as session:
        occupied = await keys.provision(session, declared)
    await keys.refresh()
    return occupied


async def test_a_key_is_random_and_stands_for_a_service_in_one_workspace(keys: ApiKeys) -> None:
    key = await keys.create("demo", "ci", "viewer")
    assert re.fullmatch(r"pk_[A-Za-z0-9_-]{40}", key)
    assert key != await keys.create("demo", "ci2")
    principal = await keys.verify(key)
    assert principal is not None
    assert (principal.name, principal.kind, principal.role_in("demo"), principal.role_in("other")) == (
        *("ci", "service", "viewer", None),
    )
    assert principal.id.startswith("key:")


async def test_a_key_is_nowhere_on_disk(keys: ApiKeys, workspaces: Database, tmp_path: Path) -> None:
    await keys.create("demo", "ci", key=GIVEN)
    await workspaces.close()
    assert GIVEN.encode() not in (tmp_path / FILE).read_bytes()


async def test_what_is_no_key_here_is_left_to_others_but_a_wrong_key_is_refused(keys: ApiKeys) -> None:
    assert await keys.verify("eyJhbGciOi.some.jwt") is None
    assert await keys.verify("\udcff") is None
    with pytest.raises(Unauthenticated, match=r"This API key is not known here: it is mistyped or was revoked\."):
        await keys.verify("pk_" + "x" * 40)


async def test_verifying_reads_no_database(keys: ApiKeys, workspaces: Database) -> None:
    key = await keys.create("demo", "ci")
    async with workspaces.write() as session:
        await session.execute(text("DROP TABLE api_keys"))
    assert await keys.verify(key) is not None


async def test_a_key_of_another_process_is_known_after_a_refresh(keys: ApiKeys, workspaces: Database) -> None:
    elsewhere = ApiKeys(workspaces, People(workspaces))
    assert await elsewhere.verify(GIVEN) is None
    await keys.create("demo", "ci", key=GIVEN)
    assert await elsewhere.verify(GIVEN) is None
    await elsewhere.refresh()
    assert await elsewhere.verify(GIVEN) is not None


async def test_a_revoked_key_opens_nothing(keys: ApiKeys) -> None:
    key = await keys.create("demo", "ci")
    await keys.revoke("demo", "ci")
    with pytest.raises(Unauthenticated):
        await keys.verify(key)
    with pytest.raises(Mistake, match="workspace 'demo' has no API key 'ci'"):
        await keys.revoke("demo", "ci")


async def test_an_expired_key_says_so(keys: ApiKeys) -> None:
    now = datetime.now(UTC)
    fresh = await keys.create("demo", "fresh", expires=now + timedelta(days=1))
    stale = await keys.create("demo", "stale", expires=now - timedelta(days=1))
    assert await keys.verify(fresh) is not None
    with pytest.raises(Unauthenticated, match=r"This API key has expired\."):
        await keys.verify(stale)


async def test_keys_are_listed_without_themselves(keys: ApiKeys) -> None:
    await keys.create("other", "b")
    await keys.create("demo", "a", "admin", key=GIVEN)
    assert [(key.workspace, key.name, key.role, key.origin) for key in await keys.all()] == [
        ("demo", "a", "admin", "cli"),
        ("other", "b", "member", "cli"),
    ]
    [shown] = await keys.all("demo")
    assert GIVEN not in repr(shown)
    assert shown.created.tzinfo is not None
    assert shown.last_used is None


async def test_use_is_written_when_asked_and_wakes_nobody(keys: ApiKeys, workspaces: Database) -> None:
    await keys.verify(await keys.create("demo", "ci"))
    revision = await workspaces.revision()
    await keys.record_use()
    await keys.record_use()
    [shown] = await keys.all()
    assert shown.last_used is not None
    assert shown.last_used >= shown.created
    assert await workspaces.revision() == revision


@pytest.mark.parametrize(
    ("workspace", "name", "role", "key", "problem"),
    [
        ("nowhere", "x", "member", None, "there is no workspace 'nowhere'"),
        (
            "demo",
            "ci",
            "member",
            None,
            "workspace 'demo' has an API key 'ci' already; revoke it or choose another",
        ),
        (
            *("demo", "x", "member", GIVEN),
            "workspace 'demo', API key 'x': the same key is in use as 'ci' of workspace 'demo'; each needs its own",
        ),
        (
            *("demo", "x", "member", "short"),
            "workspace 'demo', API key 'x': the key has 5 characters; expected at least 20",
        ),
        (
            *("demo", "x", "boss", None),
            "workspace 'demo', API key 'x': there is no role 'boss'; expected one of owner, admin, member, viewer",
        ),
    ],
)
async def test_a_key_that_cannot_be_is_refused_in_words(
    keys: ApiKeys, workspace: str, name: str, role: Role, key: str | None, problem: str
) -> None:
    await keys.create("demo", "ci", key=GIVEN)
    with pytest.raises(Mistake) as wrong:
        await keys.create(workspace, name, role, key=key)
    assert str(wrong.value) == problem
    assert len(await keys.all()) == 1


async def test_declared_keys_come_change_and_go_with_the_file(keys: ApiKeys, workspaces: Database) -> None:
    assert await provision(workspaces, keys, DeclaredKey("demo", "ci", GIVEN)) == set()
    before = await keys.verify(GIVEN)
    await provision(workspaces, keys, DeclaredKey("demo", "ci", OTHER, "admin"))
    after = await keys.verify(OTHER)
    assert await keys.verify(GIVEN) is None
    assert before is not None
    assert after is not None
    assert (before.id, before.role_in("demo")) == (after.id, "member")
    assert after.role_in("demo") == "admin"
    await provision(workspaces, keys)
    assert await keys.all() == []


async def test_a_key_may_move_to_another_name_in_the_file(keys: ApiKeys, workspaces: Database) -> None:
    await provision(workspaces, keys, DeclaredKey("demo", "old", GIVEN))
    await provision(workspaces, keys, DeclaredKey("demo", "new", GIVEN))
    assert [key.name for key in await keys.all()] == ["new"]


async def test_keys_made_by_hand_stay_and_hold_their_workspace(keys: ApiKeys, workspaces: Database) -> None:
    await keys.create("other", "mine", key=OTHER)
    assert await provision(workspaces, keys, DeclaredKey("demo", "ci", GIVEN)) == {"other"}
    assert await provision(workspaces, keys) == {"other"}
    assert await keys.verify(OTHER) is not None


async def test_a_file_takes_over_no_key_made_by_hand(keys: ApiKeys, workspaces: Database) -> None:
    await keys.create("demo", "ci", key=OTHER)
    with pytest.raises(Mistake) as wrong:
        await provision(workspaces, keys, DeclaredKey("demo", "ci", GIVEN))
    assert str(wrong.value) == (
        "workspace 'demo': the API key 'ci' was made by hand; revoke it, or choose another name in the file"
    )
    with pytest.raises(Mistake, match="the same key is in use as 'ci' of workspace 'demo'"):
        await provision(workspaces, keys, DeclaredKey("demo", "x", OTHER))


async def test_a_key_of_a_file_is_not_revoked_by_hand(keys: ApiKeys, workspaces: Database) -> None:
    await provision(workspaces, keys, DeclaredKey("demo", "ci", GIVEN))
    with pytest.raises(Mistake, match="API key 'ci' is managed by the configuration file; remove it there"):
        await keys.revoke("demo", "ci")


@pytest.fixture
async def people(workspaces: Database) -> People:
    people = People(workspaces)
    await people.add("ada@example.com", "Ada", workspace="demo", role="admin", groups=["ops"])
    await people.add("ada@example.com", workspace="other", role="owner", groups=["board"])
    return people


@pytest.fixture
def own(workspaces: Database, people: People) -> ApiKeys:
    return ApiKeys(workspaces, people)


async def verified(keys: ApiKeys, key: str) -> Principal:
    principal = await keys.verify(key)
    assert principal is not None
    return principal


async def test_a_persons_key_is_the_person_in_its_workspace_alone(own: ApiKeys, people: People) -> None:
    key = await own.create("demo", "laptop", person="ADA@example.com")
    ada, principal, [shown] = people.named("ada@example.com"), await verified(own, key), await own.all()
    assert ada is not None
    assert (principal.id, principal.name, principal.kind) == (ada.id, "Ada", "person")
    assert (principal.workspaces, principal.groups_in("demo"), principal.groups_in("other")) == (
        *({"demo": "admin"}, ("ops",), ()),
    )
    assert principal.credential == shown.id
    assert (shown.person, shown.role) == ("ada@example.com", "admin")


@pytest.mark.parametrize(("given", "role"), [(None, "admin"), ("owner", "admin"), ("viewer", "viewer")])
async def test_a_persons_key_may_do_less_than_the_person_but_never_more(
    own: ApiKeys, given: Role | None, role: Role
) -> None:
    key = await own.create("demo", "laptop", given, person="ada@example.com")
    assert (await verified(own, key)).role_in("demo") == role
    assert [shown.role for shown in await own.all("demo")] == [role]


async def test_a_persons_key_changes_with_the_person(own: ApiKeys, people: People) -> None:
    key = await own.create("demo", "laptop", person="ada@example.com")
    await people.set_role("ada@example.com", "demo", "viewer")
    await people.set_groups("ada@example.com", "demo", add=["night"], remove=["ops"])
    principal = await verified(own, key)
    assert (principal.role_in("demo"), principal.groups_in("demo")) == ("viewer", ("night",))


async def test_a_persons_key_waits_while_the_person_is_kept_out(own: ApiKeys, people: People) -> None:
    key = await own.create("demo", "laptop", person="ada@example.com")
    await people.disable("ada@example.com")
    with pytest.raises(Unauthenticated, match="no member here any more, or is kept out"):
        await own.verify(key)
    [shown] = await own.all()
    assert await own.principal(shown.id) is None
    await people.enable("ada@example.com")
    assert await own.verify(key) == await own.principal(shown.id)


async def test_a_persons_key_ends_with_the_membership_and_with_the_person(own: ApiKeys, people: People) -> None:
    here = await own.create("demo", "laptop", person="ada@example.com")
    there = await own.create("other", "laptop", person="ada@example.com")
    await people.leave("ada@example.com", "demo")
    with pytest.raises(Unauthenticated):
        await own.verify(here)
    assert (await verified(own, there)).workspaces == {"other": "owner"}
    await people.remove("ada@example.com")
    with pytest.raises(Unauthenticated):
        await own.verify(there)
    assert await own.all() == []
    await people.add("ada@example.com", workspace="other")
    await own.refresh()
    with pytest.raises(Unauthenticated):
        await own.verify(there)


async def test_the_use_of_a_persons_key_is_the_keys(own: ApiKeys, people: People) -> None:
    await own.create("demo", "unused", person="ada@example.com")
    await own.verify(await own.create("demo", "used", person="ada@example.com"))
    await own.record_use()
    assert [(key.name, key.last_used is not None) for key in await own.all()] == [("unused", False), ("used", True)]


async def test_only_members_have_keys_of_a_workspace(own: ApiKeys, people: People) -> None:
    await people.leave("ada@example.com", "other")
    with pytest.raises(Mistake, match=r"ada@example.com is no member of workspace 'other'"):
        await own.create("other", "laptop", person="ada@example.com")
    with pytest.raises(Mistake, match=r"there is no person 'bob@example.com'"):
        await own.create("demo", "laptop", person="bob@example.com")


async def test_service_accounts_are_found_by_the_id_of_their_key(keys: ApiKeys) -> None:
    key = await keys.create("demo", "ci")
    principal = await verified(keys, key)
    assert await keys.principal(principal.id) == principal
    assert await keys.principal("key:none") is None


async def test_a_key_for_one_server_and_some_scopes_says_so_of_who_comes_with_it(own: ApiKeys, people: People) -> None:
    made = [
        await own.create("demo", "service", server="files", scopes=["mcp:call", "mcp:read"]),
        await own.create("demo", "own", person="ada@example.com", server="files", scopes=["mcp:read"]),
        await own.create("demo", "whole", person="ada@example.com"),
    ]
    found = [await own.verify(key) for key in made]
    assert [(who.reach, who.scopes) for who in found if who is not None] == [
        ("demo/files", ("mcp:read", "mcp:call")),
        ("demo/files", ("mcp:read",)),
        (None, None),
    ]
    assert {key.name: (key.server, key.scopes) for key in await own.all("demo")} == {
        "service": ("files", ("mcp:read", "mcp:call")),
        "own": ("files", ("mcp:read",)),
        "whole": ("", None),
    }


@pytest.mark.parametrize("scopes", [["mcp:write"], ["mcp:read", "all"], []])
async def test_a_scope_that_there_is_not_is_no_scope_and_none_at_all_allows_nothing(
    keys: ApiKeys, scopes: list[str]
) -> None:
    with pytest.raises(Mistake, match=r"expected one or more of mcp:read, mcp:call"):
        await keys.create("demo", "ci", scopes=scopes)


async def test_what_a_file_says_of_a_key_holds_as_it_says_it_now(keys: ApiKeys, workspaces: Database) -> None:
    past, later = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(days=1)
    await provision(workspaces, keys, DeclaredKey("demo", "ci", GIVEN, "member", ("mcp:read",), "files", later))
    narrow = await keys.verify(GIVEN)
    assert narrow is not None
    assert (narrow.reach, narrow.scopes) == ("demo/files", ("mcp:read",))
    await provision(workspaces, keys, DeclaredKey("demo", "ci", GIVEN))
    wide = await keys.verify(GIVEN)
    assert wide is not None
    assert (wide.id, wide.reach, wide.scopes) == (narrow.id, None, None)
    await provision(workspaces, keys, DeclaredKey("demo", "ci", GIVEN, expires=past))
    with pytest.raises(Unauthenticated, match="expired"):
        await keys.verify(GIVEN)
