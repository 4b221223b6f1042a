"""Which account a caller uses at a server, and what proves it."""

from dataclasses import replace
from typing import Any

import pytest

from portkey_mcp.model import McpServer, Principal
from portkey_mcp.proof import AccountAuth, Auth, IdentityAuth, MachineAuth, OwnHeadersAuth
from portkey_mcp.sealing import KeyRing
from portkey_mcp.vault.accounts import MEMBERS, SERVICES, Accounts, Told, accounts_of
from portkey_mcp.vault.bearer import Bearer
from portkey_mcp.vault.connection import Place
from portkey_mcp.vault.entered import Entered
from portkey_mcp.vault.identity_tokens import IdentityTokens
from portkey_mcp.vault.signing import SigningKeys
from tests.vault.conftest import Keeping

pytestmark = pytest.mark.anyio

ADA = Principal("ada", "Ada", "person", {"demo": "member"}, email="ada@example.com")
BOB = Principal("bob", "Bob", "person", {"demo": "member"})
ROBOT = Principal("key:1", "ci", "service", {"demo": "admin"})
BOSS = Principal("bo", "Bo", "person", {"demo": "admin"})


def server(auth: Auth) -> McpServer:
    return McpServer("demo", "files", "http", url="https://files.example/mcp", auth=auth)


@pytest.fixture
async def accounts(keeping: Keeping) -> Accounts:
    means: Any = None  # nothing is proved here but by identity
    return Accounts(means, IdentityTokens(SigningKeys(keeping.database, KeyRing.generate()), "https://gateway.example"))


async def test_a28_people_have_an_account_each_and_share_what_the_workspace_shares(accounts: Accounts) -> None:
    own, shared, machine = server(AccountAuth()), server(AccountAuth(sharing="workspace")), server(MachineAuth())
    assert accounts.account(own, ADA) != accounts.account(own, BOB)
    assert accounts.account(shared, ADA) == accounts.account(shared, BOB) == MEMBERS
    assert accounts.account(shared, BOSS) == "", "who may connect it is told something else"
    assert accounts.account(shared, ROBOT) == SERVICES
    assert set(accounts_of(Place("demo", "files", ""))) == {"", MEMBERS, SERVICES}
    assert accounts_of(Place("demo", "files", "ada")) == ("ada",)
    assert accounts.account(machine, ADA) == accounts.account(machine, BOB) == ""


async def test_who_is_somebody_else_by_now_is_another_account_where_the_server_is_told_so(accounts: Accounts) -> None:
    told = server(IdentityAuth({"X-Groups": "groups"}))
    before, after = accounts.account(told, ADA), accounts.account(told, replace(ADA, groups=("ops",)))
    assert before != after
    assert accounts.account(told, replace(ADA)) == before


async def test_each_kind_is_proved_in_its_way(accounts: Accounts) -> None:
    assert isinstance(accounts.proof(server(AccountAuth()), ADA), Bearer)
    assert isinstance(accounts.proof(server(MachineAuth()), None), Bearer)
    assert isinstance(accounts.proof(server(OwnHeadersAuth({"X": "${person:x}"})), ADA), Entered)
    assert isinstance(accounts.proof(server(IdentityAuth({"X": "id"})), ADA), Told)


async def test_a_server_is_told_who_calls_and_nobody_tries_twice(accounts: Accounts) -> None:
    proof = accounts.proof(server(IdentityAuth({"X-User": "email"})), ADA)
    lines = await proof.lines("POST", "https://files.example/mcp")
    assert lines == b"X-User: ada@example.com\r\n"
    assert proof.ready("POST", "https://files.example/mcp") == lines
    assert not await proof.refused(lines, 401, {})
