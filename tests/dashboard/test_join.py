"""Opening an invitation: what is told, who joins how, and that nothing else opens it."""

import re
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from portkey_mcp.addresses import Addresses
from portkey_mcp.dashboard import join
from portkey_mcp.identity.authenticate import LOCAL_ADMIN
from portkey_mcp.settings import Auth
from portkey_mcp.trust import Provider, Trust
from tests.dashboard.conftest import PASSWORD, Desk

pytestmark = pytest.mark.anyio

HOSTILE = "<script>alert('x')</script>"
ACCOUNT = {"how": "make", "name": "Bob", "email": "bob@example.com", "password": PASSWORD, "again": PASSWORD}


async def link(desk: Desk, email: str = "", **more: Any) -> str:
    token, _ = await desk.identity.invitations.invite("demo", email=email, **more)
    return f"/ui/join/{token}"


def words(answer: httpx2.Response) -> str:
    text = re.sub(r"</?bdi>", "", answer.text)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


async def role(desk: Desk, email: str, workspace: str = "demo") -> str | None:
    await desk.identity.people.refresh()
    found = desk.identity.people.named(email)
    return None if found is None else found.role_in(workspace)


async def is_signed_in(browser: httpx2.AsyncClient) -> bool:
    return (await browser.get("/ui/")).status_code == 200


async def test_the_page_says_who_invites_into_what_as_what(desk: Desk) -> None:
    await desk.person("ann", role="admin")
    path = await link(desk, role="viewer", groups=["night ops"], inviter=desk.whose["ann"].id)
    async with desk.browser() as browser:
        shown = await browser.get(path)
    assert shown.status_code == 200
    for said in ("Join Demo &amp; Co", "Invited by Ann", "Role viewer", "Groups night ops", "Good until"):
        assert said in words(shown)
    assert f'href="/ui/sign-in?next={path}"' in shown.text
    assert shown.headers["referrer-policy"] == "same-origin"
    assert shown.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in shown.headers["content-security-policy"]


async def test_whoever_has_no_account_makes_one_and_is_signed_in(desk: Desk) -> None:
    path = await link(desk, groups=["ops"])
    async with desk.browser() as browser:
        done = await browser.post(path, data=ACCOUNT)
        assert (done.status_code, done.headers["location"]) == (303, "/ui/")
        assert "Bob" in (await browser.get("/ui/")).text
        assert (await browser.get(path)).status_code == 404
    assert await role(desk, "bob@example.com") == "member"
    async with desk.browser() as browser:
        assert (await desk.sign_in(browser, "bob")).status_code == 303
    assert [(act.act, act.outcome, act.subject[:3]) for act in desk.acts] == [
        ("person", "done", "bob"),
        ("invitation", "done", "inv"),
        ("member", "done", "bob"),
    ]
    assert not any(PASSWORD in repr(act) or path[9:] in repr(act) for act in desk.acts)


async def test_whoever_is_signed_in_joins_with_a_click(desk: Desk) -> None:
    await desk.person("bob", workspace="other")
    path = await link(desk, "Bob@example.com")
    async with desk.browser() as browser:
        assert "There is an account with this address" in words(await browser.get(path))
        done = await desk.sign_in(browser, "bob", next=path)
        assert done.headers["location"] == path
        shown = await browser.get(path)
        assert "Join as Bob" in words(shown)
        assert await role(desk, "bob@example.com") is None, "looking changes nothing"
        assert (await browser.post(path, data={"how": "join"})).headers["location"] == "/ui/"
    assert await role(desk, "bob@example.com") == "member"
    assert await role(desk, "bob@example.com", "other") == "member"


async def test_what_is_for_one_address_is_for_nobody_else(desk: Desk) -> None:
    await desk.person("eve", workspace="other")
    path = await link(desk, "bob@example.com")
    async with desk.browser() as browser:
        shown = await browser.get(path)
        assert re.search(r'<input[^>]*value="bob@example.com"[^>]*readonly', shown.text)
        await desk.sign_in(browser, "eve")
        assert "has another e-mail address" in words(await browser.get(path))
        assert (await browser.post(path, data={"how": "join"})).status_code == 403
        done = await browser.post(path, data={**ACCOUNT, "email": "mallory@example.com"})
        assert done.status_code == 303, "what the form says of the address does not count"
    assert await role(desk, "eve@example.com") is None
    assert await role(desk, "mallory@example.com") is None
    assert await role(desk, "bob@example.com") == "member"
    assert desk.acts[0].outcome == "refused"


@pytest.mark.parametrize("bound", ["", "bob@example.com"])
async def test_an_account_that_there_is_is_never_opened_by_a_link(desk: Desk, bound: str) -> None:
    await desk.person("bob", workspace="other")
    path = await link(desk, bound)
    async with desk.browser() as browser:
        answer = await browser.post(path, data={**ACCOUNT, "password": "x" * 20, "again": "x" * 20})
        assert (answer.status_code, "set-cookie" in answer.headers) == (400, False)
        assert "There is an account with this" in words(answer)
        assert not await is_signed_in(browser)
        assert await role(desk, "bob@example.com") is None
        assert (await desk.sign_in(browser, "bob")).status_code == 303
    assert (await desk.identity.invitations.all())[0].email == bound


async def test_who_is_a_member_already_is_told_and_uses_nothing_up(desk: Desk) -> None:
    await desk.person("ann")
    path = await link(desk)
    async with desk.browser() as browser:
        await desk.sign_in(browser, "ann")
        assert "who is a member already" in words(await browser.get(path))
        assert (await browser.post(path, data={"how": "join"})).status_code == 403
    assert len(await desk.identity.invitations.all()) == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"again": "another fine password"}, "The two passwords are not the same."),
        ({"password": "short", "again": "short"}, "expected 12 to"),
        ({"email": "bob"}, "is no e-mail address"),
        ({"email": ""}, "is no e-mail address"),
        ({"name": "x" * 101}, "is no name of a person"),
    ],
)
async def test_a_form_that_is_wrong_says_what_and_uses_nothing_up(desk: Desk, wrong: dict[str, str], said: str) -> None:
    path = await link(desk)
    async with desk.browser() as browser:
        answer = await browser.post(path, data={**ACCOUNT, **wrong})
        assert answer.status_code == 400
        assert said in words(answer)
        assert PASSWORD not in answer.text
        assert not await is_signed_in(browser)
        assert (await browser.post(path, data=ACCOUNT)).status_code == 303


async def test_what_strangers_typed_is_text(desk: Desk) -> None:
    path = await link(desk, groups=[HOSTILE])
    async with desk.browser() as browser:
        answer = await browser.post(path, data={**ACCOUNT, "name": HOSTILE, "email": HOSTILE})
    assert answer.status_code == 400
    assert "<script" not in answer.text


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {}, {"origin": "null"}]
)
async def test_no_other_site_makes_anybody_join(desk: Desk, headers: dict[str, str]) -> None:
    await desk.person("bob", workspace=None)
    path = await link(desk)
    async with desk.browser() as browser:
        await desk.sign_in(browser, "bob")
        browser.headers.pop("sec-fetch-site")
        for form in ({"how": "join"}, ACCOUNT):
            assert (await browser.post(path, data=form, headers=headers)).status_code == 403
    assert await role(desk, "bob@example.com") is None
    assert len(await desk.identity.invitations.all()) == 1


async def test_a_link_that_is_no_good_looks_the_same_whatever_the_reason(desk: Desk) -> None:
    expired, taken_back = await link(desk, days=1), await link(desk, days=9)
    await desk.identity.invitations.take_back((await desk.identity.invitations.all())[0].id)
    desk.late = timedelta(days=2)
    async with desk.browser() as browser:
        answers = [await browser.get(path) for path in (expired, taken_back, f"/ui/join/{'x' * 43}", "/ui/join/x")]
        answers.append(await browser.post(expired, data=ACCOUNT))
        answers.append(await browser.post(expired, data={"how": "join"}))
    assert {(answer.status_code, answer.text) for answer in answers} == {(404, answers[0].text)}


async def test_what_is_no_form_is_not_understood_and_nobody_joins_whom_nobody_is_signed_in_as(desk: Desk) -> None:
    path = await link(desk)
    async with desk.browser() as browser:
        assert (await browser.post(path, content=b"{}")).status_code == 400
        assert (await browser.post(path, data={"how": "join"})).status_code == 403
    assert len(await desk.identity.invitations.all()) == 1


async def test_where_people_have_no_passwords_they_only_sign_in(desk: Desk) -> None:
    desk.trust = Trust(password=False)
    path = await link(desk)
    async with desk.browser() as browser:
        shown = await browser.get(path)
        assert 'type="password"' not in shown.text
        assert (await browser.post(path, data=ACCOUNT)).status_code == 403
    assert await role(desk, "bob@example.com") is None


async def test_the_first_person_becomes_owner_of_all_there_is(desk: Desk) -> None:
    path = f"/ui/join/{await desk.identity.invitations.first()}"
    async with desk.browser() as browser:
        shown = await browser.get(path)
        assert "The first person" in words(shown)
        assert "Workspaces Demo &amp; Co, other" in words(shown)
        assert "sign-in" not in shown.text
        assert (await browser.post(path, data=ACCOUNT)).status_code == 303
        assert await is_signed_in(browser)
        assert (await browser.post(path, data={**ACCOUNT, "email": "eve@example.com"})).status_code == 404
    assert [await role(desk, "bob@example.com", slug) for slug in ("demo", "other")] == ["owner", "owner"]


async def test_where_nobody_needs_to_sign_in_nobody_joins(desk: Desk) -> None:
    path = await link(desk)
    async with desk.browser(local=LOCAL_ADMIN) as browser:
        for answer in (await browser.get(path), await browser.post(path, data=ACCOUNT)):
            assert (answer.status_code, "Nobody needs to join" in answer.text) == (200, True)
    assert len(await desk.identity.invitations.all()) == 1


async def test_when_the_store_is_down_it_is_told_and_nobody_joins(desk: Desk) -> None:
    path = await link(desk)
    async with desk.database.write() as session:
        await session.execute(text("ALTER TABLE invitations RENAME TO gone"))
    async with desk.browser() as browser:
        for answer in (await browser.get(path), await browser.post(path, data=ACCOUNT)):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert "no such table" not in answer.text


async def test_the_link_for_the_first_person_is_made_where_one_is_needed_and_ends_the_one_before(desk: Desk) -> None:
    addresses, invitations = Addresses("https://example.com/gw"), desk.identity.invitations
    first = await join.first_link(desk.identity, Trust(), addresses, "required")
    assert first.startswith("https://example.com/gw/ui/join/")
    assert await invitations.find(first[-43:]) is not None
    corp = Provider("corp", "https://id.example.com", "x")
    cases: tuple[tuple[Trust, Auth], ...] = (
        (Trust(), "none"),
        (Trust(password=False), "required"),
        (Trust(providers=(corp,)), "required"),
    )
    for trust, auth in cases:
        assert await join.first_link(desk.identity, trust, addresses, auth) == ""
        assert await invitations.find(first[-43:]) is None
        first = await join.first_link(desk.identity, Trust(), addresses, "required")
    await desk.person("ann")
    assert await join.first_link(desk.identity, Trust(), addresses, "required") == ""
