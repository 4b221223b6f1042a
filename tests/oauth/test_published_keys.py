"""The gateway's JWK set, as servers read it."""

import pytest
from sqlalchemy import text

from portkey_mcp.oauth.published_keys import HELD, PATH
from portkey_mcp.vault.signing import HEAD_START, SigningKeys
from portkey_mcp.vault.signing import HELD as HELD_KEYS
from tests.oauth.conftest import House
from tests.oauth.test_endpoints import SILENT, get, is_nothing

pytestmark = pytest.mark.anyio


async def test_the_key_set_is_empty_until_something_is_signed_and_then_may_be_held(house: House) -> None:
    nothing = await get(house, PATH)
    assert (nothing.json(), nothing.headers["cache-control"]) == ({"keys": []}, "public, max-age=0")
    key = await SigningKeys(house.database, house.keyring).current()
    found = await get(house, PATH)
    assert found.json() == {"keys": [key.public()]}
    assert "d" not in found.json()["keys"][0]
    assert found.headers["cache-control"] == f"public, max-age={HELD}"
    assert is_nothing(await get(house, PATH, SILENT))


def test_keys_are_published_long_before_they_sign() -> None:
    assert HELD + HELD_KEYS.total_seconds() < HEAD_START.total_seconds()


async def test_without_a_store_no_key_set_is_told(house: House) -> None:
    async with house.database.write() as session:
        await session.execute(text("DROP TABLE signing_keys"))
    answer = await get(house, PATH)
    assert (answer.status_code, answer.headers["cache-control"]) == (503, "no-store")


async def test_scripts_may_ask_for_it_and_nothing_is_below_it(house: House) -> None:
    async with house.browser() as client:
        asked = await client.options(PATH)
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, "*")
        assert (await client.head(PATH)).status_code == 200
        assert is_nothing(await client.get(f"{PATH}/mcp"))
