"""Accounts at servers over the API: members their own, owners and admins all, and never what is in them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from portkey_mcp.vault.connection import Place
from tests.admin.conftest import House, house
from tests.vault.connecting_house import SECRETS
from tests.vault.connecting_house import House as Vault
from tests.vault.outside_server import outside_server

__all__ = ["house"]

pytestmark = pytest.mark.anyio


@pytest.fixture
async def vault(house: House, tmp_path: Path) -> AsyncIterator[Vault]:
    """The vault on the database of the API, with an authorization server."""
    async with outside_server() as outside:
        made = Vault(house.database, house.services.approvals._keyring, outside, directory=house.directory)
        made.serve()
        house.services = replace(house.services, connecting=made.connecting())
        yield made


async def listed(house: House, who: str, workspace: str = "demo") -> list[dict[str, Any]]:
    async with house.client(who) as client:
        answer = await client.get(f"/workspaces/{workspace}/connections")
    assert answer.status_code == 200, answer.text
    assert not [secret for secret in SECRETS if secret in answer.text]
    found: list[dict[str, Any]] = answer.json()
    return found


async def removed(house: House, who: str, server: str, subject: str) -> tuple[int, Any]:
    async with house.client(who) as client:
        answer = await client.delete(f"/workspaces/demo/connections/{server}/{subject}")
    return answer.status_code, answer.json()


async def test_members_see_their_own_accounts_and_admins_all(house: House, vault: Vault) -> None:
    ada, bob = await house.person("ada"), await house.person("bob")
    for subject in (ada, bob, ""):
        await vault.keep("linear", subject, scopes=("read",))

    assert [one["subject"] for one in await listed(house, "bob")] == ["bob@example.com"]
    told = {one["subject"]: one for one in await listed(house, "boss")}
    assert set(told) == {"workspace", "ada@example.com", "bob@example.com"}
    one = told["ada@example.com"]
    assert one.pop("created")
    assert one == {
        "server": "linear",
        "subject": "ada@example.com",
        "subject_id": ada,
        "issuer": vault.outside.origin,
        "scopes": ["read"],
        "wanted": [],
        "state": "good",
        "why": "",
        "connected_by": "ada@example.com",
        "refreshed": None,
        "expires": None,
    }


async def test_an_account_that_ended_says_why_and_what_is_wanted(house: House, vault: Vault) -> None:
    ada = await house.person("ada")
    kept, connections = await vault.keep("linear", ada), vault.connecting().connections
    await connections.want(kept.place, ["admin"])
    await connections.end(kept.place, kept.generation, "invalid_grant")

    [one] = await listed(house, "ada")
    assert (one["state"], one["why"], one["wanted"]) == ("ended", "invalid_grant", ["admin"])


async def test_an_account_is_disconnected_by_its_person_or_an_admin_and_revoked(house: House, vault: Vault) -> None:
    ada, bob = await house.person("ada"), await house.person("bob")
    for subject in (ada, bob, ""):
        await vault.keep("linear", subject)
    await vault.keep("files", bob)

    assert (await removed(house, "bob", "linear", "ada@example.com"))[0] == 404
    assert (await removed(house, "bob", "linear", "workspace"))[0] == 404
    assert (await removed(house, "bob", "linear", "nobody@example.com"))[0] == 404
    gone = {"removed": "linear/bob@example.com", "revoked": True}
    assert await removed(house, "bob", "linear", "bob@example.com") == (200, gone)
    assert (await removed(house, "boss", "linear", ada))[0] == 200
    assert (await removed(house, "boss", "linear", "workspace"))[0] == 200
    assert [one.place for one in await vault.connecting().connections.of_workspace("demo")] == [
        Place("demo", "files", bob)
    ]
    acts = [act for act in house.acts if act.act == "disconnect"]
    assert [(act.workspace, act.subject) for act in acts] == [("demo", "linear")] * 3
    assert sum(one.path == "/revoke" for one in vault.outside.heard) == 6


async def test_accounts_of_another_workspace_are_not_there(house: House, vault: Vault) -> None:
    await vault.keep("linear", await house.person("ada"))
    async with house.client("ada") as client:
        assert (await client.get("/workspaces/other/connections")).status_code == 404


async def test_where_there_are_no_accounts_there_are_none(house: House) -> None:
    assert await listed(house, "boss") == []
    assert (await removed(house, "boss", "linear", "workspace"))[0] == 404
