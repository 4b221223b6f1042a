"""The front page tells the truth: who, where, as what, and in which browsers."""

import html
import re

import pytest

from portkey_mcp.identity.authenticate import LOCAL_ADMIN
from tests.dashboard.conftest import Desk

pytestmark = pytest.mark.anyio

SAFARI = "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605"
CHROME = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537"
EDGE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/5 Edg/140.0"
)


async def test_who_is_not_signed_in_is_sent_to_do_so(desk: Desk) -> None:
    async with desk.browser() as browser:
        answer = await browser.get("/ui/")
        assert (answer.status_code, answer.headers["location"]) == (303, "/ui/sign-in")
        bare = await browser.get("/ui")
        assert (bare.status_code, bare.headers["location"]) == (303, "/ui/")


async def test_it_shows_every_workspace_of_the_person_with_the_role_there_and_no_other(desk: Desk) -> None:
    await desk.person("ann", role="viewer")
    async with desk.browser() as browser:
        await desk.sign_in(browser, "ann")
        shown = await browser.get("/ui/")
    text = re.sub(r"<[^>]+>", "", html.unescape(shown.text))
    assert (shown.status_code, shown.headers["cache-control"]) == (200, "no-store")
    assert re.search(r"Demo & Co demo\s*viewer", text)
    assert "other" not in text
    assert "You are signed in" in text


async def test_who_is_in_no_workspace_is_told_what_helps(desk: Desk) -> None:
    await desk.person("ann", workspace=None)
    async with desk.browser() as browser:
        await desk.sign_in(browser, "ann")
        assert "You are in none yet. An admin of a workspace can take you in." in (await browser.get("/ui/")).text


async def test_it_lists_the_browsers_in_words_this_one_first(desk: Desk) -> None:
    await desk.person("ann")
    for agent in (SAFARI, CHROME, EDGE, "curl/8 <b>\u202e", ""):
        await desk.sessions.begin(desk.whose["ann"].id, agent, "10.0.0.7")
    async with desk.browser() as browser:
        await desk.sign_in(browser, "ann")
        text = (await browser.get("/ui/")).text
    listed = re.findall(r"<li><bdi>(.*?)</bdi>.*?</li>", text)
    assert sorted(listed[1:]) == [
        *("A browser that tells nothing of itself", "Chrome on Android", "Edge on Windows", "Safari on macOS"),
        "curl/8 &lt;b&gt;\\u{202e}",
    ]
    assert "This browser · <bdi>10.0.0.1</bdi>" in text.split("<li>")[1]
    assert text.count("· <bdi>10.0.0.7</bdi>") == text.count("Last seen") == 5


async def test_a_name_cannot_speak_for_the_page(desk: Desk) -> None:
    await desk.person("ann", shown="</h1><script>alert(1)</script>{{7*7}}")
    async with desk.browser() as browser:
        await desk.sign_in(browser, "ann")
        text = (await browser.get("/ui/")).text
    assert "&lt;/h1&gt;&lt;script&gt;" in text
    assert "<script" not in text
    assert "{{7*7}}" in text


async def test_without_authentication_everybody_is_the_admin_and_there_is_nothing_to_sign_out_of(desk: Desk) -> None:
    async with desk.browser(local=LOCAL_ADMIN) as browser:
        text = (await browser.get("/ui/")).text
    assert "Nobody needs to sign in" in text
    assert re.search(r"Demo &amp; Co</bdi> <code>demo</code></dt><dd>admin", text)
    assert "<form" not in text
