"""Signing in and out: who may, what is told, where one goes on, and that nobody can do it for somebody else."""

import html
import re
from datetime import timedelta

import httpx2
import pytest
from sqlalchemy import text

from portkey_mcp.activity.audit import Wanted
from portkey_mcp.identity.authenticate import LOCAL_ADMIN
from tests.dashboard.conftest import PASSWORD, Desk

pytestmark = pytest.mark.anyio

HOSTILE = "\"><script>alert('x')</script><img src=x>"


async def is_signed_in(browser: httpx2.AsyncClient) -> bool:
    return (await browser.get("/ui/")).status_code == 200


async def test_a_person_signs_in_and_goes_on_where_they_came_from(desk: Desk) -> None:
    await desk.person("ann")
    async with desk.browser() as browser:
        shown = await browser.get("/ui/sign-in", params={"next": "/ui/approve/abc"})
        assert 'name="next" value="/ui/approve/abc"' in shown.text
        assert 'autocomplete="current-password"' in shown.text
        done = await desk.sign_in(browser, "ann", next="/ui/approve/abc")
        assert (done.status_code, done.headers["location"]) == (303, "/ui/approve/abc")
        assert "frame-ancestors 'none'" in done.headers["content-security-policy"]
        assert await is_signed_in(browser)


@pytest.mark.parametrize("onto", ["//evil.example", "https://evil.example/ui/", "/\\evil.example", "/team/mcp", ""])
async def test_signing_in_leads_nowhere_else(desk: Desk, onto: str) -> None:
    await desk.person("ann")
    async with desk.browser() as browser:
        shown = await browser.get("/ui/sign-in", params={"next": onto})
        assert 'name="next" value="/ui/"' in shown.text
        assert "evil" not in shown.text
        assert (await desk.sign_in(browser, "ann", next=onto)).headers["location"] == "/ui/"


async def test_every_failure_is_told_in_the_same_words(desk: Desk) -> None:
    await desk.person("ann")
    await desk.person("out")
    await desk.identity.people.disable("out@example.com")
    told = set()
    async with desk.browser() as browser:
        for name, password in ("ann", "wrong"), ("out", PASSWORD), ("nobody", PASSWORD), ("x" * 400, "y"):
            answer = await desk.sign_in(browser, name, password=password)
            assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
            assert password not in answer.text or password == "y"
            told.add(answer.text.replace(f"{name}@example.com", ""))
        assert not await is_signed_in(browser)
    assert len(told) == 1
    assert 'role="alert"' in told.pop()


async def test_guessing_is_slowed_for_an_account_and_the_right_password_with_it(desk: Desk) -> None:
    await desk.person("ann")
    async with desk.browser() as browser:
        for _ in range(10):
            assert (await desk.sign_in(browser, "ann", password="guess")).status_code == 403
        assert (await desk.sign_in(browser, "ann")).status_code == 403
        desk.late = timedelta(minutes=2)
        assert (await desk.sign_in(browser, "ann")).status_code == 303


async def test_guessing_is_slowed_for_an_address_whatever_accounts_it_tries(desk: Desk) -> None:
    await desk.person("ann")
    async with desk.browser() as guesser, desk.browser(address="10.9.9.9") as elsewhere:
        for number in range(50):
            await desk.sign_in(guesser, f"nobody{number}")
        assert (await desk.sign_in(guesser, "ann")).status_code == 403
        assert (await desk.sign_in(elsewhere, "ann")).status_code == 303
        desk.late = timedelta(minutes=2)
        assert (await desk.sign_in(guesser, "ann")).status_code == 303


@pytest.mark.parametrize("missing", ["email", "password"])
async def test_a_form_with_half_of_it_is_no_attempt(desk: Desk, missing: str) -> None:
    await desk.person("ann")
    async with desk.browser() as browser:
        for _ in range(10):
            answer = await desk.sign_in(browser, "ann", **{missing: ""})
            assert (answer.status_code, "Give both" in answer.text) == (400, True)
        assert (await desk.sign_in(browser, "ann")).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        *({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {}, {"origin": "null"}),
        {"origin": "https://evil.example"},
    ],
)
async def test_no_other_site_can_sign_anybody_in_or_out(desk: Desk, headers: dict[str, str]) -> None:
    await desk.person("ann")
    async with desk.browser(headers=headers) as browser:
        answer = await desk.sign_in(browser, "ann")
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
        ours = {"sec-fetch-site": "same-origin"}
        data = {"email": "ann@example.com", "password": PASSWORD}
        assert (await browser.post("/ui/sign-in", data=data, headers=ours)).status_code == 303
        for where in ("here", "everywhere"):
            assert (await browser.post("/ui/sign-out", data={"where": where})).status_code == 403
        assert await is_signed_in(browser)


async def test_looking_signs_nobody_in_or_out(desk: Desk) -> None:
    await desk.person("ann")
    async with desk.browser() as browser:
        answer = await browser.get("/ui/sign-in", params={"email": "ann@example.com", "password": PASSWORD})
        assert "set-cookie" not in answer.headers
        await desk.sign_in(browser, "ann")
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            assert (await browser.request(method, "/ui/sign-out")).status_code == 405
        assert await is_signed_in(browser)


async def test_who_is_signed_in_may_go_on_or_sign_in_as_somebody_else(desk: Desk) -> None:
    await desk.person("ann")
    await desk.person("bob", shown="Bob " + HOSTILE[:60])
    async with desk.browser() as browser:
        await desk.sign_in(browser, "bob")
        shown = await browser.get("/ui/sign-in", params={"next": "/ui/approve/abc"})
        assert "This browser is signed in as <bdi>Bob" in shown.text
        assert '<a href="/ui/approve/abc">' in shown.text
        assert not re.search(r"<script|<img", shown.text)
        await desk.sign_in(browser, "ann")
        assert "Ann" in (await browser.get("/ui/")).text


async def test_what_was_typed_is_given_back_as_text_and_the_password_never(desk: Desk) -> None:
    await desk.person("ann")
    async with desk.browser() as browser:
        answer = await desk.sign_in(browser, "ann", email=HOSTILE, password="a secret guess", next=HOSTILE)
    assert f'value="{html.escape(HOSTILE).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")}"' in answer.text
    assert not re.search(r"<script|<img", answer.text)
    assert "a secret guess" not in answer.text


async def test_signing_out_says_what_it_did_and_works_twice(desk: Desk) -> None:
    await desk.person("ann")
    async with desk.browser() as browser:
        await desk.sign_in(browser, "ann")
        for _ in range(2):
            answer = await browser.post("/ui/sign-out", data={"where": "here"})
            assert (answer.status_code, "This browser is signed out" in answer.text) == (200, True)
            assert not await is_signed_in(browser)


async def test_where_there_is_nobody_yet_the_page_says_how_to_make_the_first_one(desk: Desk) -> None:
    async with desk.browser() as browser:
        shown = re.sub(r"<[^>]+>", "", (await browser.get("/ui/sign-in")).text)
        assert "portkey-mcp people add EMAIL --workspace W --role admin" in shown
        assert "portkey-mcp people password EMAIL" in shown
        await desk.person("ann")
        assert "people add" not in (await browser.get("/ui/sign-in")).text


async def test_where_nobody_needs_to_sign_in_the_page_says_so(desk: Desk) -> None:
    await desk.person("ann")
    async with desk.browser(local=LOCAL_ADMIN) as browser:
        for answer in (await browser.get("/ui/sign-in"), await desk.sign_in(browser, "ann")):
            assert (answer.status_code, "Nobody needs to sign in" in answer.text) == (200, True)
            assert "<form" not in answer.text
            assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x"])
async def test_what_is_not_the_pages_form_is_not_understood(desk: Desk, kind: str) -> None:
    async with desk.browser() as browser:
        answer = await browser.post("/ui/sign-in", content=b"email=a&password=b", headers={"content-type": kind})
        assert answer.status_code == 400


async def test_when_the_store_is_down_it_is_told_and_nobody_is_signed_in_or_out(desk: Desk) -> None:
    await desk.person("ann")
    async with desk.browser() as browser:
        await desk.sign_in(browser, "ann")
        async with desk.database.write() as session:
            await session.execute(text("ALTER TABLE browser_sessions RENAME TO gone"))
        answers = [await desk.sign_in(browser, "ann"), await browser.post("/ui/sign-out")]
        desk.late = timedelta(minutes=1)
        answers += [await browser.get("/ui/"), await browser.get("/ui/sign-in")]
        async with desk.database.write() as session:
            await session.execute(text("ALTER TABLE people RENAME TO nobody"))
        answers += [await browser.get("/ui/sign-in"), await desk.sign_in(browser, "ann")]
        for answer in answers:
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert "set-cookie" not in answer.headers
            assert "no such table" not in answer.text


async def acts(desk: Desk) -> list[tuple[str, str, str, str, str]]:
    assert await desk.audit.flush()
    found = await desk.audit.recent(Wanted())
    return [(one.act, one.actor or one.actor_name, one.address, one.subject, one.why) for one in reversed(found)]


async def test_who_signs_in_and_out_and_who_tries_is_noted(desk: Desk) -> None:
    await desk.person("ann")
    ann = desk.whose["ann"].id
    async with desk.browser() as browser:
        await desk.sign_in(browser, "ann", password="hunter2 hunter2")
        await desk.sign_in(browser, "eve")
        await desk.sign_in(browser, "ann")
        await browser.post("/ui/sign-out")
        await browser.post("/ui/sign-out")
        await desk.sign_in(browser, "ann")
        await browser.post("/ui/sign-out", data={"where": "everywhere"})
    assert await acts(desk) == [
        ("sign_in", "ann@example.com", "10.0.0.1", "password", "wrong password"),
        ("sign_in", "eve@example.com", "10.0.0.1", "password", "nobody has this address"),
        ("sign_in", ann, "10.0.0.1", "password", ""),
        ("sign_out", ann, "10.0.0.1", "this browser", ""),
        ("sign_in", ann, "10.0.0.1", "password", ""),
        ("sign_out", ann, "10.0.0.1", "every browser", ""),
    ]


async def test_a_password_typed_into_the_wrong_field_is_not_noted(desk: Desk) -> None:
    async with desk.browser() as browser:
        await desk.sign_in(browser, "ann", email=PASSWORD, password="x")
    assert [who for _, who, *_ in await acts(desk)] == ["(no e-mail address)"]
