"""What is handed from step to step."""

import pytest

from portkey_mcp.doctor.answer import Answer
from portkey_mcp.doctor.case import Case
from portkey_mcp.doctor.fetch import fetching
from portkey_mcp.doctor.target import target
from tests.doctor.examined import TRUST

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("challenged", "resource", "server", "wanted"),
    [
        ("a b", ["c"], ["a"], "a b"),
        ("a", [], ["offline_access"], "a offline_access"),
        ("", ["c", "d"], ["offline_access"], "c d offline_access"),
        ("", ["offline_access"], ["offline_access"], "offline_access"),
        ("", None, None, ""),
    ],
)
async def test_k9_the_scope_is_the_challenge_s_else_the_resource_s_and_offline_access_where_it_is_offered(
    challenged: str, resource: object, server: object, wanted: str
) -> None:
    async with fetching(TRUST, 1) as fetch:
        case = Case(target("https://h/mcp"), fetch, scope=challenged)
    case.resource, case.metadata = {"scopes_supported": resource}, {"scopes_supported": server, "token_endpoint": "t"}
    case.spend("it", Answer("u", seconds=2.0))

    assert case.wanted_scope == wanted
    assert (case.endpoint("token_endpoint"), case.endpoint("registration_endpoint")) == ("t", "")
    assert [(one.what, one.seconds) for one in case.spent] == [("it", 2.0)]
