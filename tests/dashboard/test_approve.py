"""Who may decide, how often, from where; and that nothing in a call can speak for the page."""

import html
import re
import sqlite3
from collections.abc import Mapping
from datetime import timedelta

import pytest

from portkey_mcp.dashboard.approve import page_url
from portkey_mcp.errors import StoreDown
from portkey_mcp.identity.authenticate import LOCAL_ADMIN
from portkey_mcp.model import Principal
from portkey_mcp.policy.decide import Thing
from tests.dashboard.conftest import ORIGIN, Desk

pytestmark = pytest.mark.anyio

HOSTILE = "</pre></dd><script>alert(1)</script><img src=x onerror=alert(2)>'\"&{{7*7}}\u202e\u200b\x1b\U000e0041"


async def test_the_page_shows_who_asks_for_what_where_and_until_when(desk: Desk) -> None:
    path = await desk.ask({"arguments": {"path": "/etc/hosts", "mode": 420}})
    async with desk.browser() as browser:
        shown = await browser.get(path)

    text = html.unescape(shown.text)
    assert shown.status_code == 200
    for word in ("caller", "Demo & Co", "files", "write_file", '"path": "/etc/hosts"', '"mode": 420', "in 10 minutes"):
        assert word in text
    assert 'name="key" type="password" autocomplete="off"' in text
    assert "default-src 'none'" in shown.headers["content-security-policy"]
    assert shown.headers["cache-control"] == "no-store"


async def test_its_url_leads_to_the_page(desk: Desk) -> None:
    path = await desk.ask()
    assert page_url(ORIGIN, path.rpartition("/")[2]) == f"{ORIGIN}{path}"


async def test_looking_decides_nothing(desk: Desk) -> None:
    path = await desk.ask()
    async with desk.browser(local=LOCAL_ADMIN) as browser:
        for _ in range(3):
            assert (await browser.get(path, params={"decision": "approve"})).status_code == 200
        for method in ("HEAD", "PUT", "DELETE", "PATCH"):
            assert (await browser.request(method, path, params={"decision": "approve"})).status_code == 405
    assert await desk.claim() is None


async def test_who_called_may_approve_with_the_same_key_for_one_call(desk: Desk) -> None:
    path = await desk.ask()
    async with desk.browser() as browser:
        done = await browser.post(path, data={"decision": "approve", "key": f" {desk.keys['caller']} "})
        assert (done.status_code, "Approved" in done.text) == (200, True)
        assert desk.keys["caller"] not in done.text
    assert [await desk.claim() for _ in range(2)] == ["granted", None]
    assert [one.decided_by for one in await desk.approvals.recent("demo")] == [desk.whose["caller"].id]


async def test_a_denial_is_told_to_the_call(desk: Desk) -> None:
    path = await desk.ask()
    async with desk.browser() as browser:
        done = await browser.post(path, data={"decision": "deny", "key": desk.keys["caller"]})
        assert (done.status_code, "Denied" in done.text) == (200, True)
    assert await desk.claim() == "denied"


@pytest.mark.parametrize("role", ["owner", "admin"])
async def test_who_rules_the_workspace_may_decide(desk: Desk, role: str) -> None:
    await desk.key("boss", role=role)
    path = await desk.ask()
    async with desk.browser() as browser:
        assert (await browser.post(path, data={"decision": "approve", "key": desk.keys["boss"]})).status_code == 200
    assert await desk.claim() == "granted"


@pytest.mark.parametrize(("workspace", "role"), [("demo", "member"), ("demo", "viewer"), ("other", "owner")])
async def test_nobody_else_may_and_the_page_says_so(desk: Desk, workspace: str, role: str) -> None:
    await desk.key("stranger", workspace, role)
    path = await desk.ask()
    async with desk.browser() as browser:
        refused = await browser.post(path, data={"decision": "approve", "key": desk.keys["stranger"]})
        assert refused.status_code == 403
        assert "This key may not decide here." in refused.text
        assert "4 tries left" in refused.text
        assert 'name="decision" value="approve"' in refused.text
        assert desk.keys["stranger"] not in refused.text
    assert await desk.claim() is None


async def test_wrong_keys_are_counted_and_the_fifth_denies(desk: Desk) -> None:
    path = await desk.ask()
    async with desk.browser() as browser:
        for left in (4, 3, 2, 1):
            refused = await browser.post(path, data={"decision": "approve", "key": f"pk_wrong{left}"})
            assert refused.status_code == 403
            assert f"{left} {'try' if left == 1 else 'tries'} left" in refused.text
        last = await browser.post(path, data={"decision": "approve", "key": "not even one"})
        assert (last.status_code, "Too many wrong keys" in last.text) == (403, True)
        right = await browser.post(path, data={"decision": "approve", "key": desk.keys["caller"]})
        assert (right.status_code, "Denied already" in right.text) == (410, True)
    assert await desk.claim() == "denied"


async def test_a_form_without_a_key_or_a_choice_decides_nothing_and_costs_no_try(desk: Desk) -> None:
    path = await desk.ask()
    async with desk.browser() as browser:
        for _ in range(6):
            assert (await browser.post(path, data={"decision": "approve", "key": " "})).status_code == 403
            for data in ({"key": desk.keys["caller"]}, {"key": desk.keys["caller"], "decision": "yes"}):
                assert (await browser.post(path, data=data)).status_code == 400
        assert (await browser.get(path)).status_code == 200
    assert await desk.claim() is None


async def test_without_authentication_a_click_is_enough(desk: Desk) -> None:
    path = await desk.ask()
    async with desk.browser(local=LOCAL_ADMIN) as browser:
        assert "password" not in (await browser.get(path)).text
        assert (await browser.post(path, data={"decision": "approve"})).status_code == 200
    assert await desk.claim() == "granted"


async def test_a_link_that_leads_nowhere_any_more_says_what_to_do(desk: Desk) -> None:
    paths = {"Approved already": await desk.ask({"arguments": {"a": 1}}), "Denied already": await desk.ask()}
    expired = await desk.ask({"arguments": {"a": 2}})
    async with desk.browser(local=LOCAL_ADMIN) as browser:
        await browser.post(paths["Approved already"], data={"decision": "approve"})
        await browser.post(paths["Denied already"], data={"decision": "deny"})
        desk.late = timedelta(minutes=10)
        cases = [(410, title, path) for title, path in paths.items()]
        cases += [(410, "Expired", expired), (404, "Nothing to approve", "/ui/approve/unknown")]
        for status, title, path in cases:
            for answer in (await browser.get(path), await browser.post(path, data={"decision": "approve"})):
                assert answer.status_code == status, title
                assert title in answer.text
                assert "make the call again" in answer.text
                assert "<form" not in answer.text


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"origin": ORIGIN}, True),
        ({"origin": ORIGIN.upper()}, True),
        ({}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site", "origin": ORIGIN}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://gateway.example.evil.example"}, False),
        ({"origin": "https://gateway.example"}, False),
        ({"origin": "http://gateway.example:81"}, False),
    ],
)
async def test_no_other_site_can_make_a_browser_decide(desk: Desk, headers: Mapping[str, str], ours: bool) -> None:
    path = await desk.ask()
    async with desk.browser(local=LOCAL_ADMIN, headers=headers) as browser:
        answer = await browser.post(path, data={"decision": "approve"})
        assert answer.status_code == (200 if ours else 403)
    assert await desk.claim() == ("granted" if ours else None)


async def test_names_and_arguments_cannot_speak_for_the_page(desk: Desk) -> None:
    await desk.key(HOSTILE.replace("\x1b", ""))
    thing, params = Thing("tool", "files", HOSTILE), {"arguments": {HOSTILE: HOSTILE, "long": HOSTILE * 100}}
    path = await desk.ask(params, thing, HOSTILE.replace("\x1b", ""))
    async with desk.browser() as browser:
        for shown in (await browser.get(path), await browser.post(path, data={"decision": "deny", "key": HOSTILE})):
            assert not re.search(r"<script|<img|</pre></dd>", shown.text)
            assert "{{7*7}}" in html.unescape(shown.text)
            assert not set(shown.text) & set("\u202e\u200b\x1b\U000e0041")
            assert all(written in shown.text for written in ("\\u{202e}", "\\u{200b}", "\\u{e0041}"))


async def test_long_arguments_are_shortened_and_can_be_read_whole(desk: Desk) -> None:
    path = await desk.ask({"arguments": {"body": "start" + "x" * 5000 + "end", "to": "everybody"}})
    async with desk.browser() as browser:
        text = html.unescape((await browser.get(path)).text)
    short, full = re.findall(r"<pre.*?>(.*?)</pre>", text, re.S)
    assert "characters more)" in short
    assert '"to": "everybody"' in short
    assert "start" + "x" * 5000 + "end" in full


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"decision=approve&key=" + b"x" * 70_000, "application/x-www-form-urlencoded"),
        (b"&".join(b"a%d=1" % n for n in range(100)), "application/x-www-form-urlencoded"),
        (b"decision=\xff", "application/x-www-form-urlencoded"),
        (b'{"decision": "approve"}', "application/json"),
        (b"decision=approve", "text/plain"),
        (b"decision=approve", ""),
    ],
)
async def test_what_is_not_the_pages_form_is_not_understood(desk: Desk, body: bytes, kind: str) -> None:
    path = await desk.ask()
    async with desk.browser(local=LOCAL_ADMIN) as browser:
        assert (await browser.post(path, content=body, headers={"content-type": kind})).status_code == 400
    assert await desk.claim() is None


async def test_when_the_store_is_down_nothing_is_decided(desk: Desk) -> None:
    path = await desk.ask()
    connection = sqlite3.connect(desk.database.path)
    connection.execute("ALTER TABLE approvals RENAME TO gone")
    async with desk.browser(local=LOCAL_ADMIN) as browser:
        for answer in (await browser.get(path), await browser.post(path, data={"decision": "approve"})):
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "5"
            assert "no such table" not in answer.text
    connection.execute("ALTER TABLE gone RENAME TO approvals")
    connection.close()
    assert await desk.claim() is None


async def test_when_keys_cannot_be_verified_nothing_is_decided(desk: Desk) -> None:
    async def failing(_: Mapping[str, str]) -> Principal:
        raise StoreDown("the disk is gone")

    path = await desk.ask()
    async with desk.browser(authenticate=failing) as browser:
        assert (await browser.post(path, data={"decision": "approve", "key": "k"})).status_code == 503
    assert await desk.claim() is None


async def test_of_two_who_decide_the_second_is_told_so(desk: Desk) -> None:
    path = await desk.ask()

    async def slow(headers: Mapping[str, str]) -> Principal:
        """While this key is checked, somebody else denies."""
        await desk.approvals.decide(path.rpartition("/")[2], False, "somebody")
        return await desk.identity.authenticate(headers)

    async with desk.browser(authenticate=slow) as browser:
        answer = await browser.post(path, data={"decision": "approve", "key": desk.keys["caller"]})
        assert (answer.status_code, "Denied already" in answer.text) == (410, True)
    assert await desk.claim() == "denied"


@pytest.mark.parametrize("role", ["owner", "admin"])
async def test_who_is_signed_in_and_rules_the_workspace_decides_without_a_key(desk: Desk, role: str) -> None:
    await desk.person("boss", role=role)
    path = await desk.ask()
    async with desk.browser() as browser:
        await desk.sign_in(browser, "boss")
        shown = (await browser.get(path)).text
        assert ("You decide as <bdi>Boss</bdi>" in shown, 'name="key"' in shown) == (True, False)
        assert (await browser.post(path, data={"decision": "approve"})).status_code == 200
    assert await desk.claim() == "granted"
    assert [one.decided_by for one in await desk.approvals.recent("demo")] == [desk.whose["boss"].id]


async def test_who_called_decides_about_the_own_call_by_being_signed_in(desk: Desk) -> None:
    await desk.person("ann", role="viewer")
    path = await desk.ask(who="ann")
    async with desk.browser() as browser:
        await desk.sign_in(browser, "ann")
        done = await browser.post(path, data={"decision": "deny", "key": "what a browser filled in by itself"})
        assert (done.status_code, "Denied" in done.text) == (200, True)
    assert [one.decided_by for one in await desk.approvals.recent("demo")] == [desk.whose["ann"].id]


@pytest.mark.parametrize(("workspace", "role"), [("demo", "member"), ("other", "owner"), (None, "member")])
async def test_who_is_signed_in_and_may_not_decide_is_told_what_would_help(
    desk: Desk, workspace: str | None, role: str
) -> None:
    await desk.person("eve", workspace, role)
    path = await desk.ask()
    async with desk.browser() as browser:
        await desk.sign_in(browser, "eve")
        shown = (await browser.get(path)).text
        assert "You are signed in as <bdi>Eve</bdi>, who may not decide" in shown
        assert f'href="/ui/sign-in?next={path}"' in shown
        for _ in range(6):
            refused = await browser.post(path, data={"decision": "approve"})
            assert (refused.status_code, "You may not decide here." in refused.text) == (403, True)
        assert await desk.claim() is None
        assert (await browser.post(path, data={"decision": "approve", "key": "pk_wrong"})).status_code == 403
        done = await browser.post(path, data={"decision": "approve", "key": desk.keys["caller"]})
        assert done.status_code == 200
    assert await desk.claim() == "granted"


async def test_who_is_not_signed_in_is_led_there_and_back(desk: Desk) -> None:
    await desk.person("boss", role="admin")
    path = await desk.ask()
    async with desk.browser() as browser:
        link = re.search(r'<a href="(/ui/sign-in[^"]*)">Sign in</a> to decide', (await browser.get(path)).text)
        assert link is not None
        onto = re.search(r'name="next" value="([^"]*)"', (await browser.get(link[1])).text)
        assert onto is not None
        done = await desk.sign_in(browser, "boss", next=onto[1])
        assert done.headers["location"] == path
        assert "You decide as" in (await browser.get(path)).text


async def test_who_was_signed_out_meanwhile_decides_nothing(desk: Desk) -> None:
    await desk.person("boss", role="admin")
    path = await desk.ask()
    async with desk.browser() as browser:
        await desk.sign_in(browser, "boss")
        await desk.sessions.end_all(desk.whose["boss"].id)
        refused = await browser.post(path, data={"decision": "approve"})
        assert (refused.status_code, "Sign in or give your API key" in refused.text) == (403, True)
    assert await desk.claim() is None


async def test_no_other_site_can_make_the_browser_of_one_who_is_signed_in_decide(desk: Desk) -> None:
    await desk.person("boss", role="admin")
    path = await desk.ask()
    async with desk.browser() as browser:
        await desk.sign_in(browser, "boss")
        for site in ("cross-site", "same-site"):
            answer = await browser.post(path, data={"decision": "approve"}, headers={"sec-fetch-site": site})
            assert answer.status_code == 403
    assert await desk.claim() is None


async def test_a_hostile_name_of_one_who_is_signed_in_cannot_speak_for_the_page(desk: Desk) -> None:
    await desk.person("boss", role="admin", shown="</p><script>alert(1)</script>")
    path = await desk.ask()
    async with desk.browser() as browser:
        await desk.sign_in(browser, "boss")
        assert "<script" not in (await browser.get(path)).text
