"""The token endpoint, without HTTP: what each grant type needs."""

from typing import Any

import pytest

from portkey_mcp.errors import Unauthenticated
from portkey_mcp.oauth.client import Client
from portkey_mcp.oauth.issuing import Issued
from portkey_mcp.oauth.refusal import OAuthRefusal
from portkey_mcp.oauth.server import OAuthServer
from portkey_mcp.oauth.token_endpoint import Request, TokenEndpoint
from portkey_mcp.trust import Enterprise, Trust
from tests.oauth.conftest import BASE, REDIRECT, Asked, House, allowed
from tests.oauth.test_grants import granted

pytestmark = pytest.mark.anyio

FILES = f"{BASE}/demo/files/mcp"
JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


async def no_assertions(_: Request) -> Issued:
    raise OAuthRefusal("invalid_grant", "the assertion is no good")


async def ask(house: House, client: str, server: OAuthServer | None = None, **form: str) -> dict[str, Any]:
    given = {name: [value] for name, value in form.items()}
    request = Request(Client(client, "registered", "App", (REDIRECT,)), given, BASE, "192.0.2.1")
    return await TokenEndpoint(server or house.server, no_assertions).issue(request)


async def error(house: House, client: str, server: OAuthServer | None = None, **form: str) -> str:
    with pytest.raises(OAuthRefusal) as refused:
        await ask(house, client, server, **form)
    return refused.value.error


async def agreed(house: House, **asked: Any) -> tuple[Asked, dict[str, str]]:
    """A request that Ada said yes to, and what its client then sends."""
    async with house.signed_in() as browser:
        made = Asked(await house.registered(browser), **asked)
        return made, made.form((await allowed(browser, made))["code"])


async def first(house: House, **asked: Any) -> tuple[str, dict[str, Any]]:
    """A client and its first tokens."""
    made, form = await agreed(house, **asked)
    return made.client, await ask(house, made.client, **form)


async def test_a17_a_code_gives_tokens_and_says_which_scopes(house: House) -> None:
    asked, form = await agreed(house, scope="mcp:read offline_access openid")
    told = await ask(house, asked.client, **form)

    assert sorted(told) == ["access_token", "expires_in", "refresh_token", "scope", "token_type"]
    assert (told["token_type"], told["expires_in"], told["scope"]) == ("Bearer", 8 * 3600, "mcp:read offline_access")
    assert (await house.principal(told["access_token"])).scopes == ("mcp:read",)


async def test_a17_a_code_that_comes_again_ends_the_access_token_at_once(house: House) -> None:
    asked, form = await agreed(house)
    told = await ask(house, asked.client, **form)
    assert await house.later().tokens.verify(told["access_token"])
    assert await error(house, asked.client, **form) == "invalid_grant"

    with pytest.raises(Unauthenticated):
        await house.later().tokens.verify(told["access_token"])
    assert await error(house, asked.client, grant_type="refresh_token", refresh_token=told["refresh_token"]) == (
        "invalid_grant"
    )
    assert [(act.act, act.outcome) for act in house.acts[-3:]] == [
        ("token", "refused"),
        ("revoke", "done"),
        ("token", "refused"),
    ]


@pytest.mark.parametrize("verifier", ["", "a" * 43, "a" * 42, "a" * 129, "ä" * 43, "a" * 42 + "\n"])
async def test_a12_the_verifier_must_fit(house: House, verifier: str) -> None:
    asked, form = await agreed(house)

    assert await error(house, asked.client, **{**form, "code_verifier": verifier}) == "invalid_grant"


async def test_a12_the_challenge_itself_is_no_verifier(house: House) -> None:
    asked, form = await agreed(house)

    assert await error(house, asked.client, **{**form, "code_verifier": asked.challenge}) == "invalid_grant"


async def test_a12_a_verifier_is_guessed_once(house: House) -> None:
    asked, form = await agreed(house)
    await error(house, asked.client, **{**form, "code_verifier": "a" * 43})

    assert await error(house, asked.client, **form) == "invalid_grant"


async def test_a17_the_redirect_uri_is_that_of_the_code_or_left_out(house: House) -> None:
    asked, form = await agreed(house)
    assert await error(house, asked.client, **{**form, "redirect_uri": f"{REDIRECT}/"}) == "invalid_grant"

    asked, form = await agreed(house)
    del form["redirect_uri"]
    assert await ask(house, asked.client, **form)


async def test_a17_another_client_gets_nothing_for_a_code(house: House) -> None:
    asked, form = await agreed(house)

    assert await error(house, "another", **form) == "invalid_grant"
    assert await ask(house, asked.client, **form)


async def test_a17_a_code_is_good_for_a_minute(house: House) -> None:
    asked, form = await agreed(house)

    assert await error(house, asked.client, house.later(seconds=61), **form) == "invalid_grant"


@pytest.mark.parametrize(
    "resource", [FILES, f"{FILES}/", "https://GW.example:443/Demo/files/mcp", "https://files.example/mcp"]
)
async def test_a17_k8_the_resource_is_the_one_that_was_granted_or_left_out(house: House, resource: str) -> None:
    asked, form = await agreed(house)
    told = await ask(house, asked.client, **form, resource=resource)

    refresh = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
    told = await ask(house, asked.client, **refresh, resource=resource)
    assert await ask(house, asked.client, grant_type="refresh_token", refresh_token=told["refresh_token"])


@pytest.mark.parametrize(
    "resource", [f"{BASE}/demo/mcp", f"{BASE}/other/mcp", f"{BASE}/mcp", "https://else.example/mcp"]
)
async def test_a17_a_wrong_resource_is_invalid_target(house: House, resource: str) -> None:
    asked, form = await agreed(house)
    assert await error(house, asked.client, **form, resource=resource) == "invalid_target"

    client, told = await first(house)
    refresh = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
    assert await error(house, client, **refresh, resource=resource) == "invalid_target"
    assert await ask(house, client, **refresh)


async def test_k8_what_was_granted_without_a_resource_is_good_where_the_person_chose(house: House) -> None:
    async with house.signed_in() as browser:
        for resource, expected in ((FILES, ""), (f"{BASE}/mcp", ""), (f"{BASE}/other/mcp", "invalid_target")):
            asked = Asked(await house.registered(browser), resource=None)
            form = asked.form((await allowed(browser, asked, choice="demo"))["code"], resource=resource)
            if expected:
                assert await error(house, asked.client, **form) == expected
            else:
                assert await ask(house, asked.client, **form)


async def test_a17_refreshing_rotates_and_tells_all_again(house: House) -> None:
    client, told = await first(house)
    again = await ask(house, client, grant_type="refresh_token", refresh_token=told["refresh_token"])

    assert again["refresh_token"] != told["refresh_token"]
    assert again["scope"] == told["scope"] == "mcp:read mcp:call"


async def test_k9_refreshing_with_offline_access_keeps_what_was_granted(house: House) -> None:
    client, told = await first(house, scope="mcp:read offline_access")
    for scope, expected in (
        (told["scope"], told["scope"]),
        ("offline_access", told["scope"]),
        ("mcp:read", "mcp:read"),
    ):
        told = await ask(house, client, grant_type="refresh_token", refresh_token=told["refresh_token"], scope=scope)
        assert told["scope"] == expected
        told["scope"] = "mcp:read offline_access"


async def test_b9_a_refreshed_token_has_fewer_scopes_and_never_more(house: House) -> None:
    client, told = await first(house)
    refresh = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
    narrowed = await ask(house, client, **refresh, scope="mcp:read")
    assert (await house.principal(narrowed["access_token"])).scopes == ("mcp:read",)
    assert await error(house, client, **refresh, scope="admin") == "invalid_scope"

    reader, told = await first(house, scope="mcp:read")
    refresh = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
    assert await error(house, reader, **refresh, scope="mcp:read mcp:call") == "invalid_scope"


async def test_k11_a_dead_refresh_token_is_invalid_grant_and_its_copy_is_noted(house: House) -> None:
    client, told = await first(house)
    refresh = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
    newest = await ask(house, client, **refresh)
    assert await ask(house, client, house.later(seconds=59), **refresh)
    assert await error(house, "another", **refresh) == "invalid_grant"
    assert await error(house, client, house.later(seconds=61), **refresh) == "invalid_grant"
    assert (house.acts[-1].act, house.acts[-1].outcome) == ("revoke", "done")

    assert await error(house, client, grant_type="refresh_token", refresh_token=newest["refresh_token"]) == (
        "invalid_grant"
    )


async def test_who_left_gets_no_tokens_any_more(house: House) -> None:
    client, told = await first(house)
    await house.identity.people.leave("ada@example.com", "demo")

    assert (
        await error(house, client, grant_type="refresh_token", refresh_token=told["refresh_token"]) == "invalid_grant"
    )


@pytest.mark.parametrize("name", ["client_credentials", "password", "implicit", "Authorization_code", JWT])
async def test_k12_other_grant_types_are_unsupported(house: House, name: str) -> None:
    assert await error(house, "app", grant_type=name) == "unsupported_grant_type"


async def test_k15_assertions_are_for_enterprises_where_there_are_some(house: House) -> None:
    house.trust = Trust(enterprises=(Enterprise("https://idp.example"),))

    assert await error(house, "app", grant_type=JWT, assertion="x") == "invalid_grant"


@pytest.mark.parametrize("form", [{}, {"grant_type": "authorization_code"}, {"grant_type": "refresh_token"}])
async def test_what_is_missing_is_an_invalid_request(house: House, form: dict[str, str]) -> None:
    assert await error(house, "app", **form) == "invalid_request"


async def test_several_resources_that_differ_are_refused(house: House) -> None:
    asked, form = await agreed(house)
    given = {**{name: [value] for name, value in form.items()}, "resource": [FILES, f"{BASE}/other/mcp"]}
    client = Client(asked.client, "registered", "App", (REDIRECT,))
    with pytest.raises(OAuthRefusal) as refused:
        await TokenEndpoint(house.server, no_assertions).issue(Request(client, given, BASE, ""))

    assert refused.value.error == "invalid_target"


async def test_b9_every_issue_is_noted_without_a_secret(house: House) -> None:
    client, told = await first(house)
    act = house.acts[-1]

    assert (act.act, act.outcome, act.client, act.workspace, act.address) == (
        "token",
        "done",
        client,
        "demo",
        "192.0.2.1",
    )
    assert act.actor == granted(house).person
    assert not any(told[name] in repr(house.acts) for name in ("access_token", "refresh_token"))
