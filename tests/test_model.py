import pytest

from portkey_mcp.model import Endpoint, EndpointKind, Introduction, McpServer, Principal, Workspace

TEAM = Workspace("team", "Team", {}, {})


def test_a_servers_key_is_unique_in_the_gateway() -> None:
    assert McpServer("team", "files", "stdio").key == "team/files"


@pytest.mark.parametrize(
    ("kind", "name", "path"),
    [("server", "files", "team/files"), ("bundle", "reading", "team/reading"), ("hub", "", "team"), ("root", "", "")],
)
def test_an_endpoint_knows_its_path(kind: EndpointKind, name: str, path: str) -> None:
    assert Endpoint(kind, TEAM, name).path == path


def test_a_principal_has_a_role_only_where_it_is_a_member() -> None:
    robot = Principal("key:1", "robot", "service", {"team": "viewer"})

    assert robot.role_in("team") == "viewer"
    assert robot.role_in("other") is None


def test_a_local_admin_has_its_role_everywhere() -> None:
    assert Principal("local", "local", "local", everywhere="admin").role_in("any") == "admin"


def test_introductions_of_one_party_are_one_key() -> None:
    first = Introduction("party", "key:1", {"roots": {}}, {"name": "a"}, "2025-11-25")

    assert len({first, Introduction("party", "key:1", {}, {}, "2025-11-25")}) == 1
