"""What is said to whoever called a server that wants an account."""

from portkey_mcp.model import McpServer, Principal
from portkey_mcp.proof import AccountAuth
from portkey_mcp.vault.words import needed

PAGE = "https://gw/connect/team/linear"
OWN = McpServer("team", "linear", "http", url="https://x", title="Linear", auth=AccountAuth())
SHARED = McpServer("team", "linear", "http", url="https://x", auth=AccountAuth(sharing="workspace"))
ADA = Principal("p1", "Ada", "person", {"team": "member"})
BOSS = Principal("p2", "Bo", "person", {"team": "admin"})
ROBOT = Principal("k1", "ci", "service", {"team": "admin"})


def test_a_person_is_sent_to_the_page_for_their_own_account() -> None:
    told = needed(OWN, ADA, PAGE, "It ended.")
    assert str(told) == (
        "Linear cannot be used: it needs an account of yours. It ended. "
        f"Open {PAGE} in a browser and connect it, then try again."
    )
    assert told.url == PAGE


def test_a_shared_account_is_connected_by_administrators_only() -> None:
    assert needed(SHARED, BOSS, PAGE).url == PAGE
    told = needed(SHARED, ADA, PAGE)
    assert told.url == ""
    assert str(told).endswith(f"Ask an administrator of the workspace to open {PAGE} and connect it.")


def test_a_service_account_is_told_what_would_help() -> None:
    for server in (OWN, SHARED):
        told = needed(server, ROBOT, PAGE)
        assert told.url == ""
        assert "A service account cannot connect one" in str(told)


def test_where_nobody_is_known_nothing_is_promised() -> None:
    assert str(needed(OWN, None, PAGE)) == "Linear cannot be used: it needs an account of yours."
