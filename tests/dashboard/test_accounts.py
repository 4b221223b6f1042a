"""A person sees their accounts at servers and how they are, and disconnects one; nobody else's."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from portkey_mcp.errors import StoreDown
from portkey_mcp.identity.authenticate import LOCAL_ADMIN
from portkey_mcp.model import Access
from portkey_mcp.vault.connection import Place
from portkey_mcp.vault.connections import Connections
from tests.dashboard.connecting_pages import Pages, connected, pages_at
from tests.dashboard.consenting import text_of
from tests.oauth.conftest import OURS
from tests.vault.connecting_house import ACCESS, REFRESH

pytestmark = pytest.mark.anyio

DISCONNECT = "/ui/accounts/disconnect"


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Pages]:
    async with pages_at(tmp_path) as made:
        yield made


async def disconnect(browser: httpx2.AsyncClient, key: str, headers: dict[str, str] | None = None) -> httpx2.Response:
    return await browser.post(DISCONNECT, data={"server": key}, headers=OURS if headers is None else headers)


async def places(pages: Pages) -> list[Place]:
    return [one.place for one in await pages.vault.connecting().connections.of_workspace("demo")]


async def test_every_server_that_takes_an_account_is_listed_with_how_it_is(pages: Pages) -> None:
    bob = pages.who("bob").id
    linear = await pages.vault.keep("linear", bob)
    await pages.vault.keep("linear", pages.who("ada").id)
    async with pages.browser("bob") as browser:
        good = await browser.get("/ui/")
        await pages.vault.connecting().connections.end(linear.place, linear.generation, "<b>gone</b>")
        ended = await browser.get("/ui/")
    text = text_of(good)

    assert "Linear demo/linear connected since" in text
    assert "Keys demo/keys not connected" in text
    assert "Wiki demo/wiki shared by the workspace · not connected" in text
    for nothing in ("demo/open", "demo/few"):
        assert nothing not in text
    assert 'href="/connect/demo/linear"' in good.text
    assert 'href="/connect/demo/wiki"' not in good.text  # admins connect that one
    assert "ended: <b>gone</b>" in text_of(ended) or "ended: &lt;b&gt;gone" in ended.text
    assert "<b>gone" not in ended.text
    assert ACCESS not in good.text


async def test_who_takes_no_part_sees_no_accounts(pages: Pages) -> None:
    async with pages.browser("eve") as browser:
        assert "Accounts at servers" not in (await browser.get("/ui/")).text


async def test_disconnecting_forgets_it_and_says_whether_it_was_revoked(pages: Pages) -> None:
    async with pages.browser("bob") as browser:
        await connected(browser)
        revoked = await disconnect(browser, "demo/linear")
        del pages.vault.outside.answers["/revoke"]
        await connected(browser)
        left = await disconnect(browser, "demo/linear")
        nothing = await disconnect(browser, "demo/linear")
    told = [one.form["token"] for one in pages.vault.outside.heard if one.path == "/revoke"]

    assert "It was revoked at 127.0.0.1" in text_of(revoked)
    assert "could not be told" in text_of(left)
    assert nothing.status_code == 404
    assert told[:2] == [REFRESH, ACCESS]
    assert await places(pages) == []
    acts = [act for act in pages.acts if act.act == "disconnect"]
    assert [(act.who, act.workspace, act.subject) for act in acts] == [(pages.who("bob"), "demo", "linear")] * 2
    assert [act.detail["at its issuer"] for act in acts] == ["revoked", "not revoked"]


async def test_what_was_entered_is_forgotten_and_the_person_told_that_it_is_still_good(pages: Pages) -> None:
    async with pages.browser("bob") as browser:
        await browser.post("/connect/demo/keys", data={"enter.KEY": "k", "enter.ORG": "o"}, headers=OURS)
        assert "still good: end it where you got it" in text_of(await disconnect(browser, "demo/keys"))
    assert await places(pages) == []


async def test_nobody_disconnects_another_persons_account_nor_a_member_the_shared_one(pages: Pages) -> None:
    ada = await pages.vault.keep("linear", pages.who("ada").id)
    shared = await pages.vault.keep("wiki", "")
    async with pages.browser("bob") as bob, pages.browser("eve") as eve, pages.browser() as nobody:
        answers = [await disconnect(one, key) for one in (bob, eve) for key in ("demo/linear", "demo/wiki", "x", "")]
        signed_out = await disconnect(nobody, "demo/linear")

    assert [one.status_code for one in answers] == [404] * 8
    assert signed_out.headers["location"] == "/ui/sign-in"
    assert await places(pages) == [ada.place, shared.place]


async def test_an_admin_disconnects_the_shared_account(pages: Pages) -> None:
    await pages.vault.keep("wiki", "")
    async with pages.browser("ada") as browser:
        assert "Disconnect: Wiki" in (await browser.get("/ui/")).text
        answer = await disconnect(browser, "demo/wiki")
    assert answer.status_code == 200
    assert await places(pages) == []


async def test_who_may_use_a_server_no_more_can_still_take_their_account_away(pages: Pages) -> None:
    await pages.vault.keep("linear", pages.who("bob").id)
    pages.vault.change("linear", access=Access(("ada@example.com",)))
    async with pages.browser("bob") as browser:
        page = await browser.get("/ui/")
        answer = await disconnect(browser, "demo/linear")

    assert "not used" in text_of(page)
    assert answer.status_code == 200
    assert await places(pages) == []


@pytest.mark.parametrize("headers", [{}, {"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}])
async def test_another_site_disconnects_nothing(pages: Pages, headers: dict[str, str]) -> None:
    kept = await pages.vault.keep("linear", pages.who("bob").id)
    async with pages.browser("bob") as browser:
        assert (await disconnect(browser, "demo/linear", headers)).status_code == 403
    assert await places(pages) == [kept.place]


async def test_under_auth_none_the_accounts_are_those_of_the_local_admin(pages: Pages) -> None:
    await pages.vault.keep("linear", LOCAL_ADMIN.id)
    async with pages.browser(local=LOCAL_ADMIN) as browser:
        assert "connected since" in (await browser.get("/ui/")).text
        assert (await disconnect(browser, "demo/linear")).status_code == 200


async def test_while_the_store_is_down_an_account_stays(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    async def down(*_: object) -> None:
        raise StoreDown("no")

    monkeypatch.setattr(Connections, "drop", down)
    async with pages.browser("bob") as browser:
        assert (await disconnect(browser, "demo/linear")).status_code == 503
