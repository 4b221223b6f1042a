"""Which header is read, which kind of credential is asked, and what a refusal says."""

import pytest
from sqlalchemy import text

from portkey_mcp.errors import StoreDown, Unauthenticated
from portkey_mcp.identity.authenticate import LOCAL_ADMIN, Identity
from portkey_mcp.model import DeclaredKey, DeclaredMember, Principal
from portkey_mcp.storage.database import Database

pytestmark = pytest.mark.anyio

PERSON = Principal("person:ada", "Ada", "person", {"demo": "owner"})


async def tokens(credential: str) -> Principal | None:
    """A kind of credential that a later room brings."""
    if credential == "token-of-ada":
        return PERSON
    if credential.startswith("token-"):
        raise Unauthenticated("The token has expired.")
    return None


@pytest.fixture
async def identity(workspaces: Database) -> Identity:
    return Identity(workspaces, tokens)


async def test_a_key_is_taken_from_either_header(identity: Identity) -> None:
    key = await identity.create_key("demo", "ci")
    for headers in (
        {"authorization": f"Bearer {key}"},
        {"authorization": f"bearer  {key} "},
        {"x-portkey-api-key": key},
        {"authorization": "Basic abc", "x-portkey-api-key": key},
        {"authorization": "Bearer somebody-elses", "x-portkey-api-key": key},
    ):
        assert (await identity.authenticate(headers)).name == "ci"


async def test_bearer_is_asked_before_the_own_header(identity: Identity) -> None:
    key = await identity.create_key("demo", "ci")
    headers = {"authorization": "Bearer token-of-ada", "x-portkey-api-key": key}
    assert await identity.authenticate(headers) == PERSON


async def test_a_kind_that_knows_a_credential_and_refuses_it_has_the_last_word(identity: Identity) -> None:
    key = await identity.create_key("demo", "ci")
    with pytest.raises(Unauthenticated, match=r"The token has expired\."):
        await identity.authenticate({"authorization": "Bearer token-old", "x-portkey-api-key": key})


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": ""}, {"authorization": "Basic YTpi"}, {"authorization": "Bearer "}]
)
async def test_without_a_credential_the_refusal_says_how_to_send_one(
    identity: Identity, headers: dict[str, str]
) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await identity.authenticate(headers)
    assert str(refused.value) == (
        "Authentication is required: sign in, or send `Authorization: Bearer <API key>` or "
        "`x-portkey-api-key: <API key>`."
    )


async def test_a_credential_that_nobody_knows_is_refused_without_repeating_it(identity: Identity) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await identity.authenticate({"authorization": "Bearer mystery"})
    assert str(refused.value) == "The credential is not valid here."


async def test_keys_are_listed_revoked_and_provisioned_through_identity(
    identity: Identity, workspaces: Database
) -> None:
    await identity.create_key("demo", "ci")
    async with workspaces.write() as session:
        assert await identity.provision(session, [DeclaredKey("other", "file", "k" * 20)]) == {"demo"}
    await identity.refresh()
    assert (await identity.authenticate({"x-portkey-api-key": "k" * 20})).name == "file"
    await identity.record_use()
    assert [(key.name, key.last_used is not None) for key in await identity.list_keys()] == [
        ("ci", False),
        ("file", True),
    ]
    await identity.revoke_key("demo", "ci")
    assert [key.name for key in await identity.list_keys()] == ["file"]


async def test_a_declared_members_key_goes_with_the_member_and_holds_no_workspace(
    identity: Identity, workspaces: Database
) -> None:
    async with workspaces.write() as session:
        members = [DeclaredMember("demo", "ada@example.com")]
        assert await identity.provision(session, [], members) == set()
    key = await identity.create_key("demo", "laptop", person="ada@example.com")
    assert (await identity.authenticate({"x-portkey-api-key": key})).workspaces == {"demo": "member"}
    async with workspaces.write() as session:
        assert await identity.provision(session, []) == set()
    await identity.refresh()
    with pytest.raises(Unauthenticated):
        await identity.authenticate({"x-portkey-api-key": key})
    assert await identity.list_keys() == []


async def test_everybody_is_service_accounts_and_people_who_are_not_kept_out(identity: Identity) -> None:
    await identity.create_key("demo", "ci", "viewer")
    for name in ("ada", "bob", "eve"):
        await identity.people.add(f"{name}@example.com", name.title(), workspace="demo", groups=["ops"])
    await identity.people.disable("bob@example.com")
    await identity.people.leave("eve@example.com", "demo")
    await identity.create_key("demo", "laptop", person="ada@example.com")
    everybody = await identity.everybody("demo")
    assert [(one.name, one.kind, one.role_in("demo")) for one in everybody] == [
        ("ci", "service", "viewer"),
        ("Ada", "person", "member"),
    ]
    assert everybody[0] == await identity.key_principal(everybody[0].id)


async def test_people_sign_in_by_password_and_are_found_by_id(identity: Identity, workspaces: Database) -> None:
    assert await identity.is_empty()
    made = await identity.passwords.hashed("correct horse battery")
    ident = await identity.people.add("ada@example.com", workspace="demo", password=made)
    assert not await identity.is_empty()
    ada = await identity.check_password("Ada@Example.com", "correct horse battery", "192.0.2.1")
    assert ada == await identity.principal(ident)
    assert ada == await Identity(workspaces).principal(ident)  # of another process, which reads when it is first asked
    await identity.people.remove("ada@example.com")
    assert await identity.principal(ident) is None
    assert await identity.is_empty()


async def test_a_store_that_is_down_says_so(identity: Identity, workspaces: Database) -> None:
    async with workspaces.write() as session:
        await session.execute(text("ALTER TABLE people RENAME TO gone"))
    with pytest.raises(StoreDown, match="people cannot be read: OperationalError"):
        await identity.is_empty()
    with pytest.raises(StoreDown, match="people cannot be read: OperationalError"):
        await identity.check_password("ada@example.com", "correct horse battery", "")
    with pytest.raises(StoreDown, match="people cannot be read: OperationalError"):
        await identity.principal("person:1")


def test_the_local_admin_is_an_admin_everywhere() -> None:
    assert LOCAL_ADMIN.role_in("anything") == "admin"
