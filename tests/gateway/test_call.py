from portkey_mcp.gateway.call import Call
from portkey_mcp.model import Endpoint, Principal, Visit, Workspace
from portkey_mcp.wire import Json
from tests.gateway.house import ADA, BOB

TEAM = Workspace("team", "Team", {}, {})


def call(principal: Principal = ADA, name: str = "files", capabilities: Json | None = None) -> Call:
    visit = Visit(principal, Endpoint("server", TEAM, name))
    return Call(visit, 1, "tools/call", {"name": "x"}, "modern", "2026-07-28", capabilities or {}, {"name": "me"})


def test_equal_callers_are_introduced_alike() -> None:
    assert call().introduction == call().introduction
    assert (
        call(capabilities={"a": {}, "b": {}}).introduction.party
        == call(capabilities={"a": {}, "b": {}}).introduction.party
    )


def test_another_principal_endpoint_or_capability_is_another_party() -> None:
    parties = {
        call().introduction.party,
        call(BOB).introduction.party,
        call(name="mail").introduction.party,
        call(capabilities={"roots": {}}).introduction.party,
    }

    assert len(parties) == 4


def test_a_modern_client_is_introduced_without_a_version_to_shake_hands_with() -> None:
    assert call().introduction.version == ""
    assert call().introduction.client_info == {"name": "me"}


def test_the_same_caller_can_ask_something_else() -> None:
    other = call().about("tools/list", None)

    assert (other.method, other.params, other.visit, other.id) == ("tools/list", None, call().visit, 1)
