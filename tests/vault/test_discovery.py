"""Which authorization server a server has, and what to ask it for: against real ones (oauth.md A20, A22, A23, A26)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import Response

from portkey_mcp.egress import Egress
from portkey_mcp.errors import Mistake, NotFetched, ProviderDown
from portkey_mcp.proof import AccountAuth, Authority, IdentityAuth, MachineAuth, OAuthClient
from portkey_mcp.vault.discovery import Discovery, Found
from portkey_mcp.vault.reaching import Reaching
from tests.outside import Names
from tests.vault.outside_server import LOCAL, OutsideServer, outside_server, reaching

pytestmark = pytest.mark.anyio

ACCOUNT = AccountAuth()
RESOURCE = "/.well-known/oauth-protected-resource"
SERVER = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"


@pytest.fixture
async def outside() -> AsyncIterator[OutsideServer]:
    async with outside_server() as found:
        yield found


async def find(outside: OutsideServer, auth: Any = ACCOUNT, challenge: str = "", **where: Any) -> Found:
    return await Discovery(reaching()).find(where.get("url", outside.url), auth, challenge)


async def refused(outside: OutsideServer, error: type[Exception], auth: Any = ACCOUNT, **where: Any) -> str:
    with pytest.raises(error) as raised:
        await find(outside, auth, **where)
    return str(raised.value)


async def test_a20_the_challenge_says_where_the_metadata_is_and_nothing_else_is_asked(outside: OutsideServer) -> None:
    outside.challenge = f'Bearer resource_metadata="{outside.origin}/custom/location.json"'
    outside.answers["/custom/location.json"] = outside.resource()
    outside.answers[SERVER] = outside.metadata()
    found = await find(outside)

    assert outside.paths == ["/custom/location.json", SERVER]
    assert (found.resource, found.server.issuer) == (outside.url, outside.origin)
    assert found.server.token == f"{outside.origin}/token"
    (asked,) = [one for one in outside.heard if one.path == "/mcp"]
    assert (asked.method, asked.body["method"]) == ("POST", "tools/list")
    assert "authorization" not in asked.headers


async def test_a20_a_challenge_that_is_known_is_not_asked_for_again(outside: OutsideServer) -> None:
    outside.serve()
    found = await find(outside, challenge=f'DPoP scope="a b", resource_metadata="{outside.origin}{RESOURCE}/mcp"')

    assert [one.path for one in outside.heard] == [f"{RESOURCE}/mcp", SERVER]
    assert found.scopes == ("a", "b")


async def test_a20_without_a_challenge_the_metadata_is_looked_for_below_the_path_then_at_the_root(
    outside: OutsideServer,
) -> None:
    outside.answers[RESOURCE] = outside.resource(resource=outside.origin)
    outside.answers[SERVER] = outside.metadata()
    found = await find(outside)

    assert outside.paths == [f"{RESOURCE}/mcp", RESOURCE, SERVER]
    assert found.resource == outside.origin  # to the letter, without a slash


@pytest.mark.parametrize("place", [f"{SERVER}/tenant1", f"{OPENID}/tenant1", f"/tenant1{OPENID}"])
async def test_a20_the_metadata_of_an_issuer_with_a_path_has_three_places(outside: OutsideServer, place: str) -> None:
    issuer = f"{outside.origin}/tenant1"
    outside.serve(outside.resource(authorization_servers=[issuer]))
    outside.answers[place] = outside.metadata(issuer)
    assert (await find(outside)).server.issuer == issuer

    places = [f"{SERVER}/tenant1", f"{OPENID}/tenant1", f"/tenant1{OPENID}"]
    assert outside.paths[1:] == places[: places.index(place) + 1]


async def test_a20_the_metadata_of_an_issuer_without_a_path_has_two_places(outside: OutsideServer) -> None:
    outside.serve()
    outside.answers[OPENID] = outside.answers.pop(SERVER)
    await find(outside)

    assert outside.paths == [f"{RESOURCE}/mcp", SERVER, OPENID]


@pytest.mark.parametrize("other", ["https://attacker.example", None, 7, "{}/other"])
async def test_a20_metadata_of_another_issuer_is_refused(outside: OutsideServer, other: Any) -> None:
    other = other.format(outside.origin) if isinstance(other, str) else other
    outside.serve(metadata={**outside.metadata(), "issuer": other})
    outside.answers[OPENID] = outside.metadata()

    assert f"for the authorization server {outside.origin} says" in await refused(outside, NotFetched)
    assert OPENID not in outside.paths


async def test_a20_a_slash_behind_an_origin_makes_no_other_issuer_and_its_own_word_counts(
    outside: OutsideServer,
) -> None:
    outside.serve(outside.resource(authorization_servers=[f"{outside.origin}/"]))

    assert (await find(outside)).server.issuer == outside.origin


@pytest.mark.parametrize(
    "resource",
    ["https://evil.example.com/mcp", "{}/mcp/other", "{}/other", "{}/m", "{}0/mcp", "http://u@127.0.0.1/mcp", None],
)
async def test_a20_metadata_about_another_resource_is_refused(outside: OutsideServer, resource: Any) -> None:
    said = resource.format(outside.origin) if resource else None
    outside.serve(outside.resource(resource=said))

    assert "Register the server by the URL it calls itself" in await refused(outside, NotFetched)
    assert SERVER not in outside.paths


async def test_a20_of_several_authorization_servers_the_first_one_is_asked(outside: OutsideServer) -> None:
    outside.serve(outside.resource(authorization_servers=[outside.origin, "https://other.example"]))

    assert (await find(outside)).server.issuer == outside.origin


async def test_a20_a_server_of_2025_03_26_is_its_own_authorization_server(outside: OutsideServer) -> None:
    outside.answers[SERVER] = outside.metadata(token_endpoint=f"{outside.origin}/oauth/token")
    found = await find(outside)

    assert outside.paths == [f"{RESOURCE}/mcp", RESOURCE, SERVER]
    assert (found.server.token, found.resource) == (f"{outside.origin}/oauth/token", outside.url)


async def test_a20_a_server_of_2025_03_26_without_metadata_has_the_usual_endpoints(outside: OutsideServer) -> None:
    server = (await find(outside)).server

    assert (server.authorization, server.token) == (f"{outside.origin}/authorize", f"{outside.origin}/token")
    assert (server.registration, server.named) == (f"{outside.origin}/register", False)


@pytest.mark.parametrize("path", [f"{RESOURCE}/mcp", SERVER])
@pytest.mark.parametrize("status", [500, 503, 429])
async def test_a20_a_moments_failure_is_not_taken_for_no_metadata(
    outside: OutsideServer, path: str, status: int
) -> None:
    outside.serve()
    outside.answers[path] = Response("oh dear", status)

    assert f"status {status}" in await refused(outside, ProviderDown)
    assert outside.paths[-1] == path


@pytest.mark.parametrize(
    "nothing",
    [
        Response("<h1>Welcome</h1>", 200, media_type="text/html"),
        Response("{", 200, media_type="application/json"),
        Response("", 302, {"Location": "https://elsewhere.example/"}),
        Response("{}", 401, media_type="application/json"),
    ],
)
async def test_a20_what_is_no_document_is_passed_over(outside: OutsideServer, nothing: Response) -> None:
    outside.serve()
    outside.answers[RESOURCE] = outside.answers[f"{RESOURCE}/mcp"]
    outside.answers[f"{RESOURCE}/mcp"] = nothing

    assert (await find(outside)).resource == outside.url


async def test_a20_an_authorization_server_without_metadata_is_told_with_what_helps(outside: OutsideServer) -> None:
    outside.serve()
    del outside.answers[SERVER]
    words = await refused(outside, Mistake)

    assert f"{outside.origin}{SERVER} or {outside.origin}{OPENID}" in words
    assert "authorization_endpoint and token_endpoint" in words


async def test_endpoints_that_an_administrator_wrote_are_used_as_they_are(outside: OutsideServer) -> None:
    outside.serve()
    authority = Authority(
        authorization_endpoint="https://github.example/login/authorize", token_endpoint="https://github.example/token"
    )
    found = await find(outside, AccountAuth(authority=authority))

    assert outside.paths == [f"{RESOURCE}/mcp"]
    assert (found.server.authorization, found.server.pkce) == ("https://github.example/login/authorize", True)
    assert (found.server.issuer, found.server.named, found.server.methods) == ("https://github.example", False, ())


async def test_an_issuer_that_an_administrator_wrote_is_asked_in_place_of_the_servers_own(
    outside: OutsideServer,
) -> None:
    issuer = f"{outside.origin}/real"
    outside.serve(outside.resource(authorization_servers=["https://wrong.example"]))
    outside.answers[f"{SERVER}/real"] = outside.metadata(issuer)
    found = await find(outside, AccountAuth(authority=Authority(issuer, revocation_endpoint="https://a.example/end")))

    assert (found.server.issuer, found.server.revocation) == (issuer, "https://a.example/end")
    assert found.server.token == f"{outside.origin}/token"


async def test_a25_a_registered_client_is_not_taken_to_another_issuer_than_the_servers(outside: OutsideServer) -> None:
    outside.serve()
    auth = AccountAuth(client=OAuthClient("us", "hush"), authority=Authority("https://as.example"))
    words = await refused(outside, Mistake, auth)

    assert outside.origin in words
    assert "https://as.example" in words
    assert "hush" not in words


async def test_a22_the_resource_is_left_out_where_an_administrator_wants_that(outside: OutsideServer) -> None:
    outside.serve()

    assert (await find(outside, AccountAuth(send_resource=False))).resource == ""


async def test_a22_without_metadata_the_resource_is_the_servers_url_without_what_may_be_secret(
    outside: OutsideServer,
) -> None:
    outside.answers[SERVER] = outside.metadata()
    url = outside.url.replace("http://", "http://user:hush@") + "?key=secret#part"

    assert (await find(outside, url=url)).resource == outside.url


@pytest.mark.parametrize("said", [None, [], ["plain"], "S256"])
async def test_a23_an_authorization_server_without_pkce_is_refused_in_words(outside: OutsideServer, said: Any) -> None:
    outside.serve(metadata=outside.metadata(code_challenge_methods_supported=said))

    assert "PKCE (S256)" in await refused(outside, Mistake)
    assert (await find(outside, MachineAuth())).server.pkce is False  # no code is on its way there
    endpoint = Authority(authorization_endpoint=f"{outside.origin}/authorize")
    assert (await find(outside, AccountAuth(authority=endpoint))).server.pkce


@pytest.mark.parametrize(
    ("configured", "challenged", "listed", "offered", "asked"),
    [
        (("mine",), "a", ["p"], ["offline_access"], ("mine",)),
        ((), "a b", ["p"], [], ("a", "b")),
        ((), "", ["p", "q"], [], ("p", "q")),
        ((), "", ["p"], ["p", "offline_access"], ("p", "offline_access")),
        ((), "a offline_access", ["p"], ["offline_access"], ("a", "offline_access")),
        ((), "", None, ["offline_access"], ()),
        ((), "", None, [], ()),
    ],
)
async def test_a26_scopes_are_those_configured_then_challenged_then_listed(
    outside: OutsideServer, configured: Any, challenged: str, listed: Any, offered: Any, asked: Any
) -> None:
    outside.challenge = f'Bearer scope="{challenged}"' if challenged else "Bearer"
    outside.serve(
        outside.resource(**({} if listed is None else {"scopes_supported": listed})),
        outside.metadata(scopes_supported=offered),
    )

    assert (await find(outside, AccountAuth(scopes=configured))).scopes == asked
    assert "offline_access" not in (await find(outside, MachineAuth(scopes=configured))).scopes or challenged


async def test_a_server_of_the_older_transport_is_asked_by_get(outside: OutsideServer) -> None:
    outside.serve()
    outside.answers["/mcp"] = lambda heard: Response(
        status_code=405 if heard.method == "POST" else 401, headers={"WWW-Authenticate": "Bearer scope=old"}
    )

    assert (await find(outside)).scopes == ("old",)


EVIL = ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//x.example/a", "https://u:p@x.example/"]


@pytest.mark.parametrize("evil", [*EVIL, "https://x.example/#f", "http://169.254.169.254/", "http://1.1.1.1/"])
@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint"])
async def test_b6_an_endpoint_that_is_none_is_refused(outside: OutsideServer, name: str, evil: str) -> None:
    outside.serve(metadata=outside.metadata(**{name: evil}))

    assert "of the authorization server" in await refused(outside, NotFetched)


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint"])
async def test_b6_an_endpoint_that_is_missing_is_told(outside: OutsideServer, name: str) -> None:
    outside.serve(metadata=outside.metadata(**{name: None}))

    assert f"names no {name}" in await refused(outside, Mistake)


@pytest.mark.parametrize("evil", [*EVIL, "http://169.254.169.254/", "https://10.0.0.7/", "http://1.1.1.1/"])
async def test_b3_what_a_server_names_is_not_asked_where_only_the_gateway_reaches(
    outside: OutsideServer, evil: str
) -> None:
    outside.serve(outside.resource(authorization_servers=[evil]))
    assert "may not be asked" in await refused(outside, NotFetched)

    outside.heard.clear()
    outside.challenge = f'Bearer resource_metadata="{evil}"'
    assert "may not be asked" in await refused(outside, NotFetched)
    assert outside.paths == []


async def test_b3_the_servers_own_origin_is_asked_and_no_other_port_beside(outside: OutsideServer) -> None:
    async with outside_server() as other:
        other.serve()
        outside.serve(outside.resource(authorization_servers=[other.origin]))
        with pytest.raises(NotFetched) as raised:
            await Discovery(Reaching(Egress(), lambda: ())).find(outside.url, AccountAuth())

    assert outside.paths == [f"{RESOURCE}/mcp"]
    assert other.heard == []
    assert "may not be asked" in str(raised.value)


async def test_b3_a_private_address_is_told_to_administrators_with_what_helps(outside: OutsideServer) -> None:
    outside.serve(outside.resource(authorization_servers=["https://10.0.0.7"]))
    with pytest.raises(NotFetched, match=r"gateway\.egress\.allow") as raised:
        await find(outside)

    assert raised.value.inside


async def test_a_name_that_leads_inside_only_when_it_is_asked_is_refused(outside: OutsideServer) -> None:
    """The name server says one thing to whoever judges, and another to whoever asks: it is judged each time."""
    outside.serve(outside.resource(authorization_servers=["https://as.example"]))
    for answers, error, words in (
        ([["1.1.1.1"], ["10.0.0.7"]], NotFetched, "is private"),
        ([[]], ProviderDown, "no address is known"),
        ([["1.1.1.1"], []], ProviderDown, "as.example does not answer"),
    ):
        reach = Reaching(Egress(resolve=Names(*answers)), lambda: LOCAL)
        with pytest.raises(error, match=words):
            await Discovery(reach).find(outside.url, ACCOUNT, "Bearer")


async def test_a_server_that_is_gone_is_told_as_such() -> None:
    async with outside_server() as outside:
        url = outside.url
    with pytest.raises(ProviderDown, match="does not answer"):
        await Discovery(reaching()).find(url, AccountAuth())


async def test_what_has_no_authorization_server_in_its_auth_is_found_too(outside: OutsideServer) -> None:
    outside.serve()

    assert (await find(outside, IdentityAuth())).server.issuer == outside.origin


@pytest.mark.parametrize(
    ("challenge", "resource", "used"),
    [
        ("Bearer", {}, ()),
        ("DPoP", {}, ("ES256",)),
        ('Bearer scope="a", DPoP algs="ES256"', {}, ("ES256",)),
        ("Bearer", {"dpop_bound_access_tokens_required": True}, ("ES256",)),
        ("Bearer", {"dpop_bound_access_tokens_required": "yes"}, ()),
    ],
)
async def test_a33_tokens_are_bound_to_a_key_where_the_server_takes_such(
    challenge: str, resource: dict[str, Any], used: tuple[str, ...]
) -> None:
    async with outside_server() as outside:
        outside.challenge = challenge
        outside.serve(outside.resource(**resource), outside.metadata(dpop_signing_alg_values_supported=["ES256"]))
        found = await Discovery(reaching()).find(outside.url, AccountAuth())
        assert found.server.dpop == used
