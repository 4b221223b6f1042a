"""Clients that register themselves."""

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from portkey_mcp.oauth import registration
from portkey_mcp.oauth.client import digest_of
from portkey_mcp.oauth.refusal import OAuthRefusal
from portkey_mcp.oauth.registration import NEW_EACH, Registration
from portkey_mcp.oauth.tables import ClientRow
from portkey_mcp.trust import Terms
from tests.oauth.conftest import REDIRECT, Asked, House, tokens

pytestmark = pytest.mark.anyio

CLAUDE: dict[str, Any] = {
    "client_name": "Claude",
    "redirect_uris": ["https://claude.ai/api/mcp/auth_callback"],
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
    "scope": "mcp:read mcp:call",
    "client_uri": "https://claude.ai",
    "contacts": ["mcp@claude.example"],
    "software_id": "claude",
    "application_type": "web",
}
METHOD = "token_endpoint_auth_method"
HOME = "192.0.2.1"


def registrar(house: House, clock: Callable[[], float] = lambda: 0.0) -> Registration:
    return Registration(house.database, lambda: house.trust.terms, clock)


async def refused(house: House, **said: Any) -> OAuthRefusal:
    with pytest.raises(OAuthRefusal) as refusal:
        await registrar(house).register({**CLAUDE, **said}, HOME)
    return refusal.value


async def count(house: House) -> int:
    async with house.database.read() as session:
        return await session.scalar(select(func.count()).select_from(ClientRow)) or 0


async def age(house: House, days: float) -> None:
    then = datetime.now(UTC) - timedelta(days=days)
    async with house.database.write() as session:
        await session.execute(update(ClientRow).values(created=then, last_used=None))


async def test_a16_a_public_client_is_told_all_it_said(house: House) -> None:
    told = await registrar(house).register(CLAUDE, HOME)

    assert {name: told[name] for name in CLAUDE} == CLAUDE | {"client_uri": told["client_uri"]}
    assert told["client_uri"].rstrip("/") == "https://claude.ai"
    assert "client_secret" not in told
    assert "client_secret_expires_at" not in told
    assert isinstance(told["client_id_issued_at"], int)


@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic", None])
async def test_a16_k5_a_confidential_one_gets_a_secret_that_does_not_expire(house: House, method: str | None) -> None:
    said = {name: value for name, value in CLAUDE.items() if name != METHOD}
    told = await registrar(house).register({**said, **({} if method is None else {METHOD: method})}, HOME)

    assert type(told["client_secret_expires_at"]) is int
    assert told["token_endpoint_auth_method"] == (method or "client_secret_basic")
    async with house.database.read() as session:
        row = await session.get_one(ClientRow, told["client_id"])
    assert row.secret == digest_of(told["client_secret"])
    assert told["client_secret"] not in str(row.said)


async def test_k5_the_same_public_client_is_the_same_client(house: House) -> None:
    once = await registrar(house).register(CLAUDE, HOME)
    again = await registrar(house).register({**CLAUDE, "unknown": 1}, "192.0.2.2")

    assert once == again
    assert await count(house) == 1


async def test_k5_one_that_says_anything_else_is_another(house: House) -> None:
    for said in ({}, {"client_name": "Claude Two"}, {"redirect_uris": [REDIRECT]}, {"scope": "mcp:read"}):
        await registrar(house).register({**CLAUDE, **said}, HOME)

    assert await count(house) == 4


async def test_two_confidential_clients_never_share_a_secret(house: House) -> None:
    said = {**CLAUDE, "token_endpoint_auth_method": "client_secret_post"}
    one, other = [await registrar(house).register(said, HOME) for _ in range(2)]

    assert one["client_id"] != other["client_id"]
    assert one["client_secret"] != other["client_secret"]


async def test_a16_an_address_that_registers_too_many_new_clients_has_to_wait(house: House) -> None:
    now = 0.0
    desk = registrar(house, lambda: now)
    for number in range(NEW_EACH):
        await desk.register({**CLAUDE, "client_name": f"App {number}"}, HOME)
    now = 600.0
    with pytest.raises(OAuthRefusal) as flood:
        await desk.register({**CLAUDE, "client_name": "One more"}, HOME)

    assert (flood.value.status, flood.value.retry_after) == (429, 3001)
    assert (await desk.register({**CLAUDE, "client_name": "App 7"}, HOME))["client_name"] == "App 7"
    assert await desk.register({**CLAUDE, "client_name": "One more"}, "192.0.2.2")
    now = 3600.0
    assert await desk.register({**CLAUDE, "client_name": "Later"}, HOME)


async def test_a16_of_too_many_clients_that_nobody_uses_the_oldest_is_forgotten(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "MOST_CLIENTS", 2)
    desk = registrar(house)
    idents = [await desk.register({**CLAUDE, "client_name": f"App {n}"}, HOME) for n in range(3)]

    for told in idents[1:]:
        assert (await house.server.clients.find(told["client_id"])).name == told["client_name"]
    with pytest.raises(OAuthRefusal, match="not known here"):
        await house.server.clients.find(idents[0]["client_id"])


async def test_clients_that_are_used_do_not_count(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "MOST_CLIENTS", 1)
    async with house.signed_in() as browser:
        await tokens(browser, Asked(await house.registered(browser)))
        assert await house.registered(browser, client_name="Another")


async def test_addresses_are_forgotten_after_an_hour(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "MOST_ADDRESSES", 2)
    now = 0.0
    desk = registrar(house, lambda: now)
    desk._new["192.0.2.200"] = deque()
    for number in range(4):
        now += 2000.0
        await desk.register({**CLAUDE, "client_name": f"App {number}"}, f"192.0.2.{number}")

    assert set(desk._new) == {"192.0.2.2", "192.0.2.3"}


async def test_a16_what_nobody_uses_is_forgotten(house: House) -> None:
    desk = registrar(house)
    await desk.register(CLAUDE, HOME)
    await age(house, 29)
    await desk.tidy()
    assert await count(house) == 1

    await age(house, 31)
    await desk.tidy()
    assert await count(house) == 0


async def test_a16_what_was_seen_again_or_is_used_is_not(house: House) -> None:
    async with house.signed_in() as browser:
        used = await house.registered(browser)
        await tokens(browser, Asked(used))
    seen = await registrar(house).register(CLAUDE, HOME)
    await age(house, 31)
    await registrar(house).register(CLAUDE, HOME)
    await registrar(house).tidy()

    assert (await house.server.clients.find(used)).id == used
    assert (await house.server.clients.find(seen["client_id"])).name == "Claude"


async def test_registration_can_be_switched_off(house: House) -> None:
    with pytest.raises(OAuthRefusal) as refusal:
        await Registration(house.database, lambda: Terms(registration=False)).register(CLAUDE, HOME)

    assert (refusal.value.error, refusal.value.status) == ("access_denied", 403)


@pytest.mark.parametrize("name", ["Claude\u202e\u2066", "\x00Claude\x1b", "Clau\u200bde", " Claude \n", "Claude\ud800"])
async def test_k13_a_name_holds_nothing_that_nobody_sees(house: House, name: str) -> None:
    told = await registrar(house).register({**CLAUDE, "client_name": name}, HOME)

    assert told["client_name"] == "Claude"


async def test_k13_a_name_is_short_and_never_empty(house: House) -> None:
    long = await registrar(house).register({**CLAUDE, "client_name": "a" * 5000}, HOME)
    empty = await registrar(house).register({**CLAUDE, "client_name": "\u202e"}, HOME)

    assert (len(long["client_name"]), empty["client_name"]) == (200, "An app without a name")


@pytest.mark.parametrize(
    "uris",
    [
        [],
        None,
        "https://a.example",
        [1],
        ["http://app.example/cb"],
        ["javascript:alert(1)"],
        ["cursor://x/cb"],
        [REDIRECT, "https://app.example/cb#x"],
        [f"https://app.example/{number}" for number in range(21)],
    ],
)
async def test_a10_a_redirect_uri_that_is_none_is_refused(house: House, uris: Any) -> None:
    refusal = await refused(house, redirect_uris=uris)

    assert (refusal.error, refusal.status) == ("invalid_redirect_uri", 400)
    assert await count(house) == 0


@pytest.mark.parametrize(
    "said",
    [
        {"client_name": 7},
        {"client_name": {"en": "x"}},
        {"grant_types": "authorization_code"},
        {"grant_types": ["client_credentials"]},
        {"grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:jwt-bearer"]},
        {"response_types": ["token"]},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": "tls_client_auth"},
        {"application_type": "desktop"},
        {"client_uri": "javascript:alert(1)"},
        {"contacts": "a@b.example"},
        {"software_id": "a" * 20_000},
    ],
)
async def test_what_cannot_be_taken_is_invalid_client_metadata(house: House, said: dict[str, Any]) -> None:
    refusal = await refused(house, **said)

    assert (refusal.error, refusal.status) == ("invalid_client_metadata", 400)
    assert str(refusal).isascii()
    assert not {'"', "\\"} & set(str(refusal))


@pytest.mark.parametrize("said", [None, [], "x", 1, {}])
async def test_what_is_no_metadata_is_refused(house: House, said: Any) -> None:
    with pytest.raises(OAuthRefusal):
        await registrar(house).register(said, HOME)


async def test_a18_native_schemes_are_taken_where_they_are_configured(house: House) -> None:
    cursor = "cursor://anysphere.cursor-mcp/oauth/callback"
    desk = Registration(house.database, lambda: Terms(native_schemes=("cursor",)))
    told = await desk.register({**CLAUDE, "redirect_uris": [cursor]}, HOME)

    assert told["redirect_uris"] == [cursor]


async def test_a14_redirect_uris_are_kept_to_the_letter(house: House) -> None:
    uris = ["https://App.example", "https://app.example:443/cb", "http://localhost"]
    told = await registrar(house).register({**CLAUDE, "redirect_uris": [*uris, uris[0]]}, HOME)

    assert told["redirect_uris"] == uris
