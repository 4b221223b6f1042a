"""Attacks on codes, tokens and keys, tried end to end, and refused.

Those on the people at the pages are in `test_sign_in_lures.py`, client documents that lead inside in
`test_reaching_through.py`.
"""

import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import httpx2
import pytest
from mcp.client.auth import OAuthFlowError

from portkey_mcp.identity import keys
from portkey_mcp.oauth import client as oauth_client
from portkey_mcp.oauth import issuing
from portkey_mcp.oauth.registration import NEW_EACH
from tests.oauth.conftest import Asked
from tests.stories.oauth_clients import Kept, sdk_client
from tests.stories.sign_in_house import (
    CALL,
    REDIRECT,
    House,
    allowed,
    hidden,
    house,
    sent_back,
)

pytestmark = pytest.mark.anyio

ALIAS = "localhost"
CLAUDE = {
    "client_name": "Claude",
    "redirect_uris": ["https://claude.ai/api/mcp/auth_callback"],
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
}


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    said = {"hosts": {ALIAS: "blue/files"}, "oauth": {"native_schemes": ["cursor"]}}
    async with house(tmp_path / "data", said, trusted_proxies="127.0.0.1") as running:
        yield running


async def refused(answer: httpx2.Response, error: str = "invalid_grant", status: int = 400) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text


@pytest.mark.parametrize(
    ("granted", "tried"),
    [
        (("blue", "files"), ("blue", "notes")),
        (("blue", "files"), ("blue",)),
        (("blue", "files"), ()),
        (("blue", "files"), ("red", "mail")),
        (("blue", "files"), ("nowhere", "at-all")),
        (("blue",), ("red",)),
        (("blue",), ("red", "mail")),
    ],
)
async def test_b2_a_token_for_one_endpoint_is_refused_at_another(
    home: House, granted: tuple[str, ...], tried: tuple[str, ...]
) -> None:
    """Ada may enter all of them herself. 401 names the endpoint that was tried (A2, A4)."""
    access = (await home.given("ada", *granted))["access_token"]
    assert await home.status(access, *granted) == 200

    heard = await home.heard(access, *tried)

    assert heard.status == 401
    assert 'error="invalid_token"' in heard.headers["www-authenticate"]
    path = "/".join(["", *tried, "mcp"])
    assert f'"{home.origin}/.well-known/oauth-protected-resource{path}"' in heard.headers["www-authenticate"]


async def test_a_token_of_a_hub_reaches_its_servers_and_one_of_an_alias_that_server_only(home: House) -> None:
    hub = (await home.given("ada", "blue"))["access_token"]
    assert [await home.status(hub, *place) for place in (("blue", "files"), ("blue", "notes"), ())] == [200] * 3

    alias = f"http://{ALIAS}:{home.gateway.port}/mcp"
    async with home.browser("ada") as browsing:
        asked = Asked(await home.registered(), alias, redirect_uri=REDIRECT)
        access = (await home.tokens(browsing, asked))["access_token"]
    request = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    headers = {"authorization": f"Bearer {access}", "accept": "application/json, text/event-stream"}
    assert (await home.http.post(alias, json=request, headers=headers)).status_code == 200
    assert await home.status(access, "blue", "files") == 200
    assert await home.status(access, "blue", "notes") == 401


async def test_a17_a_code_that_comes_again_ends_all_that_came_of_it(home: House) -> None:
    async with home.browser("ada") as browsing:
        asked = await home.asked("blue", "files")
        code = (await allowed(browsing, asked))["code"]
    first = (await home.token(**asked.form(code))).json()
    assert await home.status(first["access_token"], "blue", "files") == 200

    await refused(await home.token(**asked.form(code)))

    assert await home.status(first["access_token"], "blue", "files") == 401
    await refused(await home.refresh(asked.client, first["refresh_token"]))


async def test_a17_a_code_is_its_clients_alone(home: House) -> None:
    async with home.browser("ada") as browsing:
        asked = await home.asked("blue", "files")
        code = (await allowed(browsing, asked))["code"]
    thief = await home.registered(client_name="Thief")

    await refused(await home.token(**{**asked.form(code), "client_id": thief}))

    assert (await home.token(**asked.form(code))).status_code == 200


async def test_a17_a_refresh_token_that_comes_again_ends_its_family_at_once(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with home.browser("ada") as browsing:
        asked = await home.asked("blue", "files")
        first = await home.tokens(browsing, asked)
    second = (await home.refresh(asked.client, first["refresh_token"])).json()
    # Within its time of grace the one before is good still: clients refresh in parallel (K11).
    third = (await home.refresh(asked.client, first["refresh_token"])).json()
    living = [told["access_token"] for told in (first, second, third)]
    assert [await home.status(access, "blue", "files") for access in living] == [200, 200, 200]

    monkeypatch.setattr(issuing, "GRACE", -issuing.GRACE)  # that time is over
    await refused(await home.refresh(asked.client, first["refresh_token"]))

    assert [await home.status(access, "blue", "files") for access in living] == [401, 401, 401]
    for told in (second, third):
        await refused(await home.refresh(asked.client, told["refresh_token"]))


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge_method": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "x"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"resource": "https://elsewhere.example/mcp"}, "invalid_target"),
        ({"request_uri": "urn:x"}, "request_uri_not_supported"),
    ],
)
async def test_a12_a_weaker_request_is_refused_and_says_by_whom(home: House, more: dict[str, str], error: str) -> None:
    """No PKCE, plain PKCE, another flow: back at the app, with `iss` (A13), and no code."""
    asked = await home.asked("blue", "files", more=more)
    async with home.browser("ada") as browsing:
        told = sent_back(await browsing.get(asked.path()), REDIRECT)

    assert (told["error"], told["state"], told["iss"]) == (error, asked.state, home.origin)
    assert "code" not in told


@pytest.mark.parametrize("verifier", [None, "", "x" * 43, "short", "challenge"])
async def test_a12_a_code_is_nothing_without_its_verifier(home: House, verifier: str | None) -> None:
    async with home.browser("ada") as browsing:
        asked = await home.asked("blue", "files")
        code = (await allowed(browsing, asked))["code"]
    form = asked.form(code)
    del form["code_verifier"]
    if verifier is not None:
        form["code_verifier"] = asked.challenge if verifier == "challenge" else verifier

    await refused(await home.token(**form))

    await refused(await home.token(**asked.form(code)))  # it was used up


async def test_a14_the_redirect_uri_at_the_token_endpoint_must_be_the_same(home: House) -> None:
    async with home.browser("ada") as browsing:
        asked = await home.asked("blue")
        code = (await allowed(browsing, asked))["code"]

    await refused(await home.token(**{**asked.form(code), "redirect_uri": "https://app.example/other"}))


@pytest.mark.outside("chromium")
@pytest.mark.parametrize("said", [None, "https://evil.example"], ids=["missing", "another"])
async def test_b8_a_client_notices_an_answer_of_another_issuer(home: House, said: str | None) -> None:
    """The SDK's client holds `iss` against what it began with, for the gateway says that it always sends it."""

    async def mixed_up(url: str) -> None:
        async with home.browser("ada") as browsing:
            page = await browsing.get(url)
            answer = await browsing.post("/authorize", data={**hidden(page.text), "decision": "allow"})
        there = httpx2.URL(answer.headers["location"])
        assert there.params["iss"] == home.origin
        changed = there.copy_remove_param("iss") if said is None else there.copy_set_param("iss", said)
        await home.http.get(changed)

    with pytest.raises((OAuthFlowError, BaseExceptionGroup)) as raised:
        async with sdk_client(home.at("blue", "files"), mixed_up, Kept()):
            raise AssertionError("it signed in")
    assert "iss" in _flat(raised.value)


async def test_b8_who_begins_at_an_alias_is_answered_in_its_name(home: House) -> None:
    """Two issuers, one gateway: each answer carries the one that the client began with."""
    alias = f"http://{ALIAS}:{home.gateway.port}"
    asked = Asked(await home.registered(), f"{alias}/mcp", redirect_uri=REDIRECT)
    onward = await home.http.get(alias + asked.path())
    there = onward.headers["location"]
    assert there.startswith(f"{home.origin}/authorize?")
    async with home.browser("ada") as browsing:
        page = await browsing.get(there)
        form = {**hidden(page.text), "decision": "allow"}
        assert sent_back(await browsing.post("/authorize", data=form), REDIRECT)["iss"] == alias
        assert (await allowed(browsing, await home.asked("blue")))["iss"] == home.origin


async def test_a16_one_address_floods_registration_and_nobody_else_is_slowed(home: House) -> None:
    url, flood = f"{home.origin}/register", {"x-forwarded-for": "198.51.100.66"}
    assert (await home.http.post(url, json=CLAUDE, headers=flood)).status_code == 201
    answers = [
        await home.http.post(url, json={**CLAUDE, "client_name": f"Flood {number}"}, headers=flood)
        for number in range(NEW_EACH)
    ]

    assert {answer.status_code for answer in answers[:-1]} == {201}
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) > 0
    # Claude's own addresses are many people's: what is known already goes on, from there and from anywhere.
    for address in ("198.51.100.66", "160.79.104.7"):
        known = await home.http.post(url, json=CLAUDE, headers={"x-forwarded-for": address})
        assert known.status_code == 201
    other = await home.http.post(url, json={**CLAUDE, "client_name": "New"}, headers={"x-forwarded-for": "192.0.2.1"})
    assert other.status_code == 201
    assert (await home.http.get(f"{home.origin}/.well-known/oauth-authorization-server", headers=flood)).is_success


def test_what_is_compared_takes_as_long_for_any_wrong_value() -> None:
    """Keys, codes and tokens are looked up by their digest, never compared; secrets of clients are compared evenly."""
    assert "_digest(" in inspect.getsource(keys.ApiKeys.verify)
    for method in (issuing.Issuing.redeem, issuing.Issuing.refresh, issuing.Issuing.read):
        assert "digest_of(" in inspect.getsource(method)
    assert "hmac.compare_digest(" in inspect.getsource(oauth_client.Client.has_secret)


async def test_an_access_token_is_no_key_to_the_admin_api(home: House) -> None:
    access = (await home.given("ada", "blue"))["access_token"]
    key = await home.portkey("keys", "create", "ada", "-w", "blue", "--person", "ada@example.com")
    await home.until(200, key, "blue", before=401)
    for credential, statuses in ((access, {401, 403}), (key, {200})):
        headers = {"authorization": f"Bearer {credential}"}
        answer = await home.http.get(f"{home.origin}/api/v1/workspaces/blue/policy", headers=headers)
        assert answer.status_code in statuses, answer.text


async def test_one_kind_of_credential_is_not_good_as_another(home: House) -> None:
    async with home.browser("ada") as browsing:
        asked = await home.asked("blue", "files")
        code = (await allowed(browsing, asked))["code"]
        cookie = browsing.cookies["portkey"]
    told = (await home.token(**asked.form(code))).json()
    key = await home.portkey("keys", "create", "ci", "-w", "blue")
    for wrong in (key, told["access_token"], code, cookie):
        await refused(await home.refresh(asked.client, wrong))
    for wrong in (told["refresh_token"], code, cookie, asked.client):
        assert await home.status(wrong, "blue", "files") == 401
    assert (await home.refresh(asked.client, told["refresh_token"])).status_code == 200


async def test_a6_a_token_in_the_query_is_no_credential(home: House) -> None:
    access = (await home.given("ada", "blue", "files"))["access_token"]
    for name in ("access_token", "token", "authorization"):
        url = f"{home.at('blue', 'files')}?{urlencode({name: access})}"
        answer = await home.http.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
        assert answer.status_code == 401
        assert access not in answer.headers["www-authenticate"]


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_b2_no_credential_of_a_client_goes_upstream(home: House, era: str) -> None:
    access = (await home.given("ada", "blue", "files"))["access_token"]
    heard = await home.heard(access, "blue", "files", era=era, call=True)
    assert heard.answer["result"]["content"][0]["text"] == '{"say": "hello"}'

    assert home.upstream.requests("tools/call")[-1]["params"]["arguments"] == CALL["arguments"]
    for received in home.upstream.received:
        assert "authorization" not in received.headers
        assert "cookie" not in received.headers
        assert access not in str(received)


def _flat(error: BaseException) -> str:
    """The words of an error and of all that it holds."""
    inner = [_flat(one) for one in error.exceptions] if isinstance(error, BaseExceptionGroup) else []
    return " ".join([str(error), *inner])
