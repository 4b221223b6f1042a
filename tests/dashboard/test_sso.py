"""Single sign-on in the browser, against a small real provider: where it leads, who is signed in, what is refused."""

import html
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from portkey_mcp.activity.acts import Act
from portkey_mcp.addresses import Addresses
from portkey_mcp.dashboard import sign_in, sso
from portkey_mcp.dashboard.pages import Site
from portkey_mcp.dashboard.signed_in import SignedIn
from portkey_mcp.identity.authenticate import LOCAL_ADMIN
from portkey_mcp.identity.oidc import SingleSignOn
from portkey_mcp.identity.pending import PendingSignIns
from portkey_mcp.model import Principal
from portkey_mcp.sealing import KeyRing
from portkey_mcp.trust import Joining, Provider, ProviderTokens, Trust
from tests.dashboard.conftest import DIRECTORY, ORIGIN, PASSWORD, Desk
from tests.identity.small_provider import CLIENT, SECRET, SmallProvider, small_provider

pytestmark = pytest.mark.anyio

OURS = {"sec-fetch-site": "same-origin"}


@dataclass
class House:
    """The desk, a provider, and the pages on both. `trust` is what the pages find when they ask."""

    desk: Desk
    small: SmallProvider
    trust: Trust
    acts: list[Act] = field(default_factory=list)
    keyring: KeyRing = field(default_factory=KeyRing.generate)
    kept: list[tuple[str, str, ProviderTokens]] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    async def keep(self, person: str, provider: Provider, tokens: ProviderTokens) -> None:
        self.kept.append((person, provider.id, tokens))

    async def forget(self, person: str) -> None:
        self.forgotten.append(person)

    def configure(self, **more: Any) -> None:
        (provider,) = self.trust.providers
        self.trust = replace(self.trust, providers=(replace(provider, **more),))

    def browser(self, origin: str = ORIGIN, local: Principal | None = None) -> httpx2.AsyncClient:
        site = Site(Addresses(origin), lambda: DIRECTORY, local, lambda scope: "10.0.0.1")
        identity = self.desk.identity
        signed_in = SignedIn(self.desk.sessions, identity, site.origin, self.forget)
        single, app = SingleSignOn(PendingSignIns(self.keyring)), FastAPI()
        routes = sso.router(site, signed_in, identity.logins, single, lambda: self.trust, self.acts.append, self.keep)
        app.include_router(routes)
        app.include_router(sign_in.router(site, signed_in, identity, lambda: self.trust))
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=site.origin, headers=OURS)

    async def provided(self, browser: httpx2.AsyncClient, onto: str = "/ui/", prefix: str = "") -> str:
        """Begin, and go through the provider; gives the path and query that the browser is sent back to."""
        sent = await browser.get("/ui/sign-in/corp", params={"next": onto})
        assert sent.status_code == 303, sent.text
        async with httpx2.AsyncClient() as outside:
            back = urlsplit((await outside.get(sent.headers["location"])).headers["location"])
        return f"{back.path.removeprefix(prefix)}?{back.query}"

    async def sign_in(self, browser: httpx2.AsyncClient, onto: str = "/ui/") -> httpx2.Response:
        return await browser.get(await self.provided(browser, onto))

    async def who(self, browser: httpx2.AsyncClient) -> str | None:
        """Whose name the sign-in page says this browser is signed in as."""
        found = re.search(r"signed in as <bdi>(.*?)</bdi>", (await browser.get("/ui/sign-in")).text)
        return found and found[1]


@pytest.fixture
async def house(desk: Desk) -> AsyncIterator[House]:
    async with small_provider() as small:
        small.user["name"] = "Ann"
        provider = Provider("corp", small.url, CLIENT, SECRET, "Corp & Co", join=(Joining("demo"),))
        yield House(desk, small, Trust(providers=(provider,)))


async def test_a_person_signs_in_and_goes_on_where_they_came_from(house: House) -> None:
    async with house.browser() as browser:
        shown = await browser.get("/ui/sign-in", params={"next": "/ui/approve/abc"})
        link = re.search(r'<a class="button" href="([^"]+)">Sign in with (.*?)</a>', shown.text)
        assert link is not None
        assert html.unescape(link[1]) == "/ui/sign-in/corp?next=%2Fui%2Fapprove%2Fabc"
        assert link[2] == "Corp &amp; Co"
        done = await house.sign_in(browser, "/ui/approve/abc")
        assert (done.status_code, done.headers["location"]) == (303, "/ui/approve/abc")
        assert (done.headers["referrer-policy"], done.headers["cache-control"]) == ("same-origin", "no-store")
        assert await house.who(browser) == "Ann"
    assert [(act.act, act.outcome) for act in house.acts] == [
        ("sign_in", "done"),
        ("person", "done"),
        ("member", "done"),
    ]
    assert house.acts[0].address == "10.0.0.1"


async def test_the_first_person_of_all_may_come_this_way(house: House) -> None:
    async with house.browser() as browser:
        assert "Sign in with Corp" in (await browser.get("/ui/sign-in")).text
        house.configure(create=False)
        house.trust = replace(house.trust, password=False)
        shown = await browser.get("/ui/sign-in")
        assert "people add EMAIL" in shown.text
        assert "people password" not in shown.text


@pytest.mark.parametrize("onto", ["//evil.example", "https://evil.example/", "/\\evil.example", ""])
async def test_signing_in_leads_nowhere_else(house: House, onto: str) -> None:
    async with house.browser() as browser:
        assert (await house.sign_in(browser, onto)).headers["location"] == "/ui/"


async def test_below_a_path_every_url_has_it(house: House) -> None:
    async with house.browser(f"{ORIGIN}/mcp-gateway") as browser:
        shown = await browser.get("/ui/sign-in")
        assert 'href="/mcp-gateway/ui/sign-in/corp?' in shown.text
        back = await house.provided(browser, prefix="/mcp-gateway")
        assert house.small.requests[-1]["redirect_uri"] == f"{ORIGIN}/mcp-gateway/ui/sign-in/corp/callback"
        assert (await browser.get(back)).headers["location"] == "/mcp-gateway/ui/"


async def test_cookies_are_the_browsers_own_and_fresh(house: House) -> None:
    """Session fixation: a value that somebody planted is never the one that is signed in."""
    async with house.browser("https://gateway.example") as browser:
        planted = "p" * 43
        browser.cookies.set("__Host-portkey", planted)
        sent = await browser.get("/ui/sign-in/corp")
        cookie = sent.headers["set-cookie"]
        assert cookie.startswith("__Host-portkey-sso=")
        assert all(part in cookie for part in ("Secure", "HttpOnly", "Path=/", "SameSite=lax", "Max-Age=600"))
        assert "Domain" not in cookie
        done = await house.sign_in(browser)
        fresh = re.search(r"__Host-portkey=([\w-]{43});", done.headers["set-cookie"])
        assert fresh is not None
        assert fresh[1] != planted
        browser.cookies.clear()
        browser.cookies.set("__Host-portkey", planted)
        assert await house.who(browser) is None


async def test_nobody_is_signed_in_by_what_another_browser_was_sent_back_with(house: House) -> None:
    """Login CSRF: the attacker's own answer, opened in a victim's browser."""
    async with house.browser() as attacker, house.browser() as victim:
        theirs = await house.provided(attacker)
        for _ in range(2):
            answer = await victim.get(theirs)
            assert (answer.status_code, "begin again" in answer.text) == (403, True)
            assert "set-cookie" not in answer.headers
            await victim.get("/ui/sign-in/corp")  # now it has a cookie of its own
        assert await house.who(victim) is None
    assert {(act.act, act.outcome) for act in house.acts} == {("sign_in", "refused")}
    assert "token" not in house.small.asked


async def test_what_came_back_once_signs_nobody_in_again(house: House) -> None:
    async with house.browser() as browser:
        back = await house.provided(browser)
        assert (await browser.get(back)).status_code == 303
        assert (await browser.get(back)).status_code == 403


async def test_two_tabs_may_be_under_way_at_once(house: House) -> None:
    async with house.browser() as browser:
        one, two = await house.provided(browser, "/ui/approve/a"), await house.provided(browser, "/ui/approve/b")
        assert (await browser.get(one)).headers["location"] == "/ui/approve/a"
        assert (await browser.get(two)).headers["location"] == "/ui/approve/b"


async def test_a_parameter_that_is_there_twice_counts_as_none(house: House) -> None:
    async with house.browser() as browser:
        for name in ("state", "code"):
            answer = await browser.get(await house.provided(browser) + f"&{name}=x")
            assert answer.status_code == 403
    assert "token" not in house.small.asked


async def test_what_the_provider_refuses_is_text_with_a_way_back(house: House) -> None:
    told = {"error": "access_denied", "error_description": "<script>alert(1)</script>"}
    house.small.bends["response"] = lambda response: {"state": response["state"], **told}
    async with house.browser() as browser:
        answer = await house.sign_in(browser, "/ui/approve/abc")
        assert (answer.status_code, "<script" in answer.text) == (403, False)
        assert "did not let you in" in answer.text
        assert 'href="/ui/sign-in?next=%2Fui%2Fapprove%2Fabc"' in answer.text
        assert await house.who(browser) is None


async def test_who_may_not_come_in_is_told_why(house: House) -> None:
    async with house.browser() as browser:
        house.configure(domains=("corp.example",))
        assert "Addresses of example.com are not let in" in (await house.sign_in(browser)).text
        house.configure(domains=())
        await house.desk.person("ann")
        await house.desk.identity.people.disable("ann@example.com")
        assert "disabled" in (await house.sign_in(browser)).text
        assert await house.who(browser) is None
    assert [act.actor for act in house.acts] == ["ann@example.com"] * 2


async def test_a_provider_that_is_down_is_a_page_before_and_after(house: House) -> None:
    async with house.browser() as browser:
        house.configure(issuer="http://127.0.0.1:1")
        answer = await browser.get("/ui/sign-in/corp")
        assert (answer.status_code, answer.headers["retry-after"]) == (502, "5")
        assert "Corp &amp; Co cannot be reached" in answer.text
        house.configure(issuer=house.small.url)
        house.small.bends["token"] = lambda _: {"id_token": None}
        answer = await house.sign_in(browser)
        assert (answer.status_code, "gave no ID token" in answer.text) == (502, True)


async def test_when_the_store_is_down_nobody_is_signed_in(house: House) -> None:
    async with house.browser() as browser:
        back = await house.provided(browser)
        async with house.desk.database.write() as session:
            await session.execute(text("ALTER TABLE logins RENAME TO gone"))
        answer = await browser.get(back)
        assert (answer.status_code, "set-cookie" in answer.headers) == (503, False)


async def test_a_provider_that_left_the_file_leads_nowhere_at_once(house: House) -> None:
    async with house.browser() as browser:
        back = await house.provided(browser)
        house.trust = Trust()
        for path in ("/ui/sign-in/corp", back, "/ui/sign-in/nobody"):
            assert (await browser.get(path)).status_code == 404
    async with house.browser(local=LOCAL_ADMIN) as browser:
        assert (await browser.get("/ui/sign-in/corp")).status_code == 404


async def test_passwords_can_be_switched_off(house: House) -> None:
    await house.desk.person("ann")
    async with house.browser() as browser:
        assert "<form" in (await browser.get("/ui/sign-in")).text
        house.trust = replace(house.trust, password=False)
        shown = await browser.get("/ui/sign-in")
        assert ("<form" in shown.text, "Sign in with Corp" in shown.text) == (False, True)
        answer = await browser.post("/ui/sign-in", data={"email": "ann@example.com", "password": PASSWORD})
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
        assert (await house.sign_in(browser)).status_code == 303


async def test_what_the_provider_gave_is_kept_for_who_signed_in_and_for_nobody_else(house: House) -> None:
    house.small.refresh = "on"
    async with house.browser() as browser:
        await house.sign_in(browser)
        ((person, provider, tokens),) = house.kept
        found = house.desk.identity.people.named("ann@example.com")
        assert found is not None
        assert (person, provider) == (found.id, "corp")
        assert (tokens.subject, tokens.refresh) == ("s-1", house.small.refresh)
        await browser.post("/ui/sign-out", data={"where": "here"})
        assert house.forgotten == []
        await house.sign_in(browser)
        await browser.post("/ui/sign-out", data={"where": "everywhere"})
        assert house.forgotten == [person]


async def test_of_who_may_not_come_in_nothing_is_kept(house: House) -> None:
    house.configure(domains=("other.example",))
    async with house.browser() as browser:
        assert (await house.sign_in(browser)).status_code == 403
    assert house.kept == []
