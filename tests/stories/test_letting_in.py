"""Ways through `/authorize`: what comes before the question, what is remembered, and where a person ends up."""

import re
from dataclasses import replace
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from portkey_mcp.oauth.clients import Clients
from portkey_mcp.trust import DeclaredClient, Trust
from tests.dashboard.consenting import asked_by, decide, link_of, text_of
from tests.oauth.conftest import (
    BASE,
    DIRECTORY,
    OURS,
    PASSWORD,
    REDIRECT,
    Asked,
    House,
    allowed,
    answer_of,
    hidden,
    house,
    tokens,
)
from tests.oauth.test_clients import DOCUMENT, Shelf

__all__ = ["house"]

pytestmark = pytest.mark.anyio

LOCAL = "http://localhost/callback"
ROOT = f"{BASE}/mcp"


async def test_b8_k13_an_app_on_the_own_computer_is_warned_of_and_asked_about_each_time(house: House) -> None:
    async with house.signed_in() as browser:
        asked = await asked_by(house, browser, LOCAL)
        for port in (4000, 4001):
            moved = replace(asked, redirect_uri=f"http://localhost:{port}/callback")
            page = await browser.get(moved.path())
            assert page.status_code == 200
            assert "your own computer" in text_of(page)
            answer = await decide(browser, moved)
            assert answer.headers["location"].startswith(f"http://localhost:{port}/callback?code=")
        assert (await browser.get(asked.path())).status_code == 200


async def test_b1_a_yes_is_remembered_for_that_app_and_redirect_and_not_for_more(house: House) -> None:
    async with house.signed_in() as browser:
        ident = await house.registered(browser, redirect_uris=[REDIRECT, f"{REDIRECT}/two"])
        asked = Asked(ident, scope="mcp:read")
        await allowed(browser, asked)
        again = await browser.get(asked.path())
        assert sorted(answer_of(again)) == ["code", "iss", "state"]

        other = await house.registered(browser, client_name="Another")
        for more in (
            replace(asked, scope="mcp:read mcp:call"),
            replace(asked, scope=None),
            replace(asked, redirect_uri=f"{REDIRECT}/two"),
            replace(asked, resource=f"{BASE}/demo/mcp"),
            replace(asked, more={"prompt": "consent"}),
            replace(asked, client=other),
        ):
            assert (await browser.get(more.path())).status_code == 200
    async with house.signed_in("bob") as browser:
        assert (await browser.get(asked.path())).status_code == 200


async def test_k8_at_the_root_a_person_chooses_the_workspace(house: House) -> None:
    async with house.signed_in() as browser:
        for resource in (ROOT, None, BASE):
            asked = await asked_by(house, browser, resource=resource)
            page = await browser.get(asked.path())
            assert re.findall(r'type="radio" name="choice" value="(\w+)"', page.text) == ["demo", "other"]
            code = (await allowed(browser, asked, choice="other"))["code"]
            told = (await browser.post("/token", data=asked.form(code))).json()
            principal = await house.principal(told["access_token"])
            assert (principal.reach, principal.workspaces) == ("other", {"other": "member"})


async def test_a_yes_among_several_is_not_remembered(house: House) -> None:
    async with house.signed_in() as browser:
        asked = await asked_by(house, browser, resource=ROOT)
        await allowed(browser, asked, choice="other")

        assert (await browser.get(asked.path())).status_code == 200


async def test_who_is_in_one_workspace_is_not_asked_which(house: House) -> None:
    async with house.signed_in("bob") as browser:
        asked = await asked_by(house, browser, resource=ROOT)
        assert "radio" not in (await browser.get(asked.path())).text
        told = await tokens(browser, asked)

    assert (await house.principal(told["access_token"])).reach == "demo"


async def test_who_is_not_signed_in_signs_in_first_and_comes_back(house: House) -> None:
    async with house.browser() as browser:
        asked = await asked_by(house, browser)
        answer = await browser.get(asked.path())
        onto = parse_qs(urlsplit(answer.headers["location"]).query)["next"][0]

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/ui/sign-in?next=")
    assert onto == asked.path()


async def test_a_step_in_between_leads_through_it_and_then_to_the_client(house: House) -> None:
    house.steps["demo/files"] = "/connect/demo/files"
    async with house.signed_in() as browser:
        asked = await asked_by(house, browser, LOCAL)
        answer = await decide(browser, asked)
        path, _, onto = answer.headers["location"].partition("?next=")
        assert (answer.status_code, path) == (303, "/connect/demo/files")
        back = await browser.get(unquote(onto))
        assert answer_of(back)["state"] == "a state"
        told = await browser.post("/token", data=asked.form(answer_of(back)["code"]))

    assert told.status_code == 200


async def test_b1_b4_what_was_agreed_before_the_step_is_for_that_person_and_request(house: House) -> None:
    house.steps["demo/files"] = "/connect/demo/files"
    async with house.signed_in() as browser:
        asked = await asked_by(house, browser, LOCAL, scope="mcp:read")
        onto = unquote((await decide(browser, asked)).headers["location"].partition("?next=")[2])
        ticket = onto.partition("&agreed=")[2]
        for wrong in (
            f"{replace(asked, scope='mcp:call').path()}&agreed={ticket}",
            f"{asked.path()}&agreed={ticket[:-2]}",
            f"{asked.path()}&agreed={hidden((await browser.get(asked.path())).text)['ticket']}",
            f"{onto}&agreed={ticket}",
        ):
            assert "code=" not in (await browser.get(wrong)).headers.get("location", "")
    async with house.signed_in("bob") as browser:
        assert (await browser.get(onto)).status_code == 200


async def test_the_choice_made_before_the_step_is_kept(house: House) -> None:
    house.steps["other"] = "/connect/other/x"
    async with house.signed_in() as browser:
        asked = await asked_by(house, browser, resource=ROOT)
        onto = unquote((await decide(browser, asked, choice="other")).headers["location"].partition("?next=")[2])
        told = (await browser.post("/token", data=asked.form(answer_of(await browser.get(onto))["code"]))).json()

    assert (await house.principal(told["access_token"])).reach == "other"


async def test_prompt_none_never_shows_a_page(house: House) -> None:
    silent = {"prompt": "none"}
    async with house.browser() as stranger:
        asked = await asked_by(house, stranger, more=silent)
        told = answer_of(await stranger.get(asked.path()))
        assert (told["error"], told["state"], told["iss"]) == ("login_required", "a state", BASE)
    async with house.signed_in() as browser:
        told = answer_of(await browser.get(asked.path()))
        assert (told["error"], told["state"], told["iss"]) == ("consent_required", "a state", BASE)
        nothing = answer_of(await browser.get(replace(asked, resource=f"{BASE}/none/mcp").path()))
        assert (nothing["error"], nothing["iss"]) == ("access_denied", BASE)
        await allowed(browser, replace(asked, more={}))
        assert "code" in answer_of(await browser.get(asked.path()))


@pytest.mark.parametrize("kind", ["registered", "document", "declared"])
async def test_a_strangers_app_gets_nobody_sent_anywhere_who_is_not_signed_in(house: House, kind: str) -> None:
    house.server = replace(house.server, clients=Clients(house.database, lambda: house.trust, Shelf()))
    house.trust = Trust(clients=(DeclaredClient("ours", "Ours", (LOCAL,)),))
    async with house.browser() as stranger:
        ident = {"document": DOCUMENT, "declared": "ours"}.get(kind) or await house.registered(
            stranger, redirect_uris=[LOCAL]
        )
        asked = Asked(ident, redirect_uri=LOCAL, scope="admin")
        answer = await stranger.get(asked.path())
    async with house.signed_in() as browser:
        told = answer_of(await browser.get(asked.path()))

    assert (told["error"], told["state"], told["iss"]) == ("invalid_scope", "a state", BASE)
    if kind == "declared":
        assert answer_of(answer) == told
    else:
        assert (answer.status_code, "location" in answer.headers) == (400, False)
        assert link_of(answer).startswith(f"{LOCAL}?error=invalid_scope")
        assert "iss=https" in link_of(answer)


async def test_a13_b8_who_begins_at_an_alias_signs_in_at_the_public_url_and_is_answered_for_the_alias(
    house: House,
) -> None:
    async with house.browser("https://files.example") as browser:
        asked = await asked_by(house, browser, resource="https://files.example/mcp")
        answer = await browser.get(asked.path())
    onto = answer.headers["location"]

    assert (answer.status_code, onto) == (302, f"{BASE}{asked.path()}&via=files.example")
    async with house.signed_in() as browser:
        page = await browser.get(onto)
        form = {**hidden(page.text), "decision": "allow"}
        told = answer_of(await browser.post("/authorize", data=form, headers=OURS))
        assert told["iss"] == "https://files.example"
        got = await browser.post("/token", data=asked.form(told["code"], resource="https://files.example/mcp"))

    assert (await house.principal(got.json()["access_token"])).reach == "demo/files"


async def test_a_host_nobody_configured_redirects_nobody(house: House) -> None:
    async with house.browser("https://evil.example") as browser:
        answer = await browser.get((await asked_by(house, browser)).path())

    assert answer.headers["location"].startswith("/ui/sign-in")


async def test_below_a_path_the_form_and_the_way_back_stay_below_it(house: House) -> None:
    there = House(house.database, house.identity, house.keyring, base=f"{BASE}/tools")
    async with there.browser(BASE) as browser:
        await browser.post("/ui/sign-in", data={"email": "ada@example.com", "password": PASSWORD}, headers=OURS)
        asked = await asked_by(there, browser, resource=f"{BASE}/tools/demo/mcp")
        page = await browser.get(asked.path())
        told = await allowed(browser, asked)

    assert 'action="/tools/authorize"' in page.text
    assert told["iss"] == f"{BASE}/tools"


async def test_a_server_that_was_taken_away_meanwhile_is_nothing_to_say_yes_to(house: House) -> None:
    async with house.signed_in() as browser:
        asked = await asked_by(house, browser)
        form = {**hidden((await browser.get(asked.path())).text), "decision": "allow"}
        demo = DIRECTORY.workspaces["demo"]
        house.directory = replace(DIRECTORY, workspaces={"demo": replace(demo, servers={})})
        answer = await browser.post("/authorize", data=form, headers=OURS)

    assert answer.status_code == 403
    assert await house.server.grants.of_workspace("demo") == []


async def test_b1_what_was_agreed_before_a_step_is_no_ticket_of_the_page(house: House) -> None:
    house.steps["demo/files"] = "/connect/demo/files"
    async with house.signed_in() as browser:
        asked = await asked_by(house, browser, LOCAL)
        agreed = unquote((await decide(browser, asked)).headers["location"]).partition("&agreed=")[2]

        assert (await decide(browser, asked, ticket=agreed)).status_code == 403
