"""Which header is read, which kind of credential is asked, and what a refusal says."""

import pytest

from portkey_mcp.errors import Unauthenticated
from portkey_mcp.identity.authenticate import LOCAL_ADMIN, Identity
from portkey_mcp.model import DeclaredKey, Principal
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
        "Authentication is required: send `Authorization: Bearer <API key>` or `x-portkey-api-key: <API key>`."
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
        assert await identity.provision_keys(session, [DeclaredKey("other", "file", "k" * 20)]) == {"demo"}
    await identity.refresh()
    assert (await identity.authenticate({"x-portkey-api-key": "k" * 20})).name == "file"
    await identity.record_use()
    assert [(key.name, key.last_used is not None) for key in await identity.list_keys()] == [
        ("ci", False),
        ("file", True),
    ]
    await identity.revoke_key("demo", "ci")
    assert [key.name for key in await identity.list_keys()] == ["file"]


def test_the_local_admin_is_an_admin_everywhere() -> None:
    assert LOCAL_ADMIN.role_in("anything") == "admin"
