"""The cookie: what it is called and may do, and that it is never taken over from a browser."""

from http.cookies import Morsel, SimpleCookie

import httpx2
import pytest

from portkey_mcp.identity.sessions import BrowserSessions
from tests.dashboard.conftest import ORIGIN, Desk

pytestmark = pytest.mark.anyio

SECURE_ORIGIN = "https://gateway.example"


def cookie(answer: httpx2.Response, name: str) -> Morsel[str]:
    assert len(answer.headers.get_list("set-cookie")) == 1
    return SimpleCookie(answer.headers["set-cookie"])[name]


@pytest.mark.parametrize(
    ("origin", "name", "secure"), [(SECURE_ORIGIN, "__Host-portkey", True), (ORIGIN, "portkey", "")]
)
async def test_the_cookie_is_for_this_origin_only_and_no_script_reads_it(
    desk: Desk, origin: str, name: str, secure: bool | str
) -> None:
    await desk.person("ann")
    async with desk.browser(origin=origin) as browser:
        given = cookie(await desk.sign_in(browser, "ann"), name)
        assert (given["secure"], given["httponly"], given["path"], given["domain"]) == (secure, True, "/", "")
        assert (given["samesite"], given["max-age"]) == ("lax", str(30 * 24 * 3600))
        assert "Ann" in (await browser.get("/ui/")).text

        taken = cookie(await browser.post("/ui/sign-out"), name)
        assert (taken.value, taken["max-age"], taken["path"], taken["secure"]) == ("", "0", "/", secure)


async def test_each_sign_in_makes_a_new_session_and_ends_the_one_before(desk: Desk) -> None:
    await desk.person("ann")
    async with desk.browser() as browser:
        values = [cookie(await desk.sign_in(browser, "ann"), "portkey").value for _ in range(2)]
    assert values[0] != values[1]
    assert [await desk.sessions.find(value) for value in values] == [None, desk.whose["ann"].id]


async def test_a_cookie_that_somebody_planted_becomes_no_session(desk: Desk) -> None:
    await desk.person("ann")
    planted = "x" * 43
    async with desk.browser() as browser:
        browser.cookies.set("portkey", planted, domain="gateway.example", path="/")
        given = cookie(await desk.sign_in(browser, "ann"), "portkey").value
    assert given != planted
    assert await desk.sessions.find(planted) is None


async def test_a_session_of_the_attackers_that_was_planted_does_not_become_the_victims(desk: Desk) -> None:
    await desk.person("mallory", "other")
    await desk.person("ann")
    planted = await desk.sessions.begin(desk.whose["mallory"].id, "", "")
    async with desk.browser() as browser:
        browser.cookies.set("portkey", planted, domain="gateway.example", path="/")
        await desk.sign_in(browser, "ann")
        assert "Ann" in (await browser.get("/ui/")).text
    assert await desk.sessions.find(planted) is None


async def test_the_other_name_is_not_read_so_that_nobody_can_plant_it(desk: Desk) -> None:
    await desk.person("ann")
    value = await desk.sessions.begin(desk.whose["ann"].id, "", "")
    for origin, name in (SECURE_ORIGIN, "portkey"), (ORIGIN, "__Host-portkey"):
        async with desk.browser(origin=origin) as browser:
            answer = await browser.get("/ui/", headers={"cookie": f"{name}={value}"})
            assert (answer.status_code, answer.headers["location"]) == (303, "/ui/sign-in")


async def test_the_cookie_of_a_session_that_was_ended_is_nobodys(desk: Desk) -> None:
    await desk.person("ann")
    async with desk.browser() as browser:
        value = cookie(await desk.sign_in(browser, "ann"), "portkey").value
        await browser.post("/ui/sign-out")
        assert (await browser.get("/ui/", headers={"cookie": f"portkey={value}"})).status_code == 303


async def test_signing_out_everywhere_ends_every_browser_of_this_person_and_of_no_other(desk: Desk) -> None:
    await desk.person("ann")
    await desk.person("bob")
    elsewhere = BrowserSessions(desk.database)
    other, bobs = [await elsewhere.begin(desk.whose[name].id, "", "") for name in ("ann", "bob")]
    async with desk.browser() as browser:
        await desk.sign_in(browser, "ann")
        assert (await browser.post("/ui/sign-out", data={"where": "everywhere"})).status_code == 200
    assert await desk.sessions.all(desk.whose["ann"].id) == []
    assert (await elsewhere.find(other), await elsewhere.find(bobs)) == (None, desk.whose["bob"].id)


async def test_who_is_gone_or_kept_out_is_nobody_at_once(desk: Desk) -> None:
    await desk.person("ann")
    await desk.person("bob")
    for name, end in ("ann", desk.identity.people.remove), ("bob", desk.identity.people.disable):
        async with desk.browser() as browser:
            await desk.sign_in(browser, name)
            assert (await browser.get("/ui/")).status_code == 200
            await end(f"{name}@example.com")
            assert (await browser.get("/ui/")).status_code == 303


async def test_a_role_that_changed_is_the_one_that_counts(desk: Desk) -> None:
    await desk.person("ann", role="owner")
    async with desk.browser() as browser:
        await desk.sign_in(browser, "ann")
        await desk.identity.people.set_role("ann@example.com", "demo", "viewer")
        text = (await browser.get("/ui/")).text
        assert ("viewer" in text, "owner" in text) == (True, False)
