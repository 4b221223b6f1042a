"""Who may use a server: by person, by group, by the id of a key; a role opens nothing."""

from typing import Any

import pytest

from portkey_mcp.model import Access, McpServer, Principal, Workspace
from portkey_mcp.policy.access import access_of, access_problem, hidden_from, may_use, without

ADA = Principal(
    "person:ada", "Ada", "person", {"team": "member"}, own_groups={"other": ("ops",)}, email="ada@example.com"
)


def server(*people: str, groups: tuple[str, ...] = (), name: str = "files") -> McpServer:
    return McpServer("team", name, "http", access=Access(people, groups))


@pytest.mark.parametrize(
    ("who", "may"),
    [
        ({"email": "ada@example.com"}, True),
        ({"ident": "person:ada"}, True),
        ({"groups": ("ops",)}, True),
        ({"own_groups": {"team": ("ops",)}}, True),
        ({"own_groups": {"other": ("ops",)}}, False),
        ({"email": ""}, False),
        ({"email": "eve@example.com"}, False),
        ({"workspaces": {"team": "owner"}}, False),
        ({"ident": "key:0a"}, True),
        ({"ident": "key:0b"}, False),
        ({"ident": "person:eve", "credential": "key:0a"}, False),
        ({"ident": "local", "workspaces": {}, "everywhere": "admin"}, False),
    ],
)
def test_whoever_is_named_or_in_a_named_group_may_use_it_and_nobody_else(who: dict[str, Any], may: bool) -> None:
    one = {"ident": "person:somebody", "workspaces": {"team": "member"}, **who}
    principal = Principal(one.pop("ident"), "Somebody", "person", **one)
    files = server("ada@example.com", "person:ada", "key:0a", groups=("ops",))
    assert may_use(principal, "team", files) is may


def test_where_nobody_is_named_everybody_may_use_it_and_where_the_list_is_empty_nobody() -> None:
    assert may_use(ADA, "team", McpServer("team", "files", "http"))
    assert not may_use(ADA, "team", server())


def test_a_workspace_is_the_same_object_for_who_may_use_everything() -> None:
    team = Workspace("team", "Team", {"files": server("ada@example.com")}, {})
    assert without(team, hidden_from(ADA, team)) is team


def test_a_server_that_is_hidden_is_not_in_the_workspace() -> None:
    servers = {one.name: one for one in (server("eve@example.com"), server("ada@example.com", name="mail"))}
    team = Workspace("team", "Team", servers, {}, policy=object(), reviewed=3)
    seen = without(team, hidden_from(ADA, team))
    assert list(seen.servers) == ["mail"]
    assert (seen.slug, seen.policy, seen.reviewed) == ("team", team.policy, 3)


def test_access_is_compared_however_an_address_is_written_and_must_name_somebody() -> None:
    assert access_of((" Ada@Example.com",), ("ops",)) == Access(("ada@example.com",), ("ops",))
    assert access_of((), ()) is None
    assert access_problem(access_of(("ada@example.com", "key:0a"), ("ops",))) == access_problem(None) == ""
    assert access_problem(Access()).startswith("access names nobody")
    assert "is no name of a group" in access_problem(Access(groups=(" ",)))
