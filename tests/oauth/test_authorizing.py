"""The authorization endpoint without its pages."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from portkey_mcp.model import Bundle, Principal
from portkey_mcp.oauth.authorization_request import Untrusted
from portkey_mcp.oauth.authorizing import Authorizing, Checked, SentBack
from portkey_mcp.oauth.refusal import OAuthRefusal
from portkey_mcp.trust import DeclaredClient, Trust
from tests.oauth.conftest import BASE, DIRECTORY, FILES, REDIRECT, Asked, House

pytestmark = pytest.mark.anyio

ASKED = Asked("app")


@pytest.fixture
def desk(house: House) -> Authorizing:
    house.trust = Trust(clients=(DeclaredClient("app", "App", (REDIRECT, f"{REDIRECT}?x=1")),))

    async def nothing_first(_: Principal, __: str) -> str:
        return ""

    return Authorizing(house.server, nothing_first)


def person(house: House, name: str) -> Principal:
    found = house.identity.people.named(f"{name}@example.com")
    assert found is not None
    return found


def query(asked: Asked = ASKED, **more: str) -> str:
    return urlsplit(replace(asked, more=more).path()).query


def told(url: str) -> Mapping[str, str]:
    return {name: values[-1] for name, values in parse_qs(urlsplit(url).query).items()}


async def checked(desk: Authorizing, resource: str | None = ASKED.resource, **more: str) -> Checked:
    return await desk.check(query(replace(ASKED, resource=resource), **more))


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "client_id=",
        "client_id=unknown",
        "client_id=app&client_id=app",
        "client_id=app",
        "client_id=app&redirect_uri=https://evil.example",
        f"client_id=app&redirect_uri={REDIRECT}&redirect_uri=https://evil.example",
        f"client_id=app&redirect_uri={REDIRECT}%23x",
        f"client_id=app&redirect_uri={REDIRECT}%0d%0aX:%20y",
        "client_id=%ff",
        "&".join(f"a{number}=1" for number in range(60)),
    ],
)
async def test_a14_nobody_is_sent_where_client_and_redirect_do_not_belong_together(
    desk: Authorizing, wrong: str
) -> None:
    with pytest.raises(Untrusted):
        await desk.check(wrong)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "admin"}, "invalid_scope"),
        ({"resource": "https://else.example/mcp"}, "invalid_target"),
        ({"request": "x"}, "request_not_supported"),
    ],
)
async def test_a13_k14_b8_every_error_comes_with_state_and_iss(
    desk: Authorizing, more: dict[str, str], error: str
) -> None:
    with pytest.raises(SentBack) as back:
        await desk.check(query(**more))
    url = told(back.value.url)

    assert back.value.url.startswith(f"{REDIRECT}?")
    assert (url["error"], url["state"], url["iss"]) == (error, "a state", BASE)
    assert url["error_description"]


async def test_the_query_of_a_redirect_is_kept(desk: Authorizing) -> None:
    with pytest.raises(SentBack) as back:
        await desk.check(query(replace(ASKED, redirect_uri=f"{REDIRECT}?x=1"), scope="admin"))

    assert told(back.value.url)["x"] == "1"


async def test_a13_b8_who_began_at_an_alias_is_answered_in_its_name(desk: Authorizing) -> None:
    assert (await checked(desk, via="files.example")).issuer == "https://files.example"
    assert (await checked(desk)).issuer == BASE
    assert (await checked(desk, via="evil.example")).issuer == BASE
    with pytest.raises(SentBack) as back:
        await desk.check(query(scope="admin", via="Files.Example"))
    assert told(back.value.url)["iss"] == "https://files.example"
    with pytest.raises(SentBack) as twice:
        await desk.check(query(via="files.example") + "&" + urlencode({"via": "files.example"}))
    assert told(twice.value.url)["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("name", "resource", "reaches"),
    [
        ("ada", f"{BASE}/demo/files/mcp", ["demo/files"]),
        ("ada", f"{BASE}/demo/mcp", ["demo"]),
        ("ada", f"{BASE}/mcp", ["demo", "other"]),
        ("ada", None, ["demo", "other"]),
        ("ada", "https://files.example/mcp", ["demo/files"]),
        ("bob", f"{BASE}/mcp", ["demo"]),
        ("bob", f"{BASE}/other/mcp", []),
        ("eve", f"{BASE}/demo/files/mcp", []),
        ("ada", f"{BASE}/demo/none/mcp", []),
        ("ada", f"{BASE}/none/mcp", []),
    ],
)
async def test_b9_people_choose_among_what_exists_for_them(
    desk: Authorizing, house: House, name: str, resource: str | None, reaches: list[str]
) -> None:
    asking = (await checked(desk, resource)).asking

    assert [choice.reach for choice in desk.choices(asking, person(house, name))] == reaches


async def test_a_bundle_can_be_chosen_and_a_server_that_is_off_cannot(desk: Authorizing, house: House) -> None:
    demo = house.directory.workspaces["demo"]
    changed = replace(
        demo, servers={"files": replace(FILES, enabled=False)}, bundles={"set": Bundle("demo", "set", "A Set", ())}
    )
    house.directory = replace(DIRECTORY, workspaces={"demo": changed})
    ada = person(house, "ada")

    assert desk.choices((await checked(desk)).asking, ada) == []
    (choice,) = desk.choices((await checked(desk, f"{BASE}/demo/set/mcp")).asking, ada)
    assert (choice.title, choice.reach, choice.role) == ("A Set", "demo/set", "admin")


async def test_b1_a_yes_holds_for_fewer_scopes_and_not_for_more(desk: Authorizing, house: House) -> None:
    ada = person(house, "ada")
    some, all_ = await checked(desk, scope="mcp:read"), await checked(desk)
    (choice,) = desk.choices(some.asking, ada)
    assert not await desk.has_agreed(some.asking, ada, choice)

    await desk.remember(some, ada, choice)
    assert await desk.has_agreed(some.asking, ada, choice)
    assert not await desk.has_agreed(all_.asking, ada, choice)
    await desk.remember(all_, ada, choice)
    assert await desk.has_agreed(all_.asking, ada, choice)
    assert not await desk.has_agreed(all_.asking, person(house, "bob"), choice)


async def test_a13_allowing_gives_code_state_and_iss_and_is_noted(desk: Authorizing, house: House) -> None:
    asked, ada = await checked(desk), person(house, "ada")
    (choice,) = desk.choices(asked.asking, ada)
    url = told(await desk.allow(asked, ada, choice, "192.0.2.1"))
    act = house.acts[-1]

    assert sorted(url) == ["code", "iss", "state"]
    assert (url["state"], url["iss"]) == ("a state", BASE)
    assert (act.act, act.outcome, act.who, act.workspace, act.client, act.address) == (
        "grant",
        "done",
        ada,
        "demo",
        "app",
        "192.0.2.1",
    )
    assert act.detail == {"reach": "demo/files", "scopes": "mcp:read mcp:call", "to": "app.example"}
    assert url["code"] not in repr(act)


async def test_a13_denying_gives_error_state_and_iss_and_is_noted(desk: Authorizing, house: House) -> None:
    asked, ada = await checked(desk), person(house, "ada")
    url = told(desk.deny(asked, ada, OAuthRefusal("access_denied", "the person did not allow it"), "192.0.2.1"))

    assert (url["error"], url["state"], url["iss"]) == ("access_denied", "a state", BASE)
    assert (house.acts[-1].act, house.acts[-1].outcome, house.acts[-1].why) == (
        "grant",
        "refused",
        "the person did not allow it",
    )


async def test_no_state_is_answered_without_one(desk: Authorizing) -> None:
    asked = await desk.check(query(replace(ASKED, state="")))

    assert "state" not in told(desk.deny(asked, None, OAuthRefusal("login_required", "nobody"), ""))


async def test_who_left_meanwhile_grants_nothing(desk: Authorizing, house: House) -> None:
    asked, bob = await checked(desk), person(house, "bob")
    (choice,) = desk.choices(asked.asking, bob)
    await house.identity.people.leave("bob@example.com", "demo")
    with pytest.raises(OAuthRefusal) as refused:
        await desk.allow(asked, bob, choice, "")

    assert refused.value.error == "access_denied"
