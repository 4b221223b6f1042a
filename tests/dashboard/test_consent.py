"""`/authorize` as a browser meets it: what a person sees, and who can say yes to what."""

import html
import re
import time
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from portkey_mcp.dashboard.consent import SEAL, TICKET_LIFE
from portkey_mcp.oauth.clients import Clients
from portkey_mcp.trust import DeclaredClient, Trust
from portkey_mcp.wire import dumps, loads
from tests.dashboard.consenting import asked_by, decide, is_page_that_leads_nowhere, link_of, text_of
from tests.oauth.conftest import (
    BASE,
    OURS,
    REDIRECT,
    Asked,
    House,
    allowed,
    answer_of,
    hidden,
    house,
)
from tests.oauth.test_clients import DOCUMENT, Shelf

__all__ = ["house"]

pytestmark = pytest.mark.anyio

LOCAL = "http://localhost/callback"
ROOT = f"{BASE}/mcp"


async def test_k13_b1_the_page_says_who_asks_for_what_and_where_one_is_sent(house: House) -> None:
    async with house.signed_in() as browser:
        page = await browser.get((await asked_by(house, browser)).path())
    text = text_of(page)

    assert page.status_code == 200
    for said in ("Let Some App in?", "nobody has checked it", "Ada", "ada@example.com", "app.example", "Demo & Co"):
        assert said in text
    assert "admin" in text
    assert "Files & Co" in text
    assert "call tools" in text
    assert "your own computer" not in text


async def test_b9_who_may_only_read_is_not_said_to_call(house: House) -> None:
    async with house.signed_in() as browser:
        page = await browser.get((await asked_by(house, browser, scope="mcp:read")).path())

    assert "read them" in text_of(page)
    assert "call tools" not in text_of(page)


async def test_a15_a_document_is_vouched_for_by_its_host(house: House) -> None:
    house.server = replace(house.server, clients=Clients(house.database, lambda: house.trust, Shelf()))
    async with house.signed_in() as browser:
        page = await browser.get(Asked(DOCUMENT, redirect_uri="http://localhost:4000/callback").path())

    assert "app.example vouches for it" in text_of(page)
    assert "Sends you back to localhost" in text_of(page)


async def test_a_declared_client_was_set_up_here(house: House) -> None:
    house.trust = Trust(clients=(DeclaredClient("ours", "Our App", (REDIRECT,)),))
    async with house.signed_in() as browser:
        assert "set up by whoever runs this gateway" in text_of(await browser.get(Asked("ours").path()))


async def test_b1_b6_nobody_frames_the_page_or_runs_script_in_it(house: House) -> None:
    async with house.signed_in() as browser:
        page = await browser.get((await asked_by(house, browser)).path())
    policy = page.headers["content-security-policy"]

    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert "script" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert "<script" not in page.text


async def test_k13_hostile_names_are_shown_as_text(house: House) -> None:
    name = '<script>alert(1)</script>"\u3164'
    async with house.signed_in() as browser:
        ident = await house.registered(browser, client_name=name)
        page = await browser.get(Asked(ident).path())

    assert "<script" not in page.text
    assert '<script>alert(1)</script>"\\u{3164}' in text_of_head(page)


def text_of_head(page: httpx2.Response) -> str:
    found = re.search(r"<bdi>(.*?)</bdi>", page.text)
    assert found is not None
    return html.unescape(found[1])


async def test_a13_k14_saying_yes_leads_back_with_code_state_and_iss(house: House) -> None:
    async with house.signed_in() as browser:
        asked = await asked_by(house, browser)
        answer = await decide(browser, asked)
    told = answer_of(answer)

    assert answer.status_code == 303
    assert (told["state"], told["iss"], sorted(told)) == ("a state", BASE, ["code", "iss", "state"])
    assert answer.headers["referrer-policy"] == "no-referrer"


async def test_a13_saying_no_leads_back_with_an_error(house: House) -> None:
    async with house.signed_in() as browser:
        asked = await asked_by(house, browser)
        told = answer_of(await decide(browser, asked, decision="deny"))
        assert (told["error"], told["state"], told["iss"]) == ("access_denied", "a state", BASE)
        assert (await browser.get(asked.path())).status_code == 200


async def test_the_redirect_uri_is_not_written_anew(house: House) -> None:
    uri = "https://App.example/cb?a=%7e&b='x'"
    async with house.signed_in() as browser:
        answer = await decide(browser, await asked_by(house, browser, uri))

    assert answer.headers["location"].startswith(f"{uri}&code=")


@pytest.mark.parametrize("choice", ["", "none", "demo/files", "OTHER"])
async def test_b9_what_was_not_offered_cannot_be_chosen(house: House, choice: str) -> None:
    async with house.signed_in() as browser:
        answer = await decide(browser, await asked_by(house, browser, resource=ROOT), choice=choice)

    assert is_page_that_leads_nowhere(answer)
    assert "Choose a workspace" in text_of(answer)


async def test_b9_a_workspace_that_is_not_ones_own_cannot_be_chosen(house: House) -> None:
    async with house.signed_in("bob") as browser:
        asked = await asked_by(house, browser, resource=ROOT)
        code = (await allowed(browser, asked, choice="other"))["code"]
        told = (await browser.post("/token", data=asked.form(code))).json()
        assert (await house.principal(told["access_token"])).workspaces == {"demo": "member"}
        answer = await browser.get(replace(asked, resource=f"{BASE}/other/mcp").path())

    assert answer.status_code == 403
    assert "Nothing for you here" in answer.text
    back = {name: values[0] for name, values in parse_qs(urlsplit(link_of(answer)).query).items()}
    assert (back["error"], back["state"], back["iss"]) == ("access_denied", "a state", BASE)


async def test_k13_what_does_not_exist_looks_as_what_one_may_not_see(house: House) -> None:
    async with house.signed_in("bob") as browser:
        pages = [
            await browser.get((await asked_by(house, browser, resource=f"{BASE}/{place}/mcp")).path())
            for place in ("other", "none", "other/files", "demo/none")
        ]

    assert {page.status_code for page in pages} == {403}
    assert len({text_of(page) for page in pages}) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": BASE},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {},
    ],
)
async def test_b1_no_other_site_can_say_yes(house: House, headers: dict[str, str]) -> None:
    async with house.signed_in() as browser:
        answer = await decide(browser, await asked_by(house, browser), headers)

    assert answer.status_code == 403
    assert is_page_that_leads_nowhere(answer)
    assert await house.server.grants.of_workspace("demo") == []


async def test_b1_an_older_browser_says_origin(house: House) -> None:
    async with house.signed_in() as browser:
        assert "code" in answer_of(await decide(browser, await asked_by(house, browser), {"origin": BASE}))


async def test_b1_a_ticket_is_for_one_person(house: House) -> None:
    async with house.signed_in() as browser:
        asked = await asked_by(house, browser)
        ticket = hidden((await browser.get(asked.path())).text)["ticket"]
    async with house.signed_in("bob") as browser:
        answer = await decide(browser, asked, ticket=ticket)

    assert answer.status_code == 403
    assert is_page_that_leads_nowhere(answer)


async def test_b1_a_ticket_is_for_one_request(house: House) -> None:
    async with house.signed_in() as browser:
        asked = await asked_by(house, browser, scope="mcp:read")
        ticket = hidden((await browser.get(asked.path())).text)["ticket"]
        answer = await decide(browser, replace(asked, scope="mcp:call"), ticket=ticket)

    assert is_page_that_leads_nowhere(answer)


@pytest.mark.parametrize("wrong", ["", "nonsense", "a.b.c"])
async def test_a_ticket_that_is_none_counts_for_nothing(house: House, wrong: str) -> None:
    async with house.signed_in() as browser:
        assert is_page_that_leads_nowhere(await decide(browser, await asked_by(house, browser), ticket=wrong))


async def test_b1_a_ticket_does_not_last(house: House) -> None:
    async with house.signed_in() as browser:
        asked = await asked_by(house, browser)
        ticket = hidden((await browser.get(asked.path())).text)["ticket"]
        person, digest, what, ends = loads(house.keyring.open(ticket, SEAL))
        assert 0 < ends - time.time() <= TICKET_LIFE
        old = house.keyring.seal(dumps([person, digest, what, int(time.time()) - 1]), SEAL)
        answer = await decide(browser, asked, ticket=old)

    assert is_page_that_leads_nowhere(answer)


async def test_who_was_signed_out_meanwhile_says_yes_to_nothing(house: House) -> None:
    async with house.signed_in() as browser:
        asked = await asked_by(house, browser)
        form = hidden((await browser.get(asked.path())).text)
        await browser.post("/ui/sign-out", headers=OURS)
        answer = await browser.post("/authorize", data={**form, "decision": "allow"}, headers=OURS)

    assert answer.status_code == 403
    assert is_page_that_leads_nowhere(answer)


@pytest.mark.parametrize("decision", ["", "yes", "ALLOW"])
async def test_only_allow_allows(house: House, decision: str) -> None:
    async with house.signed_in() as browser:
        assert is_page_that_leads_nowhere(await decide(browser, await asked_by(house, browser), decision=decision))


async def test_what_is_no_form_of_the_page_is_refused(house: House) -> None:
    async with house.signed_in() as browser:
        for sent in ({"json": {"decision": "allow"}}, {"data": {"decision": "allow"}}, {"data": {"query": "x=1"}}):
            answer = await browser.post("/authorize", headers=OURS, **sent)  # type: ignore[arg-type]
            assert (answer.status_code, is_page_that_leads_nowhere(answer)) == (400, True)


@pytest.mark.parametrize(
    "path",
    [
        "/authorize",
        "/authorize?client_id=unknown&redirect_uri=https://evil.example",
        "/authorize?client_id={client}&redirect_uri=https://evil.example",
        "/authorize?client_id={client}&client_id={client}",
        "/authorize?client_id={client}&redirect_uri=https://app.example/callback&redirect_uri=https://evil.example",
        "/authorize?client_id={client}&redirect_uri=javascript:alert(1)&prompt=none",
    ],
)
async def test_a14_b6_what_cannot_be_trusted_is_never_redirected(house: House, path: str) -> None:
    async with house.signed_in() as browser:
        client = await house.registered(browser)
        answer = await browser.get(path.format(client=client))

    assert (answer.status_code, is_page_that_leads_nowhere(answer)) == (400, True)
    assert "href" not in answer.text.partition("<main")[2]


async def test_it_fails_closed_where_the_store_does(house: House) -> None:
    async with house.signed_in() as browser:
        asked = await asked_by(house, browser)
        form = {**hidden((await browser.get(asked.path())).text), "decision": "allow"}
        async with house.database.write() as session:
            await (await session.connection()).exec_driver_sql("DROP TABLE oauth_consents")
        for answer in (await browser.get(asked.path()), await browser.post("/authorize", data=form, headers=OURS)):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert is_page_that_leads_nowhere(answer)
