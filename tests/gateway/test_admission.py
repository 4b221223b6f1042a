"""Who has no credential is nobody, and who has one enters where it is good, for what it was granted."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from portkey_mcp.errors import NotFound, ScopeNeeded, Unauthenticated
from portkey_mcp.gateway.admission import Admission, check_scope, reaches
from portkey_mcp.model import Endpoint, Principal, Visit, Workspace
from tests.gateway.house import ADA, EVE

pytestmark = pytest.mark.anyio

TEAM = Endpoint("hub", Workspace("team", "Team", {}, {}))
PLACE = ("team",)


async def by_header(headers: Mapping[str, str]) -> Principal:
    if headers.get("x-portkey-api-key") != "pk_ada":
        raise Unauthenticated("Who are you?")
    return ADA


async def test_who_has_a_credential_is_known() -> None:
    assert await Admission(by_header).admit({"x-portkey-api-key": "pk_ada"}) is ADA


async def test_who_has_none_is_not() -> None:
    with pytest.raises(Unauthenticated):
        await Admission(by_header).admit({})


def test_a_member_enters() -> None:
    assert Admission(by_header).enter(ADA, TEAM, PLACE) == Visit(ADA, TEAM)


def test_an_endpoint_of_others_and_one_that_does_not_exist_look_alike() -> None:
    refusals = []
    for endpoint in (TEAM, None):
        with pytest.raises(NotFound) as caught:
            Admission(by_header).enter(EVE, endpoint, PLACE)
        refusals.append(str(caught.value))

    assert refusals[0] == refusals[1]


@pytest.mark.parametrize(
    ("reach", "places"),
    [
        (None, [(), ("team",), ("team", "files"), ("other",)]),
        ("team", [(), ("team",), ("team", "files"), ("team", "filesystem")]),
        ("team/files", [("team", "files")]),
        ("tea", [()]),
    ],
)
def test_a_credential_is_good_in_its_workspace_or_at_its_endpoint(
    reach: str | None, places: list[tuple[str, ...]]
) -> None:
    everywhere = [(), ("team",), ("team", "files"), ("team", "filesystem"), ("other",), ("other", "files")]
    reached = [place for place in everywhere if reaches(replace(ADA, reach=reach), place)]

    assert reached == (everywhere if reach is None else places)


@pytest.mark.parametrize("endpoint", [TEAM, None])
def test_a4_a_token_for_another_endpoint_is_no_credential_here_whether_there_is_one_or_not(
    endpoint: Endpoint | None,
) -> None:
    token = replace(ADA, client="some app", reach="team/files")
    with pytest.raises(Unauthenticated, match="issued for another MCP endpoint"):
        Admission(by_header).enter(token, endpoint, PLACE)


def test_a_key_for_one_server_finds_nothing_elsewhere() -> None:
    with pytest.raises(NotFound):
        Admission(by_header).enter(replace(ADA, reach="team/files"), TEAM, PLACE)


@pytest.mark.parametrize("method", ["tools/call", "tasks/cancel", "vendor/act", "Tools/list", ""])
def test_a3_what_may_act_takes_the_scope_for_it_and_the_challenge_names_all_that_it_takes(method: str) -> None:
    with pytest.raises(ScopeNeeded) as needed:
        check_scope(replace(ADA, scopes=("mcp:read",)), method)
    assert needed.value.scopes == ("mcp:read", "mcp:call")

    check_scope(replace(ADA, scopes=("mcp:call",)), method)
    check_scope(ADA, method)


def test_reading_is_included_in_calling() -> None:
    for scopes in (("mcp:read",), ("mcp:call",)):
        check_scope(replace(ADA, scopes=scopes), "resources/read")
    with pytest.raises(ScopeNeeded) as needed:
        check_scope(replace(ADA, scopes=()), "resources/read")
    assert needed.value.scopes == ("mcp:read",)
