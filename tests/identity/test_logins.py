"""Who somebody from a provider is here: found by subject, linked with care, and a member as their groups say."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from portkey_mcp.errors import Forbidden, Mistake, StoreDown, Unauthenticated
from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.identity.claims import Subject
from portkey_mcp.identity.logins import Change, Entered
from portkey_mcp.identity.people import Membership
from portkey_mcp.model import DeclaredMember
from portkey_mcp.storage.database import Database
from portkey_mcp.trust import Joining, Provider

pytestmark = pytest.mark.anyio

ISSUER = "https://idp.example"
CORP = Provider("corp", ISSUER, "gateway", name="Corp")
ANN = Subject(ISSUER, "s-1", "ann@example.com", True, "Ann")


def joining(*rules: Joining, **more: Any) -> Provider:
    return replace(CORP, join=rules, **more)


def grouped(*groups: str) -> Subject:
    return replace(ANN, groups=groups)


@pytest.fixture
def identity(workspaces: Database) -> Identity:
    return Identity(workspaces)


async def memberships(identity: Identity, email: str = "ann@example.com") -> list[Membership]:
    return [one for person in await identity.people.all() if person.email == email for one in person.memberships]


async def refusal(identity: Identity, provider: Provider, subject: Subject) -> str:
    before = await identity.people.all()
    with pytest.raises(Forbidden) as caught:
        await identity.logins.enter(provider, subject)
    assert await identity.people.all() == before
    return str(caught.value)


async def test_whoever_comes_first_gets_an_account_and_is_the_same_one_again(identity: Identity) -> None:
    first = await identity.logins.enter(CORP, ANN)
    assert (first.made, first.principal.name, first.principal.email) == (True, "Ann", "ann@example.com")
    moved = replace(ANN, email="other@example.com", verified=False)
    assert await identity.logins.enter(CORP, moved) == Entered(first.principal)
    (person,) = await identity.people.all()
    assert (person.origin, person.has_password, person.email) == ("sso", False, "ann@example.com")


async def test_without_new_accounts_an_unknown_one_is_refused_and_a_known_one_linked(identity: Identity) -> None:
    strict = replace(CORP, create=False)
    assert "made by hand only" in await refusal(identity, strict, ANN)
    ident = await identity.people.add("Ann@Example.com")
    found = await identity.logins.enter(strict, ANN)
    assert (found.principal.id, found.linked, found.made) == (ident, True, False)
    assert (await identity.logins.enter(strict, ANN)).linked is False


@pytest.mark.parametrize("known", [True, False])
async def test_an_address_that_is_not_verified_neither_links_nor_makes(identity: Identity, known: bool) -> None:
    if known:
        await identity.people.add("ann@example.com")
    for subject in (replace(ANN, verified=False), replace(ANN, email="")):
        assert "verified" in await refusal(identity, CORP, subject)


async def test_an_account_that_somebody_made_themselves_does_not_wait_for_the_real_owner_of_its_address(
    identity: Identity,
) -> None:
    link, _ = await identity.invitations.invite("demo")
    await identity.invitations.make(link, email="ann@example.com", name="Not Ann", password="a hash")
    assert "nobody made sure" in await refusal(identity, CORP, ANN)


async def test_a_second_subject_of_an_issuer_does_not_get_the_account_of_the_first(identity: Identity) -> None:
    """The address was given to somebody else there."""
    await identity.logins.enter(CORP, ANN)
    assert "another account of Corp" in await refusal(identity, CORP, replace(ANN, subject="s-2"))


async def test_a_second_provider_is_linked_to_the_same_person(identity: Identity) -> None:
    first = await identity.logins.enter(CORP, ANN)
    other = replace(CORP, id="other", issuer="https://other.example")
    second = await identity.logins.enter(other, replace(ANN, issuer=other.issuer, subject="x"))
    assert (second.principal.id, second.linked) == (first.principal.id, True)
    same_subject = replace(ANN, issuer="https://third.example", email="eve@example.com")
    third = await identity.logins.enter(replace(CORP, issuer=same_subject.issuer), same_subject)
    assert third.principal.id != first.principal.id


@pytest.mark.parametrize("theirs", ["ann@stra\u00dfe.example", "\u212aim@example.com"])
async def test_letters_that_only_fold_alike_link_nobody(identity: Identity, theirs: str) -> None:
    """`ß` and `ss` compare alike, and so do a Kelvin sign and a `k`: different mailboxes all the same."""
    mine = {"ann@stra\u00dfe.example": "ann@strasse.example", "\u212aim@example.com": "kim@example.com"}[theirs]
    await identity.people.add(mine)
    assert await refusal(identity, CORP, replace(ANN, email=theirs))
    await identity.people.remove(mine)
    await identity.people.add(theirs)
    assert await refusal(identity, CORP, replace(ANN, email=mine))
    assert (await identity.logins.enter(CORP, replace(ANN, email=theirs))).linked


@pytest.mark.parametrize(
    "email",
    [
        "ann@sub.example.com",
        "ann@notexample.com",
        "ann@example.com.evil.example",
        "ann@example.co",
        "ann@e\u00b5ample.com",
        "ann@EXAMPLE.C\u014cM",
    ],
)
async def test_only_exactly_the_domains_of_the_list_are_let_in(identity: Identity, email: str) -> None:
    walled = replace(CORP, domains=("example.com", "strasse.example"))
    assert "not let in" in await refusal(identity, walled, replace(ANN, email=email))
    assert (await identity.logins.enter(walled, replace(ANN, email="ann@Example.COM"))).made


async def test_a_list_of_domains_holds_for_whoever_is_known_already_and_needs_a_verified_address(
    identity: Identity,
) -> None:
    await identity.logins.enter(CORP, ANN)
    walled = replace(CORP, domains=("corp.example", "strasse.example"))
    for subject in (ANN, replace(ANN, email="ann@corp.example", verified=False), replace(ANN, email="")):
        assert "let in" in await refusal(identity, walled, subject)
    assert await refusal(identity, walled, replace(ANN, email="ann@stra\u00dfe.example"))
    assert await identity.logins.enter(walled, replace(ANN, email="ann@corp.example"))


async def test_who_is_disabled_stays_out(identity: Identity) -> None:
    await identity.people.add("bob@example.com")
    await identity.logins.enter(CORP, ANN)
    for email, subject in (("ann", ANN), ("bob", replace(ANN, subject="s-2", email="bob@example.com"))):
        await identity.people.disable(f"{email}@example.com")
        assert "disabled" in await refusal(identity, CORP, subject)
    await identity.people.enable("ann@example.com")
    assert await identity.logins.enter(CORP, ANN)


async def test_groups_give_memberships_and_take_them_away_at_once(identity: Identity) -> None:
    provider = joining(
        Joining("demo", "viewer", ("readers",)),
        Joining("demo", "admin", ("admins",), ("ops", "root")),
        Joining("demo", "member", ("devs",), ("dev",)),
        Joining("other", "member", (), ("dev",)),
    )
    first = await identity.logins.enter(provider, grouped("dev", "ops"))
    assert first.principal.workspaces == {"demo": "admin", "other": "member"}
    assert first.principal.own_groups == {"demo": ("admins", "devs", "readers")}
    assert first.principal.groups == ("dev", "ops")
    assert first.principal.groups_in("other") == ("dev", "ops")
    assert {one.origin for one in await memberships(identity)} == {"sso"}
    second = await identity.logins.enter(provider, grouped("hr"))
    assert second.changes == (Change("other", None), Change("demo", "viewer", ("readers",)))
    found = identity.people.principal(first.principal.id)
    assert found == second.principal
    assert (found.workspaces, found.own_groups, found.groups) == ({"demo": "viewer"}, {"demo": ("readers",)}, ("hr",))


async def test_keys_of_a_member_outlive_a_change_of_role_and_end_with_the_membership(identity: Identity) -> None:
    provider = joining(Joining("demo", "member", (), ("dev",)), Joining("demo", "admin", (), ("ops",)))
    await identity.logins.enter(provider, grouped("dev"))
    key = await identity.create_key("demo", "own", person="ann@example.com")
    await identity.logins.enter(provider, grouped("ops"))
    principal = await identity.verify(key)
    assert principal is not None
    assert principal.role_in("demo") == "admin"
    await identity.logins.enter(provider, grouped())
    await identity.refresh()
    with pytest.raises(Unauthenticated):
        await identity.verify(key)


async def test_what_was_decided_by_hand_or_in_the_file_stays(identity: Identity, workspaces: Database) -> None:
    await identity.people.add("ann@example.com", workspace="demo", role="viewer", groups=["hand"])
    async with workspaces.write() as session:
        await identity.people.provision(session, [DeclaredMember("other", "ann@example.com", "viewer")])
    provider = joining(Joining("demo", "owner", ("x",)), Joining("other", "owner"))
    found = await identity.logins.enter(provider, grouped("ops"))
    assert (found.changes, found.principal.workspaces) == ((), {"demo": "viewer", "other": "viewer"})
    assert [one.origin for one in await memberships(identity)] == ["cli", "file"]
    await identity.logins.enter(CORP, ANN)
    assert len(await memberships(identity)) == 2


async def test_a_workspace_that_is_gone_is_left_out(identity: Identity) -> None:
    provider = joining(Joining("gone", "owner"), Joining("demo", "member"))
    found = await identity.logins.enter(provider, ANN)
    assert found.changes == (Change("demo", "member"),)
    assert found.principal.workspaces == {"demo": "member"}


async def test_what_sign_ins_decide_is_not_changed_by_hand_but_can_be_ended(identity: Identity) -> None:
    provider = joining(Joining("demo", "member"))
    await identity.logins.enter(provider, ANN)
    for change in (
        identity.people.set_role("ann@example.com", "demo", "owner"),
        identity.people.set_groups("ann@example.com", "demo", add=["x"]),
    ):
        with pytest.raises(Mistake, match="identity provider"):
            await change
    await identity.people.leave("ann@example.com", "demo")
    await identity.people.add("ann@example.com", workspace="demo", role="viewer")
    assert (await identity.logins.enter(provider, ANN)).principal.workspaces == {"demo": "viewer"}


async def test_the_file_takes_over_a_member_by_single_sign_on(identity: Identity, workspaces: Database) -> None:
    await identity.logins.enter(joining(Joining("demo", "admin"), Joining("other", "viewer")), ANN)
    async with workspaces.write() as session:
        occupied = await identity.people.provision(session, [DeclaredMember("demo", "ann@example.com", "viewer")])
    assert set(occupied) == set()
    assert [(one.role, one.origin) for one in await memberships(identity)] == [("viewer", "file"), ("viewer", "sso")]


async def test_a_sign_in_that_changes_nothing_is_announced_to_nobody(identity: Identity, workspaces: Database) -> None:
    provider = joining(Joining("demo", "member", (), ("dev",)))
    await identity.logins.enter(provider, grouped("dev"))
    before = await workspaces.revision()
    await identity.logins.enter(provider, grouped("dev"))
    assert await workspaces.revision() == before
    await identity.logins.enter(provider, grouped("dev", "hr"))
    assert await workspaces.revision() > before


async def test_two_processes_see_the_same_logins(identity: Identity, workspaces: Database) -> None:
    first = await identity.logins.enter(CORP, ANN)
    assert (await Identity(workspaces).logins.enter(CORP, ANN)).principal == first.principal


async def test_when_the_store_is_down_nobody_is_anybody(identity: Identity, workspaces: Database) -> None:
    await identity.logins.enter(CORP, ANN)
    async with workspaces.write() as session:
        await session.execute(text("ALTER TABLE logins RENAME TO gone"))
    with pytest.raises(StoreDown):
        await identity.logins.enter(CORP, ANN)


async def test_an_address_that_somebody_only_said_is_theirs_gets_nobodys_login(identity: Identity) -> None:
    for bound, linked in (("", False), ("ann@example.com", True)):
        token, _ = await identity.invitations.invite("demo", email=bound)
        await identity.invitations.make(token, email="ann@example.com", name="Mallory", password="a hash")
        if linked:
            assert (await identity.logins.enter(CORP, ANN)).linked
        else:
            assert "nobody made sure that it is theirs" in await refusal(identity, CORP, ANN)
            await identity.people.remove("ann@example.com")
