"""The parts together."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from portkey_mcp.oauth.tables import ClientRow, GrantRow, TokenRow
from tests.oauth.conftest import Asked, House, tokens

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("host", "issuer"),
    [
        ("gw.example", "https://gw.example"),
        ("files.example", "https://files.example"),
        ("Files.Example:443", "https://files.example"),
        ("evil.example", "https://gw.example"),
        ("", "https://gw.example"),
    ],
)
async def test_a1_the_host_header_only_chooses_among_what_is_configured(house: House, host: str, issuer: str) -> None:
    assert house.server.issuer_at(host) == issuer
    assert house.server.alias_of(host) == ("files.example" if "iles" in host else "")


async def test_tidying_forgets_grants_without_tokens_and_then_their_clients(house: House) -> None:
    async with house.signed_in() as browser:
        await tokens(browser, Asked(await house.registered(browser)))
    long_ago = datetime.now(UTC) - timedelta(days=400)
    async with house.database.write() as session:
        await session.execute(update(ClientRow).values(created=long_ago))
        await session.execute(update(GrantRow).values(created=long_ago))
    await house.server.tidy()
    assert await rows(house) == [1, 1, 2]

    await house.later(days=91).tidy()
    assert await rows(house) == [0, 0, 0]


async def rows(house: House) -> list[int]:
    async with house.database.read() as session:
        tables = (ClientRow, GrantRow, TokenRow)
        return [await session.scalar(select(func.count()).select_from(table)) or 0 for table in tables]


async def test_signing_in_makes_no_gateway_read_everybody_anew(house: House) -> None:
    """Only what ends is announced: everybody who is busy would pay for each sign-in of anybody."""
    async with house.signed_in() as browser:
        before = await house.database.revision()
        await tokens(browser, Asked(await house.registered(browser)))

    assert await house.database.revision() == before
