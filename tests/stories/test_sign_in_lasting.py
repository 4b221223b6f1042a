"""How long a sign-in lasts: for months over restarts, and not a moment longer than the person may be here."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx2
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tests.oauth.conftest import Asked
from tests.stories.gateway import gateway
from tests.stories.hearing import PATIENCE
from tests.stories.raw_client import raw_http
from tests.stories.sign_in_house import (
    CALL,
    REDIRECT,
    House,
    allowed,
    hidden,
    house,
    sent_back,
    settle,
    upstream_of_all,
    written,
)

pytestmark = pytest.mark.anyio

CALLS = 200


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path / "data") as running:
        yield running


async def until_signed_out(browsing: httpx2.AsyncClient) -> None:
    """Ask for the person's own page until the browser is sent to sign in."""
    with anyio.fail_after(PATIENCE):
        while not (answer := await browsing.get("/ui/")).is_redirect:
            assert answer.status_code == 200


@pytest.mark.parametrize("how", [["remove"], ["disable"]])
async def test_who_is_removed_or_disabled_is_out_everywhere(home: House, how: list[str]) -> None:
    bob = (await home.given("bob", "blue", "files"))["access_token"]
    async with home.browser("ada") as browsing:
        asked = await home.asked("blue", "files")
        told = await home.tokens(browsing, asked)
        async with home.browser("ada") as another:
            assert (await another.get("/ui/")).status_code == 200
            assert await home.status(told["access_token"], "blue", "files") == 200

            await home.portkey("people", *how, "ada@example.com")

            await home.until(401, told["access_token"], "blue", "files")
            for opened in (browsing, another):
                await until_signed_out(opened)
    answer = await home.refresh(asked.client, told["refresh_token"])
    if how == ["remove"]:
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    elif answer.is_success:
        assert await home.status(answer.json()["access_token"], "blue", "files") == 401
    assert await home.status(bob, "blue", "files") == 200


async def test_who_leaves_a_workspace_loses_what_is_there_and_nothing_else(home: House) -> None:
    blue, red = [(await home.given("ada", *place))["access_token"] for place in (("blue",), ("red", "mail"))]

    await home.portkey("people", "remove", "ada@example.com", "-w", "blue")

    await home.until(401, blue, "blue")
    assert await home.status(blue, "blue", "files") == 401
    assert await home.status(red, "red", "mail") == 200
    async with home.browser("ada") as browsing:
        asked = await home.asked("blue")
        page = await browsing.get(asked.path())
        assert page.status_code == 403
        assert not hidden(page.text)


async def test_a_role_that_changes_holds_without_a_new_token(tmp_path: Path) -> None:
    """The policy hides `echo` from viewers: the same token is shown it or not, as its person's role is now."""
    data = tmp_path / "data"
    await settle(data)
    rule = {"match": "files/echo", "for": {"roles": ["viewer"]}, "enabled": False}
    async with upstream_of_all() as upstream, raw_http() as http:
        text = written(upstream.url, policy={"version": 1, "rules": [rule]})
        async with gateway(text, data) as running:
            home = House(running, http, upstream)
            access = (await home.given("bob", "blue", "files"))["access_token"]
            for role, wanted in (("viewer", []), ("member", ["echo"]), ("viewer", [])):
                await home.portkey("people", "role", "bob@example.com", "-w", "blue", role)
                with anyio.fail_after(PATIENCE):
                    while await listed(home, access) != wanted:
                        pass
                heard = await home.heard(access, "blue", "files", call=True)
                assert ("result" in heard.answer) is bool(wanted)


async def listed(home: House, access: str) -> list[str]:
    heard = await home.heard(access, "blue", "files")
    return [tool["name"] for tool in heard.answer["result"]["tools"]]


async def test_a_restart_keeps_tokens_consents_and_sessions(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with house(data) as home:
        port = home.gateway.port
        async with home.browser("ada") as browsing:
            asked = await home.asked("blue", "files")
            told = await home.tokens(browsing, asked)
            cookies = dict(browsing.cookies)

    async with house(data, port=port) as home:
        assert await home.status(told["access_token"], "blue", "files") == 200
        fresh = await home.refresh(asked.client, told["refresh_token"])
        assert await home.status(fresh.json()["access_token"], "blue", "files") == 200
        async with httpx2.AsyncClient(base_url=home.origin, cookies=cookies) as browsing:
            # Still signed in, and what was agreed to is not asked again.
            assert "code" in sent_back(await browsing.get(asked.path()), REDIRECT)


async def test_consent_is_asked_again_for_more_or_when_the_app_wants_that(home: House) -> None:
    client = await home.registered()
    async with home.browser("ada") as browsing:
        first = Asked(client, home.at("blue", "files"), redirect_uri=REDIRECT, scope="mcp:read")
        await allowed(browsing, first)
        assert sent_back(await browsing.get(first.path()), REDIRECT)["code"]
        for place, more in (
            (("blue", "files"), {"scope": "mcp:read mcp:call"}),
            (("blue", "notes"), {"scope": "mcp:read"}),
            (("blue", "files"), {"scope": "mcp:read", "more": {"prompt": "consent"}}),
        ):
            again = Asked(client, home.at(*place), redirect_uri=REDIRECT, **more)  # type: ignore[arg-type]
            assert hidden((await browsing.get(again.path())).text), (place, more)


async def test_revoked_at_one_gateway_refused_at_the_other(tmp_path: Path) -> None:
    """Two gateways serve one data directory (here in one process; each has a database handle and memory of its own)."""
    data = tmp_path / "data"
    async with house(data) as one, gateway(None, data, public_url=one.origin) as running:
        two = House(running, one.http, one.upstream)
        async with one.browser("ada") as browsing:
            asked = await one.asked("blue", "files")
            told = await one.tokens(browsing, asked)
            access = told["access_token"]
            assert [await home.status(access, "blue", "files") for home in (one, two)] == [200, 200]

            answer = await two.http.post(f"{two.origin}/revoke", data={"token": told["refresh_token"]})
            assert answer.status_code == 200

            await two.until(401, access, "blue", "files")
            await one.until(401, access, "blue", "files")
            assert (await one.refresh(asked.client, told["refresh_token"])).status_code == 400

            # A person who signs out everywhere at one is signed out at the other.
            cookies = dict(browsing.cookies)
            async with httpx2.AsyncClient(base_url=two.origin, cookies=cookies) as there:
                assert (await there.get("/ui/")).status_code == 200
                assert (await browsing.post("/ui/sign-out", data={"where": "everywhere"})).status_code == 200
                await until_signed_out(there)


async def test_a_call_of_somebody_signed_in_asks_the_database_nothing(home: House) -> None:
    """Counted over many calls; what may appear is what goes on beside them: the look at the revision, and the records.

    Each statement that a call made would appear as often as there are calls.
    """
    access = (await home.given("ada", "blue", "files"))["access_token"]
    assert "result" in (await home.heard(access, "blue", "files", call=True)).answer
    statements: list[str] = []

    def count(*about: object) -> None:
        statements.append(str(about[2]))

    event.listen(Engine, "before_cursor_execute", count)
    try:
        for _ in range(CALLS):
            assert "result" in (await home.heard(access, "blue", "files", call=True)).answer
    finally:
        event.remove(Engine, "before_cursor_execute", count)

    assert len(home.upstream.requests("tools/call")) == CALLS + 1
    assert CALL["arguments"] == home.upstream.requests("tools/call")[-1]["params"]["arguments"]
    beside = ("begin", "pragma", "insert into")
    read = [text for text in statements if "revision" not in text and not text.lower().startswith(beside)]
    assert read == [], sorted(set(read))
