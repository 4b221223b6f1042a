"""The endpoints that programs ask, as clients ask them."""

import base64
from typing import Any

import httpx2
import pytest
from mcp.shared.auth import OAuthClientInformationFull, OAuthMetadata, OAuthToken, ProtectedResourceMetadata

from portkey_mcp.oauth.endpoints import LARGEST
from portkey_mcp.oauth.registration import NEW_EACH
from portkey_mcp.trust import DeclaredClient, Terms, Trust
from tests.oauth.conftest import BASE, REDIRECT, Asked, House, allowed, tokens

pytestmark = pytest.mark.anyio

ALIAS = "https://files.example"
SILENT = "https://keys.example"
PROTECTED = "/.well-known/oauth-protected-resource"
SERVER = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"
DECLARED = DeclaredClient("resource-server", "Our server", (REDIRECT,), "s3cret")


async def get(house: House, path: str, origin: str = BASE) -> httpx2.Response:
    async with house.browser(origin) as client:
        return await client.get(path)


async def post(house: House, path: str, form: dict[str, str], **headers: str) -> httpx2.Response:
    async with house.browser() as client:
        return await client.post(path, data=form, headers=headers)


async def first(house: House, **said: object) -> tuple[str, dict[str, str]]:
    async with house.signed_in() as browser:
        ident = await house.registered(browser, **said)
        return ident, await tokens(browser, Asked(ident))


def basic(ident: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{ident}:{secret}".encode()).decode()


def is_nothing(answer: httpx2.Response) -> bool:
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code == 404 and answer.json()["error"] == "not_found"


async def test_a_client_registers_is_let_in_and_gets_tokens_that_are_good_for_one_server(house: House) -> None:
    _, told = await first(house)
    principal = await house.principal(told["access_token"])

    OAuthToken.model_validate(told)
    assert (told["token_type"], told["scope"]) == ("Bearer", "mcp:read mcp:call")
    assert (principal.email, principal.reach, principal.workspaces) == (
        "ada@example.com",
        "demo/files",
        {"demo": "admin"},
    )


@pytest.mark.parametrize("origin", [BASE, ALIAS])
@pytest.mark.parametrize(
    "path",
    [
        SERVER,
        f"{SERVER}/mcp",
        f"{SERVER}/demo/mcp",
        f"{SERVER}/demo/files/mcp",
        f"{SERVER}/Demo/Files/MCP/",
        OPENID,
        f"{OPENID}/demo/files/mcp",
        f"/demo/files/mcp{OPENID}",
        f"/mcp{OPENID}",
    ],
)
async def test_k4_a10_the_server_describes_itself_wherever_clients_look(house: House, path: str, origin: str) -> None:
    answer = await get(house, path, origin)

    assert answer.status_code == 200
    assert OAuthMetadata.model_validate(answer.json())
    assert answer.json()["issuer"] == origin
    assert answer.json()["token_endpoint"] == f"{origin}/token"


@pytest.mark.parametrize("origin", [BASE, ALIAS])
@pytest.mark.parametrize(
    "path", ["/mcp", "/mcp/", "/demo/mcp", "/demo/files/mcp", "/demo/files/mcp/", "/Demo/Files/MCP", "/no/such/mcp"]
)
async def test_a1_k2_k3_an_endpoint_is_described_as_the_client_has_it(house: House, path: str, origin: str) -> None:
    document = (await get(house, f"{PROTECTED}{path}", origin)).json()

    assert ProtectedResourceMetadata.model_validate(document)
    assert (document["resource"], document["authorization_servers"]) == (f"{origin}{path}", [origin])


async def test_k2_the_origin_describes_itself_and_no_path_below_it(house: House) -> None:
    assert (await get(house, PROTECTED)).json()["resource"] == BASE
    assert (await get(house, f"{PROTECTED}/")).json()["resource"] == BASE
    assert (await get(house, PROTECTED, ALIAS)).json()["resource"] == ALIAS


async def test_a1_a_host_nobody_configured_is_not_believed(house: House) -> None:
    for path, name in ((SERVER, "issuer"), (f"{PROTECTED}/mcp", "resource")):
        assert (await get(house, path, "https://evil.example")).json()[name].startswith(BASE)


@pytest.mark.parametrize("prefix", ["/Tools", "/tools"])
@pytest.mark.parametrize(
    "path", [f"{SERVER}/tools", SERVER, f"{OPENID}/tools", f"/tools{OPENID}", f"{SERVER}/tools/demo/mcp"]
)
async def test_k4_a_public_url_with_a_path_is_the_issuer_everywhere(house: House, prefix: str, path: str) -> None:
    there = House(house.database, house.identity, house.keyring, base=f"{BASE}{prefix}")

    assert (await get(there, path)).json()["issuer"] == f"{BASE}{prefix}"


@pytest.mark.parametrize("place", ["/tools/demo/files/mcp", "/TOOLS/demo/files/mcp", "/demo/files/mcp"])
async def test_k3_below_a_path_the_resource_is_the_url_all_the_same(house: House, place: str) -> None:
    there = House(house.database, house.identity, house.keyring, base=f"{BASE}/tools")

    assert (await get(there, f"{PROTECTED}{place}")).json()["resource"] == f"{BASE}/tools/demo/files/mcp"
    assert (await get(there, f"{PROTECTED}/tools")).json()["resource"] == f"{BASE}/tools"


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/anything",
        "/.well-known/security.txt",
        f"{SERVER}/elsewhere",
        f"{SERVER}/a/b/c/mcp",
        f"{PROTECTED}/elsewhere",
        f"{PROTECTED}/mcp/more",
        f"/elsewhere{OPENID}",
        "/.well-known/jwks.json/mcp",
        f"{PROTECTED}/_key/demo/files/mcp",
        f"{SERVER}/_key/demo/files/mcp",
        f"{OPENID}/_KEY/demo/files/mcp",
        f"/_key/demo/files/mcp{OPENID}",
    ],
)
async def test_k4_anything_else_is_a_json_404(house: House, path: str) -> None:
    assert is_nothing(await get(house, path))


@pytest.mark.parametrize("path", [SERVER, OPENID, PROTECTED, f"{PROTECTED}/mcp", f"/mcp{OPENID}"])
async def test_a_host_for_api_keys_is_silent(house: House, path: str) -> None:
    assert is_nothing(await get(house, path, SILENT))


@pytest.mark.parametrize("path", ["/token", "/register", "/revoke", "/introspect"])
async def test_so_are_its_endpoints(house: House, path: str) -> None:
    async with house.browser(SILENT) as client:
        assert is_nothing(await client.post(path, data={"a": "b"}))


async def test_scripts_may_ask(house: House) -> None:
    async with house.browser() as client:
        for path in (SERVER, PROTECTED, "/token", "/register", "/revoke", "/introspect"):
            assert (await client.options(path)).status_code == 204
        assert (await client.get(SERVER)).headers["access-control-allow-origin"] == "*"
        assert (await client.post("/token")).headers["access-control-allow-origin"] == "*"


async def test_a_get_is_told_to_post(house: House) -> None:
    for path in ("/token", "/register", "/revoke", "/introspect"):
        answer = await get(house, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")
        assert answer.json()["error"] == "invalid_request"


async def test_a16_k5_registering_is_a_201_that_the_sdk_reads(house: House) -> None:
    async with house.browser() as client:
        said = {"client_name": "App", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_post"}
        answer = await client.post("/register", json=said)

    read = OAuthClientInformationFull.model_validate(answer.json())
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert (read.client_name, read.client_secret_expires_at) == ("App", 0)
    assert (house.acts[-1].act, house.acts[-1].outcome) == ("register", "done")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"null", b"\xff", b'{"redirect_uris":[]}', b"[" * 5000])
async def test_a_body_that_is_no_registration_is_refused(house: House, body: bytes) -> None:
    async with house.browser() as client:
        answer = await client.post("/register", content=body)

    assert answer.status_code == 400
    assert answer.json()["error"] in ("invalid_client_metadata", "invalid_redirect_uri")


async def test_a_flood_is_a_429_that_says_when_to_come_again(house: House) -> None:
    async with house.browser() as client:
        for number in range(NEW_EACH):
            await house.registered(client, client_name=f"App {number}")
        said = {"client_name": "More", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"}
        answer = await client.post("/register", json=said)
        assert await house.registered(client, client_name="App 3")

    assert (answer.status_code, answer.json()["error"]) == (429, "temporarily_unavailable")
    assert 3590 <= int(answer.headers["retry-after"]) <= 3601


@pytest.mark.parametrize("path", ["/token", "/register", "/revoke", "/introspect"])
async def test_a_huge_body_is_a_413(house: House, path: str) -> None:
    async with house.browser() as client:
        form = {"content-type": "application/x-www-form-urlencoded"}
        answer = await client.post(path, content=b"a" * (LARGEST + 1), headers=form)

    assert (answer.status_code, answer.json()["error"]) == (413, "invalid_request")


async def test_registration_that_is_off_is_not_there(house: House) -> None:
    house.trust = Trust(terms=Terms(registration=False))
    async with house.browser() as client:
        answer = await client.post("/register", json={"redirect_uris": [REDIRECT]})

    assert (answer.status_code, answer.json()["error"]) == (403, "access_denied")
    assert "registration_endpoint" not in (await get(house, SERVER)).json()


async def test_a17_tokens_are_json_that_nobody_keeps(house: House) -> None:
    async with house.signed_in() as browser:
        asked = Asked(await house.registered(browser))
        form = asked.form((await allowed(browser, asked))["code"])
        good, bad = await browser.post("/token", data=form), await browser.post("/token", data=form)

    for answer in (good, bad):
        assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
        assert answer.headers["content-type"] == "application/json"
    assert (bad.status_code, bad.json()["error"]) == (400, "invalid_grant")


async def test_a16_k5_an_unknown_client_at_the_token_endpoint_is_a_401(house: House) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    plain = await post(house, "/token", {**form, "client_id": "client_gone"})
    by_basic = await post(house, "/token", form, authorization=basic("client_gone", "x"))

    for answer in (plain, by_basic):
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert "www-authenticate" not in plain.headers
    assert by_basic.headers["www-authenticate"].startswith("Basic ")


async def test_a10_a_confidential_client_redeems_only_with_its_secret(house: House) -> None:
    said = {"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_basic"}
    async with house.signed_in() as browser:
        told = (await browser.post("/register", json=said)).json()
        asked = Asked(told["client_id"])
        form = asked.form((await allowed(browser, asked))["code"])
        without = await browser.post("/token", data=form)
        proof = {"authorization": basic(told["client_id"], told["client_secret"])}
        answer = await browser.post("/token", data=form, headers=proof)

    assert (without.status_code, answer.status_code) == (401, 200)


@pytest.mark.parametrize(
    "sent",
    [
        {"json": {"grant_type": "authorization_code"}},
        {"content": b"grant_type=x"},
        {"content": b"\xff=1", "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"content": b"a=1&a=2", "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"content": b"client_id=a&client_id=a", "headers": {"content-type": "application/x-www-form-urlencoded"}},
    ],
)
async def test_what_is_no_form_is_an_invalid_request(house: House, sent: dict[str, Any]) -> None:
    async with house.browser() as client:
        for path in ("/token", "/revoke", "/introspect"):
            answer = await client.post(path, **sent)
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_a17_revoking_either_token_ends_both(house: House) -> None:
    for name in ("access_token", "refresh_token"):
        ident, told = await first(house)
        answer = await post(house, "/revoke", {"token": told[name], "client_id": ident, "token_type_hint": "nonsense"})
        refresh = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"], "client_id": ident}

        assert answer.status_code == 200
        assert await house.server.issuing.read(told["access_token"]) is None
        assert (await post(house, "/token", refresh)).json()["error"] == "invalid_grant"
        assert "revoke" in [act.act for act in house.acts]


async def test_revoking_what_is_not_known_is_no_error(house: House) -> None:
    ident, told = await first(house)
    for token in ("unknown", "pka_unknown"):
        assert (await post(house, "/revoke", {"token": token, "client_id": ident})).status_code == 200
        assert (await post(house, "/revoke", {"token": token})).status_code == 200

    assert (await post(house, "/revoke", {"client_id": ident})).json()["error"] == "invalid_request"
    assert await house.server.issuing.read(told["access_token"])


async def test_whoever_has_a_public_clients_token_may_end_it(house: House) -> None:
    _, told = await first(house)

    assert (await post(house, "/revoke", {"token": told["refresh_token"]})).status_code == 200
    assert await house.server.issuing.read(told["access_token"]) is None


async def test_b4_another_client_ends_nothing(house: House) -> None:
    _, told = await first(house)
    async with house.browser() as client:
        other = await house.registered(client, client_name="Other")
    answer = await post(house, "/revoke", {"token": told["access_token"], "client_id": other})
    unknown = await post(house, "/revoke", {"token": told["access_token"], "client_id": "client_gone"})

    assert (answer.status_code, unknown.status_code) == (400, 401)
    assert await house.server.issuing.read(told["access_token"])


async def test_a_confidential_clients_token_is_ended_by_that_client_alone(house: House) -> None:
    house.trust = Trust(clients=(DECLARED,))
    async with house.signed_in() as browser:
        asked = Asked(DECLARED.id)
        told = await tokens(browser, asked, client_secret=DECLARED.secret)
    assert (await post(house, "/revoke", {"token": told["access_token"]})).status_code == 400
    assert (await post(house, "/revoke", {"token": told["access_token"], "client_id": DECLARED.id})).status_code == 401
    assert await house.server.issuing.read(told["access_token"])

    proof = basic(DECLARED.id, DECLARED.secret)
    assert (await post(house, "/revoke", {"token": told["access_token"]}, authorization=proof)).status_code == 200
    assert await house.server.issuing.read(told["access_token"]) is None


async def introspected(house: House, token: str, ident: str = DECLARED.id, secret: str = DECLARED.secret) -> Any:
    answer = await post(house, "/introspect", {"token": token}, authorization=basic(ident, secret))
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    return answer.json()


async def test_introspection_tells_a_declared_client_what_a_token_is_good_for(house: House) -> None:
    house.trust = Trust(clients=(DECLARED,))
    ident, told = await first(house)
    facts = await introspected(house, told["access_token"])

    assert (facts["active"], facts["client_id"], facts["token_type"]) == (True, ident, "Bearer")
    assert (facts["scope"], facts["iss"], facts["aud"]) == ("mcp:read mcp:call", BASE, f"{BASE}/demo/files/mcp")
    assert facts["exp"] - facts["iat"] == 8 * 3600
    assert (await introspected(house, told["refresh_token"]))["active"] is True


async def test_introspection_of_anything_else_is_inactive_and_says_no_more(house: House) -> None:
    house.trust = Trust(clients=(DECLARED,))
    ident, told = await first(house)
    await house.identity.people.disable("ada@example.com")
    assert await introspected(house, told["access_token"]) == {"active": False}
    await house.identity.people.enable("ada@example.com")
    refresh = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"], "client_id": ident}
    await post(house, "/token", refresh)

    for token in ("unknown", "pka_unknown", told["refresh_token"]):
        assert await introspected(house, token) == {"active": False}


async def test_b4_a_client_that_registered_itself_sees_its_own_tokens_only(house: House) -> None:
    _, told = await first(house)
    async with house.browser() as client:
        said = {"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_post"}
        other = (await client.post("/register", json=said)).json()

    assert await introspected(house, told["access_token"], other["client_id"], other["client_secret"]) == {
        "active": False
    }


async def test_introspection_is_not_for_public_clients(house: House) -> None:
    ident, told = await first(house)
    answer = await post(house, "/introspect", {"token": told["access_token"], "client_id": ident})

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_it_fails_closed_where_the_store_does(house: House) -> None:
    ident, told = await first(house)
    async with house.database.write() as session:
        await (await session.connection()).exec_driver_sql("DROP TABLE oauth_tokens")
    refresh = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"], "client_id": ident}
    for path, form in (("/token", refresh), ("/revoke", {"token": "x", "client_id": ident})):
        answer = await post(house, path, form)
        assert (answer.status_code, answer.json()["error"]) == (503, "server_error")
        assert answer.headers["retry-after"]
        assert "oauth_tokens" not in answer.text
