"""A person sees which apps they let in, and ends one: then its tokens are dead, and it is asked about again."""

import re

import httpx2
import pytest

from portkey_mcp.errors import Unauthenticated
from tests.oauth.conftest import OURS, Asked, House, house, tokens

__all__ = ["house"]

pytestmark = pytest.mark.anyio


async def shown(browser: httpx2.AsyncClient) -> list[str]:
    """The ids of the apps that the page lists."""
    return re.findall(r'name="app" value="([^"]+)"', (await browser.get("/ui/")).text)


async def test_an_app_is_shown_once_however_often_it_signed_in(house: House) -> None:
    async with house.signed_in() as browser:
        client = await house.registered(browser, client_name="<b>Tool</b>")
        for _ in range(2):
            await tokens(browser, Asked(client, more={"prompt": "consent"}))
        page = await browser.get("/ui/")
        assert len(await shown(browser)) == 1

    assert "&lt;b&gt;Tool&lt;/b&gt;" in page.text
    assert "demo/files" in page.text
    assert "app.example" in page.text


async def test_ending_an_app_ends_its_tokens_at_once_and_it_is_asked_about_again(house: House) -> None:
    async with house.signed_in() as browser:
        asked = Asked(await house.registered(browser))
        access = (await tokens(browser, asked))["access_token"]
        assert (await house.principal(access)).email == "ada@example.com"
        [app] = await shown(browser)
        answer = await browser.post("/ui/apps/end", data={"app": app}, headers=OURS)
        house.server.tokens.forget()  # as every process does when it sees the new revision

        assert (answer.status_code, await shown(browser)) == (303, [])
        assert (await browser.get(Asked(asked.client).path())).status_code == 200
    with pytest.raises(Unauthenticated):
        await house.principal(access)
    assert house.acts[-1].act == "revoke"


async def test_nobody_ends_what_another_person_allowed(house: House) -> None:
    async with house.signed_in() as browser:
        access = (await tokens(browser, Asked(await house.registered(browser))))["access_token"]
        [app] = await shown(browser)
    async with house.signed_in("bob") as other:
        await other.post("/ui/apps/end", data={"app": app}, headers=OURS)

    assert (await house.principal(access)).email == "ada@example.com"


@pytest.mark.parametrize("headers", [{}, {"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}])
async def test_another_site_ends_nothing(house: House, headers: dict[str, str]) -> None:
    async with house.signed_in() as browser:
        await tokens(browser, Asked(await house.registered(browser)))
        [app] = await shown(browser)
        answer = await browser.post("/ui/apps/end", data={"app": app}, headers=headers)
        assert (answer.status_code, await shown(browser)) == (403, [app])
