"""A person connects an account on our page and comes back; nobody else, nothing else, and nowhere else."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import httpx2
import pytest

from portkey_mcp.dashboard.consent import AGREED
from portkey_mcp.errors import StoreDown
from portkey_mcp.identity.authenticate import LOCAL_ADMIN
from portkey_mcp.model import Access
from portkey_mcp.proof import AccountAuth, OAuthClient
from portkey_mcp.vault.asked import LIFE, ConnectLinks
from portkey_mcp.vault.connection import Place
from portkey_mcp.vault.flows import Flows
from tests.dashboard.connecting_pages import LINEAR, Pages, back, connected, hidden, pages_at, sent
from tests.dashboard.consenting import text_of
from tests.oauth.conftest import OURS, REDIRECT, Asked
from tests.oauth.conftest import hidden as agreed
from tests.vault.connecting_house import ACCESS, CODE, SECRETS

pytestmark = pytest.mark.anyio

FOREIGN: list[dict[str, str]] = [{}, {"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}]


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Pages]:
    async with pages_at(tmp_path) as made:
        yield made


async def accounts(pages: Pages) -> list[Place]:
    return [one.place for one in await pages.vault.connecting().connections.of_workspace("demo")]


async def test_b1_the_page_says_where_one_is_sent_and_for_what_before_anything_happens(pages: Pages) -> None:
    async with pages.browser("bob") as browser:
        page = await browser.get(LINEAR)
    text = text_of(page)

    assert page.status_code == 200
    for said in ("Your account at Linear", "Bob", "demo", "you alone", "not connected", "read , write"):
        assert said in text
    assert f"Go on to {pages.vault.outside.origin.removeprefix('http://')}" in text
    assert "/register" not in pages.vault.outside.paths


async def test_b1_b6_nobody_frames_the_page_or_runs_script_in_it_and_others_learn_nothing_of_it(pages: Pages) -> None:
    async with pages.browser("bob") as browser:
        page = await browser.get(LINEAR)
        form = await browser.post(LINEAR, data=hidden(page.text), headers=OURS)
    policy = page.headers["content-security-policy"]

    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert "form-action" not in policy  # browsers hold it against the redirect after the form, too
    assert "<script" not in page.text
    assert page.headers["cache-control"] == form.headers["cache-control"] == "no-store"
    assert form.headers["referrer-policy"] == "no-referrer"


async def test_an_account_is_connected_though_every_step_is_at_another_process(pages: Pages) -> None:
    async with pages.browser("bob") as browser:
        asked = await sent(browser)
        async with pages.at_other_process(browser) as other:
            answer = await other.get(back(asked))
            done = await other.get(answer.headers["location"])

    assert (answer.status_code, answer.headers["location"]) == (303, f"{LINEAR}?done=1")
    assert "Connected" in text_of(done)
    assert "Go back to your app" in text_of(done)
    assert await accounts(pages) == [Place("demo", "linear", pages.who("bob").id)]
    [act] = pages.acts
    assert (act.act, act.outcome, act.who, act.workspace, act.subject) == (
        *("connect", "done", pages.who("bob"), "demo", "linear"),
    )
    assert act.detail == {"for": "one person", "issuer": pages.vault.outside.origin, "scopes": "read write"}


async def test_nothing_of_a_code_state_or_token_is_on_a_page_or_in_an_act(pages: Pages) -> None:
    async with pages.browser("bob") as browser:
        asked = await sent(browser)
        seen = [await browser.get(back(asked)), await browser.get(back(asked)), await browser.get(LINEAR)]
        seen.append(await browser.get("/ui/"))
    said = " ".join([*(one.text + str(one.headers) for one in seen), *map(str, pages.acts)])

    for secret in (*SECRETS, asked["state"]):
        assert secret not in said


async def test_who_is_not_signed_in_signs_in_first_and_comes_back_with_the_whole_link(pages: Pages) -> None:
    link = urlsplit(pages.links.url(pages.vault.server(), pages.who("bob").id))
    async with pages.browser() as browser:
        answer = await browser.get(f"{link.path}?{link.query}&next=%2Fui%2F")
        onto = parse_qs(urlsplit(answer.headers["location"]).query)["next"][0]
        form = {"email": "bob@example.com", "password": "a fine long password", "next": onto}
        signed_in = await browser.post("/ui/sign-in", data=form, headers=OURS)
        page = await browser.get(signed_in.headers["location"])

    assert answer.status_code == 303
    assert "Go on to" in text_of(page)
    assert set(hidden(page.text)) == {"asked", "next", "shown"}


@pytest.mark.parametrize(
    "path", ["/connect/demo/open", "/connect/demo/few", "/connect/demo/none", "/connect/no/linear"]
)
async def test_what_takes_no_account_or_may_not_be_used_is_not_there(pages: Pages, path: str) -> None:
    async with pages.browser("bob") as browser, pages.browser("eve") as eve:
        answers = [await browser.get(path), await browser.post(path, headers=OURS, data={"shown": "x"})]
        answers.append(await eve.get(LINEAR))

    assert [one.status_code for one in answers] == [404] * 3
    assert len({text_of(one) for one in answers}) == 1


async def test_a29_a_link_that_was_made_for_somebody_else_begins_nothing(pages: Pages) -> None:
    """Phishing: Bob called, and lures Cem into connecting an account for that call."""
    link = pages.links.url(pages.vault.server(), pages.who("bob").id).removeprefix(pages.base)
    async with pages.browser("cem") as browser:
        page = await browser.get(link)
        fresh = hidden((await browser.get(LINEAR)).text)
        asked = parse_qs(urlsplit(link).query)["asked"][0]
        posted = await browser.post(LINEAR, data={**fresh, "asked": asked}, headers=OURS)

    for answer in (page, posted):
        assert answer.status_code == 403
        assert "made for somebody else who called. You are signed in as Cem" in text_of(answer)
        assert "Bob" not in answer.text
    assert "/register" not in pages.vault.outside.paths


async def test_a29_the_link_works_for_whom_it_was_made_and_a_day(pages: Pages) -> None:
    bob, server = pages.who("bob").id, pages.vault.server()
    early = ConnectLinks(pages.vault.keyring, pages.links._addresses, lambda: 1000.0 - LIFE)
    async with pages.browser("bob") as browser:
        good = await connected(browser, pages.links.url(server, bob).removeprefix(pages.base))
        old = await browser.get(early.url(server, bob))
        broken = await browser.get(f"{LINEAR}?asked=v1.k1.nonsense")

    assert good.status_code == 303
    assert (old.status_code, broken.status_code) == (410, 400)


@pytest.mark.parametrize("headers", FOREIGN)
async def test_b1_another_site_makes_nobody_begin(pages: Pages, headers: dict[str, str]) -> None:
    async with pages.browser("bob") as browser:
        form = hidden((await browser.get(LINEAR)).text)
        answer = await browser.post(LINEAR, data=form, headers=headers)
        entered = await browser.post("/connect/demo/keys", data={"enter.KEY": "k", "enter.ORG": "o"}, headers=headers)

    assert (answer.status_code, entered.status_code) == (403, 403)
    assert "location" not in answer.headers
    assert await accounts(pages) == []


async def test_b1_where_it_leads_elsewhere_by_now_it_is_shown_once_more(pages: Pages) -> None:
    async with pages.browser("bob") as browser:
        form = hidden((await browser.get(LINEAR)).text)
        pages.vault.serve(authorization_endpoint="https://elsewhere.example/authorize")
        answer = await browser.post(LINEAR, data=form, headers=OURS)
        without = await browser.post(LINEAR, data={"next": "/ui/"}, headers=OURS)

    assert (answer.status_code, without.status_code) == (409, 409)
    assert "elsewhere.example" in text_of(answer)


async def test_a29_another_person_does_not_finish_and_the_answer_is_then_of_no_use(pages: Pages) -> None:
    """A lured person: Cem is made to end what Bob began."""
    async with pages.browser("bob") as bob, pages.browser("cem") as cem, pages.browser() as nobody:
        lured = await cem.get(back(await sent(bob)))
        signed_out = await nobody.get(back(asked := await sent(bob)))
        late = await bob.get(back(asked))

    assert [one.status_code for one in (lured, signed_out, late)] == [403] * 3
    assert "somebody else" in text_of(lured)
    assert pages.vault.asked_token() == []
    assert await accounts(pages) == []
    assert [(act.act, act.outcome) for act in pages.acts] == [("connect", "refused")] * 3


async def test_a24_a_state_is_good_once_and_a_second_of_anything_is_not_read(pages: Pages) -> None:
    async with pages.browser("bob") as browser:
        asked = await sent(browser)
        twice = await browser.get(back(asked) + "&code=another")
        good = await browser.get(back(asked))
        again = await browser.get(back(asked))

    assert (twice.status_code, good.status_code, again.status_code) == (400, 303, 403)
    assert len(pages.vault.asked_token()) == 1


async def test_a24_an_answer_that_says_another_issuer_shows_nothing_of_itself(pages: Pages) -> None:
    async with pages.browser("bob") as browser:
        said = {"error": "odd", "error_description": "call 555", "iss": "https://evil.example"}
        answer = await browser.get(back(await sent(browser), **said))

    assert answer.status_code == 403
    assert "does not come from" in text_of(answer)
    assert "555" not in answer.text
    assert "evil" not in answer.text


async def test_an_error_is_told_with_a_way_to_try_again_and_its_words_are_escaped(pages: Pages) -> None:
    async with pages.browser("bob") as browser:
        asked = await sent(browser, f"{LINEAR}?next=%2Fui%2Fapps")
        answer = await browser.get(back(asked, error="odd", error_description="<script>alert(1)</script>"))

    assert "<script" not in answer.text
    assert "It says: “odd”" in text_of(answer)
    assert f'href="{LINEAR}?next=%2Fui%2Fapps"' in answer.text


async def test_what_only_an_admin_can_mend_is_told_to_admins(pages: Pages) -> None:
    pages.vault.change("linear", auth=AccountAuth(client=OAuthClient("ours", "hush")))
    pages.vault.said = {"error": "invalid_client"}
    async with pages.browser("ada") as ada, pages.browser("bob") as bob:
        told, spared = await connected(ada), await connected(bob)

    assert "client_secret" in text_of(told)
    assert "client_secret" not in text_of(spared)


@pytest.mark.parametrize(
    "onto", ["https://evil.example/", "//evil.example", "/connect/../x", "/oauth/callback?x=1", "/\\evil"]
)
async def test_a_link_leads_nowhere_else_afterwards(pages: Pages, onto: str) -> None:
    async with pages.browser("bob") as browser:
        page = await browser.get(f"{LINEAR}?next={quote(onto, safe='')}")
        answer = await connected(browser, f"{LINEAR}?next={quote(onto, safe='')}")

    assert answer.headers["location"] == "/ui/"
    assert "evil" not in "".join(one for one in page.text.split('"') if one.startswith(("http", "/")) and "href" in one)


async def test_a_person_goes_on_where_they_wanted_to(pages: Pages) -> None:
    onto = "/authorize?client_id=x&state=%2F"
    async with pages.browser("bob") as browser:
        page = await browser.get(f"{LINEAR}?next={quote(onto, safe='')}")
        answer = await connected(browser, f"{LINEAR}?next={quote(onto, safe='')}")

    assert "Not now" in text_of(page)
    assert answer.headers["location"] == onto


async def test_a_server_that_cannot_be_found_out_about_is_told_and_what_is_inside_only_to_admins(pages: Pages) -> None:
    pages.vault.outside.answers["/.well-known/oauth-protected-resource/mcp"] = {
        "resource": pages.vault.outside.url,
        "authorization_servers": ["https://10.1.2.3/"],
    }
    async with pages.browser("ada") as ada, pages.browser("bob") as bob:
        told, spared = await ada.get(LINEAR), await bob.get(LINEAR)

    assert (told.status_code, spared.status_code) == (502, 502)
    assert "10.1.2.3" in text_of(told)
    assert "10.1.2.3" not in spared.text
    assert "owner or admin" in text_of(spared)
    assert "Go on to" not in text_of(spared)


async def test_what_an_admin_has_to_set_up_is_said_to_admins_and_others_are_told_whom_to_ask(pages: Pages) -> None:
    pages.vault.serve(registration_endpoint=None)
    async with pages.browser("ada") as ada, pages.browser("bob") as bob:
        told = await ada.post(LINEAR, data=hidden((await ada.get(LINEAR)).text), headers=OURS)
        spared = await bob.post(LINEAR, data=hidden((await bob.get(LINEAR)).text), headers=OURS)

    assert f"{pages.base}/oauth/callback" in text_of(told)
    assert "set up first" in text_of(spared)
    assert "callback" not in spared.text


async def test_the_account_of_all_is_connected_by_an_admin_and_others_are_told_whom_to_ask(pages: Pages) -> None:
    async with pages.browser("bob") as bob, pages.browser("ada") as ada:
        spared = await bob.get("/connect/demo/wiki")
        posted = await bob.post("/connect/demo/wiki", data={"shown": "x"}, headers=OURS)
        answer = await connected(ada, "/connect/demo/wiki")
        after = await bob.get("/connect/demo/wiki")

    assert "an owner or admin connects" in text_of(spared)
    assert "<form" not in spared.text
    assert posted.status_code == 403
    assert answer.status_code == 303
    assert await accounts(pages) == [Place("demo", "wiki", "")]
    assert "connected since" in text_of(after)
    assert pages.acts[-1].detail["for"] == "the workspace"


async def test_headers_are_entered_kept_and_never_shown_again(pages: Pages) -> None:
    path = "/connect/demo/keys"
    async with pages.browser("bob") as browser:
        page = await browser.get(path)
        wrong = await browser.post(path, data={"enter.KEY": "clé-secret", "enter.ORG": "acme"}, headers=OURS)
        answer = await browser.post(path, data={"enter.KEY": "k-4711", "enter.ORG": "acme"}, headers=OURS)
        done, after = await browser.get(answer.headers["location"]), await browser.get(path)

    assert page.text.count('type="password"') == 2
    assert "Your API key" in text_of(page)
    assert "form-action 'self'" in page.headers["content-security-policy"]
    assert wrong.status_code == 400
    assert 'id="wrong-KEY"' in wrong.text
    assert 'id="wrong-ORG"' not in wrong.text
    assert "clé" not in wrong.text
    assert answer.status_code == 303
    assert "Connected" in text_of(done)
    assert "k-4711" not in after.text + str(pages.acts)
    [kept] = await pages.vault.connecting().connections.of_workspace("demo")
    assert kept.credential.entered == {"KEY": "k-4711", "ORG": "acme"}


async def test_under_auth_none_everybody_is_the_local_admin_and_connects(pages: Pages) -> None:
    async with pages.browser(local=LOCAL_ADMIN) as browser:
        asked = await sent(browser)
        async with pages.at_other_process(browser, LOCAL_ADMIN) as other:
            answer = await other.get(back(asked))

    assert answer.status_code == 303
    assert await accounts(pages) == [Place("demo", "linear", LOCAL_ADMIN.id)]


async def test_the_consent_leads_through_the_page_and_back_to_the_app(pages: Pages) -> None:
    async with pages.browser("bob") as browser:
        said = {"client_name": "App", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"}
        client = (await browser.post("/register", json=said)).json()["client_id"]
        asked = Asked(client, resource=f"{pages.base}/demo/linear/mcp")
        page = await browser.get(asked.path())
        allowed = await browser.post("/authorize", data={**agreed(page.text), "decision": "allow"}, headers=OURS)
        step = allowed.headers["location"]
        answer = await connected(browser, step)
        onward = await browser.get(answer.headers["location"])
        hub = await browser.get(Asked(client, resource=f"{pages.base}/demo/mcp").path())
        free = await browser.post("/authorize", data={**agreed(hub.text), "decision": "allow"}, headers=OURS)

    assert step.startswith(f"{LINEAR}?next=%2Fauthorize")
    assert AGREED in answer.headers["location"]
    assert onward.status_code == 302
    assert onward.headers["location"].startswith(f"{REDIRECT}?code=")
    assert free.headers["location"].startswith(f"{REDIRECT}?code=")
    assert ACCESS not in onward.headers["location"]


async def test_a_person_may_go_on_without_an_account(pages: Pages) -> None:
    async with pages.browser("bob") as browser:
        said = {"client_name": "App", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"}
        client = (await browser.post("/register", json=said)).json()["client_id"]
        page = await browser.get(Asked(client, resource=f"{pages.base}/demo/linear/mcp").path())
        allowed = await browser.post("/authorize", data={**agreed(page.text), "decision": "allow"}, headers=OURS)
        onto = parse_qs(urlsplit(allowed.headers["location"]).query)["next"][0]
        answer = await browser.get(onto)

    assert answer.headers["location"].startswith(f"{REDIRECT}?code=")


async def test_a21_the_document_of_the_gateways_own_client_is_served_and_may_be_kept(pages: Pages) -> None:
    async with pages.browser() as browser:
        answer = await browser.get("/oauth/client.json")

    assert answer.json()["client_id"] == f"{pages.base}/oauth/client.json"
    assert answer.json()["redirect_uris"] == [f"{pages.base}/oauth/callback"]
    assert "max-age" in answer.headers["cache-control"]
    assert answer.headers["content-type"] == "application/json"


async def test_while_the_store_is_down_nothing_is_connected(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    async def down(*_: object) -> None:
        raise StoreDown("no")

    async with pages.browser("bob") as browser:
        asked, form = await sent(browser), hidden((await browser.get(LINEAR)).text)
        monkeypatch.setattr(Flows, "begin", down)
        monkeypatch.setattr(Flows, "take", down)
        answers = [await browser.get(back(asked)), await browser.post(LINEAR, data=form, headers=OURS)]

    assert [one.status_code for one in answers] == [503, 503]
    assert CODE not in answers[0].text


async def test_what_is_no_form_is_not_understood(pages: Pages) -> None:
    async with pages.browser("bob") as browser:
        answer: httpx2.Response = await browser.post(LINEAR, json={"shown": "x"}, headers=OURS)
    assert answer.status_code == 400


async def test_who_may_use_a_server_no_more_does_not_see_it(pages: Pages) -> None:
    async with pages.browser("bob") as browser:
        asked = await sent(browser)
        pages.vault.change("linear", access=Access(("ada@example.com",)))
        answer, page = await browser.get(back(asked)), await browser.get(f"{LINEAR}?{urlencode({'done': 1})}")

    assert (answer.status_code, page.status_code) == (403, 404)
    assert pages.vault.asked_token() == []
