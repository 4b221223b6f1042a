"""Who may connect an account where, and which one still fits."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from portkey_mcp.model import Access, Directory, McpServer, Principal, Workspace
from portkey_mcp.proof import AccountAuth, Auth, MachineAuth, OwnHeadersAuth
from portkey_mcp.vault.connectable import connect_problem, fits, place_for, server_for
from portkey_mcp.vault.connection import Connection, Credential, Place, State, Tokens
from tests.vault.connecting_house import ADA, BOB, EVE, ROBOT

URL = "https://mcp.example/Mcp"
EACH, SHARED = AccountAuth(), AccountAuth(sharing="workspace")
HEADERS = OwnHeadersAuth({"X-Key": "${person:KEY}"})
LOCAL = Principal("local", "local", "local", everywhere="admin")


def server(auth: Auth | None, **more: object) -> McpServer:
    return replace(McpServer("demo", "linear", "http", URL, auth=auth), **more)  # type: ignore[arg-type]


def directory(one: McpServer) -> Directory:
    return Directory({"demo": Workspace("demo", "Demo", {"linear": one}, {})})


@pytest.mark.parametrize("auth", [EACH, SHARED, HEADERS])
def test_a_server_is_there_for_members_who_may_use_it(auth: Auth) -> None:
    here = directory(server(auth))
    assert server_for(here, BOB, "demo", "linear") is server_for(here, LOCAL, "demo", "linear") is not None


@pytest.mark.parametrize(
    ("one", "who"),
    [
        (server(EACH), EVE),
        (server(EACH, enabled=False), ADA),
        (server(EACH, access=Access(("bob@example.com",))), ADA),
        (server(None), ADA),
        (server(MachineAuth()), ADA),
    ],
)
def test_any_other_is_not_there(one: McpServer, who: Principal) -> None:
    assert server_for(directory(one), who, "demo", "linear") is None
    assert server_for(directory(one), who, "demo", "another") is None
    assert server_for(directory(one), who, "nowhere", "linear") is None


def test_everybody_connects_their_own_and_admins_the_one_for_all() -> None:
    assert [connect_problem(who, server(EACH)) for who in (ADA, BOB, LOCAL)] == ["", "", ""]
    assert [connect_problem(who, server(SHARED)) for who in (ADA, LOCAL)] == ["", ""]
    assert "an owner or admin connects" in connect_problem(BOB, server(SHARED))


def test_a_service_account_connects_none() -> None:
    assert "no browser" in connect_problem(ROBOT, server(EACH))
    assert "no browser" in connect_problem(ROBOT, server(SHARED))


def test_the_place_is_ones_own_or_the_workspaces() -> None:
    assert place_for(server(EACH), "person:ada") == Place("demo", "linear", "person:ada")
    assert place_for(server(SHARED), "person:ada") == Place("demo", "linear", "")


def connection(resource: str = "https://mcp.example/mcp", state: State = "good", **more: str) -> Connection:
    tokens = None if more else Tokens("token")
    credential = Credential(resource, tokens, entered=more)
    return Connection(Place("demo", "linear", "p"), credential, state, 1, "p", datetime.now(UTC))


def test_a28_an_account_fits_the_url_it_was_given_for_and_no_other() -> None:
    assert fits(connection(), server(EACH), URL)
    assert not fits(connection(), server(EACH), "https://other.example/mcp")
    assert not fits(connection(), server(EACH), "https://mcp.example/mcp/other")
    assert not fits(connection(state="ended"), server(EACH), URL)
    assert not fits(None, server(EACH), URL)


def test_an_account_of_another_kind_does_not_fit() -> None:
    assert fits(connection(KEY="k"), server(HEADERS), URL)
    assert not fits(connection(ORG="k"), server(HEADERS), URL)
    assert not fits(connection(KEY="k"), server(EACH), URL)
    assert not fits(connection(), server(HEADERS), URL)
    assert not fits(connection(), server(MachineAuth()), URL)
