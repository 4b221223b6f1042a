from collections.abc import Mapping

import pytest

from portkey_mcp.errors import NotFound, Unauthenticated
from portkey_mcp.gateway.admission import Admission
from portkey_mcp.model import Endpoint, Principal, Visit, Workspace
from tests.gateway.house import ADA, EVE

pytestmark = pytest.mark.anyio

TEAM = Endpoint("hub", Workspace("team", "Team", {}, {}))


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
    assert Admission(by_header).enter(ADA, TEAM) == Visit(ADA, TEAM)


def test_an_endpoint_of_others_and_one_that_does_not_exist_look_alike() -> None:
    refusals = []
    for endpoint in (TEAM, None):
        with pytest.raises(NotFound) as caught:
            Admission(by_header).enter(EVE, endpoint)
        refusals.append(str(caught.value))

    assert refusals[0] == refusals[1]
