"""Credentials that nobody connects, at real authorization servers: what each is asked, and what is never sent to it."""

import base64
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote_plus

import pytest
from fastapi.responses import JSONResponse, Response
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from portkey_mcp.addresses import Addresses, canonical
from portkey_mcp.errors import Mistake, NotFetched, ProviderDown, SignInNeeded, TokenRefused
from portkey_mcp.identity.authenticate import LOCAL_ADMIN, Identity
from portkey_mcp.identity.discovery import Discovery as Providers
from portkey_mcp.identity.fetching import Fetching
from portkey_mcp.model import McpServer, Principal
from portkey_mcp.proof import Authority, EnterpriseAuth, ExchangeAuth, MachineAuth, OAuthClient, WorkloadAuth
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.trust import Provider, ProviderTokens, Trust
from portkey_mcp.vault.clients import Clients
from portkey_mcp.vault.connection import Credential
from portkey_mcp.vault.discovery import Discovery
from portkey_mcp.vault.identity_tokens import IdentityTokens
from portkey_mcp.vault.machines import EXCHANGE, ID_JAG, ID_TOKEN, JWT_BEARER, MachineKind, Machines
from portkey_mcp.vault.sign_in_tokens import SignInTokens
from portkey_mcp.vault.signing import SigningKeys
from portkey_mcp.vault.token_requests import ACCESS_TOKEN, JWT, TokenRequests
from portkey_mcp.wire import Json
from tests.storage.conftest import database
from tests.vault.outside_server import Heard, OutsideServer, outside_server, reaching

pytestmark = pytest.mark.anyio

__all__ = ["database"]

GATEWAY = "https://gateway.example"
KEY = ECKey.generate_key("P-256")
SECRET = OAuthClient("gateway:1", "a/secret of %")
SIGNED = OAuthClient("gateway", private_key=KEY.as_pem(private=True).decode())
TOKEN: Json = {"access_token": "a-token", "token_type": "Bearer", "expires_in": 300}
EXCHANGED: Json = {**TOKEN, "issued_token_type": ACCESS_TOKEN}
JAG: Json = {"access_token": "the-id-jag", "token_type": "N_A", "issued_token_type": ID_JAG, "expires_in": 300}


class House:
    """The gateway's part, a server with its authorization server, and an identity provider."""

    def __init__(self, database: Database, outside: OutsideServer, idp: OutsideServer) -> None:
        self.database, self.outside, self.idp = database, outside, idp
        keyring, reach = KeyRing.generate(), reaching()
        self.provider = Provider("corp", idp.origin, "sign-in-client", "sign-in-secret", "Corp")
        self.signing = SigningKeys(database, keyring)
        self.sign_ins = SignInTokens(
            database, keyring, lambda: Trust(providers=(self.provider,)), lambda _: True, self._renew
        )
        self.machines = Machines(
            Discovery(reach),
            Clients(database, keyring, reach, Addresses(GATEWAY), lambda: ""),
            TokenRequests(reach),
            IdentityTokens(self.signing, GATEWAY),
            self.sign_ins,
            Providers(Fetching()).metadata,
        )
        self.ada = Principal("", "Ada", "person")
        self.says()

    @staticmethod
    async def _renew(_: Provider, __: ProviderTokens) -> ProviderTokens:
        raise ProviderDown("it is not asked")

    def says(self, **metadata: Any) -> None:
        """What the authorization server says of itself; it gives a token to everybody."""
        good = {
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt", "none"],
            "token_endpoint_auth_signing_alg_values_supported": ["ES256"],
            "scopes_supported": ["read", "write", "offline_access"],
        }
        resource = self.outside.resource(scopes_supported=["read", "write"])
        self.outside.serve(resource, self.outside.metadata(**{**good, **metadata}))
        self.outside.answers["/token"] = TOKEN
        self.idp.answers["/.well-known/openid-configuration"] = self.idp.metadata(jwks_uri=f"{self.idp.origin}/jwks")
        self.idp.answers["/token"] = JAG

    async def setting(self) -> None:
        registry = Registry(self.database, KeyRing.generate())
        await registry.add_workspace("demo")
        await registry.add_server(self.server(MachineAuth()))
        people = Identity(self.database).people
        await people.add("ada@example.com", "Ada Lovelace", workspace="demo", role="admin")
        found = people.named("ada@example.com")
        assert found is not None
        self.ada = found

    def server(self, auth: MachineKind) -> McpServer:
        return McpServer("demo", "files", "http", self.outside.url, auth=auth)

    async def obtain(self, auth: MachineKind, who: Principal | None = None, wanted: tuple[str, ...] = ()) -> Credential:
        return await self.machines.obtain(self.server(auth), self.outside.url, auth, who, wanted)

    async def signed_in(self, id_token: str = "the-id-token", seconds: int = 300) -> None:
        ends = datetime.now(UTC) + timedelta(seconds=seconds)
        await self.sign_ins.keep(self.ada.id, self.provider, ProviderTokens("s-1", ends, id_token))


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        outside, idp = [await stack.enter_async_context(outside_server()) for _ in range(2)]
        made = House(database, outside, idp)
        await made.setting()
        yield made


def requests(server: OutsideServer) -> list[Heard]:
    return [heard for heard in server.heard if heard.path == "/token"]


def one_request(server: OutsideServer) -> Heard:
    (found,) = requests(server)
    return found


def basic(heard: Heard) -> list[str]:
    """Who HTTP Basic says the client is."""
    said = base64.b64decode(heard.headers["authorization"].removeprefix("Basic ")).decode()
    return [unquote_plus(part) for part in said.split(":")]


def refusing(error: str) -> Callable[[Heard], Response]:
    return lambda _: JSONResponse({"error": error, "error_description": "not you"}, 400)


async def test_a31_client_credentials_by_secret_name_the_resource_and_the_scopes(house: House) -> None:
    found = await house.obtain(MachineAuth(SECRET))
    heard = one_request(house.outside)
    assert basic(heard) == [SECRET.id, SECRET.secret]
    assert heard.form == {"grant_type": "client_credentials", "resource": house.outside.url, "scope": "read write"}
    assert found.tokens is not None
    assert found.endpoint is not None
    assert (found.tokens.access, found.scopes) == ("a-token", ("read", "write"))
    assert found.resource == canonical(house.outside.url)
    assert (found.issuer, found.endpoint.token) == (house.outside.origin, f"{house.outside.origin}/token")
    assert found.tokens.expires is not None
    assert found.tokens.expires > datetime.now(UTC) + timedelta(seconds=200)


async def test_a31_client_credentials_by_a_signed_assertion(house: House) -> None:
    await house.obtain(MachineAuth(SIGNED))
    form = one_request(house.outside).form
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    claims = jwt.decode(form["client_assertion"], KEY, algorithms=["ES256"]).claims
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("gateway", "gateway", house.outside.origin)
    assert claims["exp"] > time.time()
    assert "client_secret" not in form


@pytest.mark.parametrize(
    ("client", "says", "what"),
    [
        (SECRET, {"token_endpoint_auth_methods_supported": ["private_key_jwt"]}, "does not list client_secret_basic"),
        (SIGNED, {"token_endpoint_auth_methods_supported": ["client_secret_basic"]}, "does not list private_key_jwt"),
        (SIGNED, {"token_endpoint_auth_methods_supported": None}, "does not list private_key_jwt"),
        (SIGNED, {"token_endpoint_auth_signing_alg_values_supported": ["RS256"]}, "signed with RS256, not with ES256"),
    ],
)
async def test_a31_what_the_authorization_server_does_not_list_is_not_sent(
    house: House, client: OAuthClient, says: Json, what: str
) -> None:
    house.says(**says)
    with pytest.raises(Mistake, match=what):
        await house.obtain(MachineAuth(client))
    assert requests(house.outside) == []


async def test_a31_an_administrator_knows_better_than_the_metadata(house: House) -> None:
    house.says(token_endpoint_auth_methods_supported=["private_key_jwt"])
    await house.obtain(MachineAuth(replace(SECRET, method="client_secret_post")))
    assert one_request(house.outside).form["client_secret"] == SECRET.secret


async def test_a26_configured_scopes_are_asked_for_and_what_the_server_wants_beside(house: House) -> None:
    house.outside.answers["/token"] = {**TOKEN, "scope": "mine"}
    found = await house.obtain(MachineAuth(SECRET, scopes=("mine",)), wanted=("more", "mine"))
    assert one_request(house.outside).form["scope"] == "mine more"
    assert found.scopes == ("mine",)


async def test_the_resource_can_be_left_out(house: House) -> None:
    await house.obtain(MachineAuth(SECRET, send_resource=False))
    assert "resource" not in one_request(house.outside).form


async def test_nothing_is_kept_but_the_access_token(house: House) -> None:
    house.outside.answers["/token"] = {**TOKEN, "refresh_token": "r", "id_token": "i"}
    tokens = (await house.obtain(MachineAuth(SECRET))).tokens
    assert tokens is not None
    assert (tokens.refresh, tokens.id_token) == ("", "")


async def test_a33_a_workload_sends_the_token_of_its_platform(house: House) -> None:
    found = await house.obtain(WorkloadAuth("the.platform.jwt\n", OAuthClient("workload")))
    assert one_request(house.outside).form == {
        "grant_type": JWT_BEARER,
        "assertion": "the.platform.jwt",
        "client_id": "workload",
        "resource": house.outside.url,
        "scope": "read write",
    }
    assert found.tokens is not None
    assert found.tokens.access == "a-token"


async def test_a33_a_workload_needs_no_client_where_somebody_wrote_whom_its_token_is_for(house: House) -> None:
    await house.obtain(WorkloadAuth("the.platform.jwt", authority=Authority(house.outside.origin)))
    heard = one_request(house.outside)
    assert "client_id" not in heard.form
    assert "authorization" not in heard.headers


async def test_a33_a_workloads_token_goes_to_nobody_that_only_the_server_names(house: House) -> None:
    with pytest.raises(Mistake, match="issuer or a client_id"):
        await house.obtain(WorkloadAuth("the.platform.jwt"))
    assert requests(house.outside) == []


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_scope", "unauthorized_client"])
async def test_a33_a_refused_workload_neither_tries_again_nor_another_grant(house: House, error: str) -> None:
    house.outside.answers["/token"] = refusing(error)
    with pytest.raises(TokenRefused) as refused:
        await house.obtain(WorkloadAuth("the.platform.jwt", OAuthClient("workload")))
    assert refused.value.error == error
    assert "the.platform.jwt" not in str(refused.value)
    assert len(requests(house.outside)) == 1


@pytest.mark.parametrize("token", ["", " \n", "two words", "a\r\nb", "ä"])
async def test_what_is_no_token_is_not_sent(house: House, token: str) -> None:
    with pytest.raises(Mistake, match="no JWT"):
        await house.obtain(WorkloadAuth(token, OAuthClient("workload")))
    assert requests(house.outside) == []


async def test_b2_a_person_is_exchanged_by_our_own_word_for_this_authorization_server(house: House) -> None:
    house.outside.answers["/token"] = EXCHANGED
    await house.obtain(ExchangeAuth(SECRET, audience="the-api"), house.ada)
    form = one_request(house.outside).form
    claims = jwt.decode(
        form.pop("subject_token"), KeySet.import_key_set(await house.signing.published()), algorithms=["ES256"]
    ).claims
    assert (claims["iss"], claims["aud"], claims["sub"]) == (GATEWAY, house.outside.origin, house.ada.id)
    assert (claims["email"], claims["role"], claims["workspace"]) == ("ada@example.com", "admin", "demo")
    assert form == {
        "grant_type": EXCHANGE,
        "subject_token_type": JWT,
        "requested_token_type": ACCESS_TOKEN,
        "audience": "the-api",
        "resource": house.outside.url,
        "scope": "read write",
    }


async def test_a_person_is_exchanged_by_their_sign_in(house: House) -> None:
    house.outside.answers["/token"] = EXCHANGED
    await house.signed_in()
    await house.obtain(ExchangeAuth(SECRET, subject="sign_in"), house.ada)
    form = one_request(house.outside).form
    assert (form["subject_token"], form["subject_token_type"]) == ("the-id-token", ID_TOKEN)
    assert "audience" not in form


@pytest.mark.parametrize("issued", ["urn:ietf:params:oauth:token-type:refresh_token", ID_TOKEN, ID_JAG])
async def test_another_kind_of_token_than_was_asked_for_is_refused(house: House, issued: str) -> None:
    house.outside.answers["/token"] = {**TOKEN, "issued_token_type": issued}
    with pytest.raises(NotFetched):
        await house.obtain(ExchangeAuth(SECRET), house.ada)


async def test_an_access_token_may_be_called_a_jwt(house: House) -> None:
    house.outside.answers["/token"] = {**TOKEN, "issued_token_type": JWT}
    assert (await house.obtain(ExchangeAuth(SECRET), house.ada)).tokens is not None


async def test_a32_the_identity_provider_vouches_and_the_servers_authorization_server_gives_the_token(
    house: House,
) -> None:
    await house.signed_in()
    found = await house.obtain(EnterpriseAuth("corp", SECRET), house.ada)
    asked = one_request(house.idp)
    assert basic(asked) == ["sign-in-client", "sign-in-secret"]
    assert asked.form == {
        "grant_type": EXCHANGE,
        "subject_token": "the-id-token",
        "subject_token_type": ID_TOKEN,
        "requested_token_type": ID_JAG,
        "audience": house.outside.origin,
        "resource": house.outside.url,
        "scope": "read write",
    }
    heard = one_request(house.outside)
    assert basic(heard) == [SECRET.id, SECRET.secret]
    assert heard.form == {
        "grant_type": JWT_BEARER,
        "assertion": "the-id-jag",
        "resource": house.outside.url,
        "scope": "read write",
    }
    assert found.tokens is not None
    assert (found.tokens.access, found.issuer) == ("a-token", house.outside.origin)


async def test_a32_the_id_token_is_shown_to_the_identity_provider_only(house: House) -> None:
    await house.signed_in("planted-id-token")
    await house.obtain(EnterpriseAuth("corp", SECRET), house.ada)
    assert "planted-id-token" not in repr(house.outside.heard)
    assert "sign-in-secret" not in repr(house.outside.heard)
    assert SECRET.secret not in repr(house.idp.heard)


@pytest.mark.parametrize("answer", [TOKEN, EXCHANGED, {**JAG, "issued_token_type": JWT}])
async def test_a32_what_is_no_id_jag_goes_no_further(house: House, answer: Json) -> None:
    await house.signed_in()
    house.idp.answers["/token"] = answer
    with pytest.raises(NotFetched):
        await house.obtain(EnterpriseAuth("corp", SECRET), house.ada)
    assert requests(house.outside) == []


async def test_a32_who_is_not_signed_in_any_more_is_told_where_to(house: House) -> None:
    for seconds in (None, -1):
        if seconds is not None:
            await house.signed_in(seconds=seconds)
        with pytest.raises(SignInNeeded, match="Sign in with Corp again") as needed:
            await house.obtain(EnterpriseAuth("corp", SECRET), house.ada)
        assert needed.value.provider == "corp"
    assert requests(house.idp) == requests(house.outside) == []


async def test_a32_a_sign_in_that_the_provider_does_not_take_any_more_is_to_be_made_again(house: House) -> None:
    await house.signed_in()
    house.idp.answers["/token"] = refusing("invalid_grant")
    with pytest.raises(SignInNeeded, match=r"Corp does not take .*not you") as needed:
        await house.obtain(EnterpriseAuth("corp", SECRET), house.ada)
    assert "the-id-token" not in str(needed.value)
    house.idp.answers["/token"] = refusing("access_denied")
    with pytest.raises(TokenRefused):
        await house.obtain(EnterpriseAuth("corp", SECRET), house.ada)
    assert requests(house.outside) == []


@pytest.mark.parametrize("who", [None, LOCAL_ADMIN, Principal("service:1", "ci", "service", {"demo": "member"})])
async def test_only_people_have_signed_in(house: House, who: Principal | None) -> None:
    for auth in (EnterpriseAuth("corp", SECRET), ExchangeAuth(SECRET, subject="sign_in")):
        with pytest.raises(SignInNeeded) as needed:
            await house.obtain(auth, who)
        assert needed.value.provider == ""


async def test_a25_a_client_is_of_no_use_where_a_server_changes_its_authorization_server(house: House) -> None:
    house.outside.answers["/token"] = EXCHANGED
    await house.signed_in()
    kinds: list[MachineKind] = [MachineAuth(SECRET), ExchangeAuth(SECRET, subject="sign_in")]
    for auth in kinds:
        await house.obtain(auth, house.ada)
    async with outside_server() as other:
        other.serve(metadata=other.metadata())
        other.answers["/token"] = EXCHANGED
        resource = house.outside.resource(authorization_servers=[other.origin])
        house.outside.answers["/.well-known/oauth-protected-resource/mcp"] = resource
        for auth in kinds:
            with pytest.raises(Mistake):
                await house.obtain(auth, house.ada)
        assert requests(other) == []


async def test_an_authorization_server_that_is_down_is_said_to_be(house: House) -> None:
    house.outside.answers["/token"] = lambda _: JSONResponse({}, 503)
    with pytest.raises(ProviderDown):
        await house.obtain(MachineAuth(SECRET))
    assert len(requests(house.outside)) == 1
