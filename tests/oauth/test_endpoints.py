"""The endpoints that programs ask, as clients ask them."""

import pytest

from tests.oauth.conftest import Asked, House, tokens

pytestmark = pytest.mark.anyio


async def test_a_client_registers_is_let_in_and_gets_tokens_that_are_good_for_one_server(house: House) -> None:
    async with house.signed_in() as browser:
        told = await tokens(browser, Asked(await house.registered(browser)))

    principal = await house.principal(told["access_token"])
    assert (told["token_type"], told["scope"]) == ("Bearer", "mcp:read mcp:call")
    assert (principal.email, principal.reach, principal.workspaces) == (
        "ada@example.com",
        "demo/files",
        {"demo": "admin"},
    )
