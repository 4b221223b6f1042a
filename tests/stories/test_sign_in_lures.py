"""Attacks on people who sign in: lured by links, forms and frames of others, or guessed at. Tried, and refused."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from portkey_mcp.identity.passwords import FREE_FOR_AN_ACCOUNT, FREE_FOR_AN_ADDRESS
from tests.oauth.conftest import PASSWORD, Asked
from tests.stories.browser import browser
from tests.stories.gateway import serving
from tests.stories.sign_in_house import (
    REDIRECT,
    House,
    hidden,
    house,
    page_of,
    signed_in,
)

pytestmark = pytest.mark.anyio

ALIAS = "localhost"


@pytest.fixture(scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """One for all: nobody says yes here, so whatever was tried leaves nothing behind."""
    said = {"hosts": {ALIAS: "blue/files"}, "oauth": {"native_schemes": ["cursor"]}}
    async with house(tmp_path_factory.mktemp("home") / "data", said, trusted_proxies="127.0.0.1") as running:
        yield running


@pytest.fixture
async def guessed_at(tmp_path: Path) -> AsyncIterator[House]:
    """One that remembers the wrong passwords of this test only."""
    async with house(tmp_path / "data", trusted_proxies="127.0.0.1") as running:
        yield running


ELSEWHERE = [
    "https://evil.example/callback",
    "https://app.example/callback/",
    "https://app.example/Callback",
    "https://app.example/callback?x=1",
    "https://app.example/callback#x",
    "https://app.example/callback/../evil",
    "https://app.example/callback%2f..%2fevil",
    "http://app.example/callback",
    "https://app.example:8443/callback",
    "https://app.example@evil.example/callback",
    "https://app.example.evil.example/callback",
    "https://app.example\\@evil.example/callback",
    "//evil.example/callback",
    "/ui/",
    "javascript:alert(1)",
    "cursor://app.example/callback",
    "http://127.0.0.1/callback",
]


async def test_a14_nobody_is_sent_to_a_place_that_was_not_registered(home: House) -> None:
    client = await home.registered()
    async with home.browser("ada") as browsing:
        for there in ELSEWHERE:
            answer = await browsing.get(Asked(client, home.at("blue"), redirect_uri=there).path())
            assert (answer.status_code, "location" in answer.headers) == (400, False), there
            assert "ticket" not in hidden(answer.text)
            assert f'href="{there}"' not in answer.text


@pytest.mark.parametrize(
    ("asked", "fine"),
    [
        ("http://127.0.0.1:50123/callback", True),
        ("http://127.0.0.1/callback", True),
        ("http://localhost:50123/callback", False),
        ("http://127.0.0.1:50123/callback/x", False),
        ("http://127.0.0.1:50123/callback?x=1", False),
        ("http://127.0.0.2:50123/callback", False),
        ("https://127.0.0.1:50123/callback", False),
        ("http://127.0.0.1.evil.example:50123/callback", False),
        ("http://127.0.0.1:50123@evil.example/callback", False),
        ("http://127.0.0.1:50123#@evil.example/callback", False),
    ],
)
async def test_a14_on_loopback_only_the_port_is_free(home: House, asked: str, fine: bool) -> None:
    client = await home.registered(redirect_uris=["http://127.0.0.1:1/callback"])
    async with home.browser("ada") as browsing:
        answer = await browsing.get(Asked(client, home.at("blue"), redirect_uri=asked).path())

    assert answer.status_code == (200 if fine else 400)


async def test_no_stranger_makes_the_gateway_send_people_away(home: House) -> None:
    """RFC 9700, section 4.11.2: an app that registered itself, a broken request, and nobody signed in."""
    asked = await home.asked("blue", more={"response_type": "token"})
    async with home.browser() as browsing:
        answer = await browsing.get(asked.path())

    assert (answer.status_code, "location" in answer.headers) == (400, False)
    for onto in (
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/ui/../\\evil.example",
        "javascript:x",
    ):
        async with home.browser() as browsing:
            form = {"email": "ada@example.com", "password": PASSWORD, "next": onto}
            assert (await browsing.post("/ui/sign-in", data=form)).headers["location"].endswith("/ui/"), onto


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {},
    ],
)
async def test_b1_consent_sent_from_elsewhere_counts_for_nothing(home: House, headers: dict[str, str]) -> None:
    async with home.browser("ada") as browsing:
        asked = await home.asked("blue", "files")
        form = {**await page_of(browsing, asked), "decision": "allow"}
        cookies = dict(browsing.cookies)
    async with httpx2.AsyncClient(base_url=home.origin, cookies=cookies) as forged:
        answer = await forged.post("/authorize", data=form, headers=headers)

    assert (answer.status_code, "location" in answer.headers) == (403, False)


async def test_b1_a_ticket_is_for_one_person_and_one_request(home: House) -> None:
    asked, other = await home.asked("blue", "files"), await home.asked("blue")
    async with home.browser("bob") as attacker, home.browser("ada") as victim:
        form = await page_of(attacker, asked)
        forged = [
            {**form, "decision": "allow"},
            {**form, "query": (await page_of(victim, other))["query"], "decision": "allow"},
            {"query": (await page_of(victim, asked))["query"], "decision": "allow"},
            {**await page_of(victim, asked), "query": (await page_of(victim, other))["query"], "decision": "allow"},
        ]
        for tried in forged:
            answer = await victim.post("/authorize", data=tried)
            assert (answer.status_code, "location" in answer.headers) == (403, False)


@pytest.mark.outside("chromium")
async def test_b1_in_a_browser_another_site_can_neither_send_the_form_nor_frame_the_page(home: House) -> None:
    asked = await home.asked("blue", "files")
    evil = Page()
    async with serving(evil) as site, browser(home.origin, elsewhere=[site]) as person:
        site = site.replace("127.0.0.1", "localhost")  # another site: cookies of this one are not sent along
        await person.visit(home.origin + asked.path())
        await person.sign_in("ada@example.com", PASSWORD)
        form = hidden(await person.page.content())
        assert form["ticket"]

        fields = "".join(f'<input name="{name}" value="{_quoted(value)}">' for name, value in form.items())
        evil.html = (
            f'<form method=post action="{home.origin}/authorize">{fields}'
            "<button name=decision value=allow>Win a prize</button></form>"
        )
        await person.visit(f"{site}/")
        await person.press("Win a prize")
        assert "Not from here" in await person.text()
        assert not [url for url in person.redirects if url.startswith(REDIRECT)]

        evil.html = f'<p>Look<iframe src="{home.origin}{_quoted(asked.path())}"></iframe>'
        await person.visit(f"{site}/")
        frame = person.page.frames[1]
        assert not await frame.get_by_role("button", name="Allow").count()
        assert frame.url.startswith("chrome-error:")


async def test_b1_pages_forbid_frames_and_say_nothing_of_where_one_came_from(home: House) -> None:
    asked = await home.asked("blue")
    async with home.browser("ada") as browsing:
        pages = [await browsing.get(asked.path()), await browsing.get("/ui/sign-in"), await browsing.get("/ui/")]
    for page in pages:
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert page.headers["referrer-policy"] == "same-origin"
        assert page.headers["cache-control"] == "no-store"


async def test_a_cookie_planted_before_signing_in_is_not_the_session_after(home: House) -> None:
    planted = "A" * 43
    async with home.browser() as browsing:
        browsing.cookies.set("portkey", planted)
        answer = await signed_in(browsing, "ada")
        fresh = re.search(r"portkey=([^;]+); HttpOnly; Max-Age=\d+; Path=/; SameSite=lax", answer.headers["set-cookie"])
    assert fresh is not None
    assert fresh[1] != planted
    asked = await home.asked("blue")
    for cookie, status in ((planted, 303), (fresh[1], 200)):
        async with httpx2.AsyncClient(base_url=home.origin, cookies={"portkey": cookie}) as other:
            assert (await other.get(asked.path())).status_code == status


async def test_who_signs_in_anew_leaves_no_old_session_behind(home: House) -> None:
    async with home.browser("bob") as browsing:
        before = browsing.cookies["portkey"]
        await signed_in(browsing, "ada")
        assert browsing.cookies["portkey"] != before
    async with httpx2.AsyncClient(base_url=home.origin, cookies={"portkey": before}) as other:
        assert (await other.get("/ui/")).status_code == 303


async def test_guessing_a_password_is_slowed_for_the_account_whoever_guesses(guessed_at: House) -> None:
    async with guessed_at.browser() as browsing:
        for number in range(FREE_FOR_AN_ACCOUNT + 1):
            answer = await guess(browsing, "ada", f"a wrong password {number}", f"192.0.2.{number}")
            assert answer.status_code == 403
        right = await guess(browsing, "ada", PASSWORD, "192.0.2.99")
        assert right.status_code == 403  # in the pause nothing is looked at
        assert "set-cookie" not in right.headers
        assert (await guess(browsing, "bob", PASSWORD, "192.0.2.99")).status_code == 303


async def test_guessing_is_slowed_for_the_address_whosever_account_it_is(guessed_at: House) -> None:
    async with guessed_at.browser() as browsing:
        for number in range(FREE_FOR_AN_ADDRESS + 1):
            answer = await guess(browsing, f"nobody-{number}", "a wrong password", "192.0.2.7")
            assert answer.status_code == 403
        assert (await guess(browsing, "bob", PASSWORD, "192.0.2.7")).status_code == 403
        assert (await guess(browsing, "bob", PASSWORD, "192.0.2.8")).status_code == 303


async def guess(browsing: httpx2.AsyncClient, name: str, password: str, address: str) -> httpx2.Response:
    form = {"email": f"{name}@example.com", "password": password}
    return await browsing.post("/ui/sign-in", data=form, headers={"x-forwarded-for": address})


class Page:
    """A site of somebody else's, with one page."""

    def __init__(self) -> None:
        self.html = ""

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        if scope["type"] == "lifespan":
            while (await receive())["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        page = f'<!doctype html><html lang=en><link rel=icon href="data:,"><title>x</title>{self.html}'.encode()
        headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", b"%d" % len(page))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": page})


def _quoted(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;")
