"""An enterprise's provider decides that an app may act for somebody; nobody is asked (SEP-990; oauth.md K15, A32)."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import pytest

from portkey_mcp.errors import Unauthenticated
from portkey_mcp.identity.fetching import Fetching
from portkey_mcp.identity.jwks import KeySets
from portkey_mcp.oauth.enterprise import Enterprises
from portkey_mcp.oauth.metadata import JWT_BEARER
from portkey_mcp.trust import DeclaredClient, Enterprise, Trust
from tests.identity.issuer import RSA, Issuer, issuer, signed
from tests.oauth.conftest import BASE, House

pytestmark = pytest.mark.anyio

DESK, SECRET = "desk", "a secret of the service desk"
RESOURCE = f"{BASE}/demo/files/mcp"


@dataclass
class Company:
    """A provider that the gateway trusts, and a declared client that has its assertions."""

    house: House
    idp: Issuer
    client: httpx2.AsyncClient

    def jag(self, by: Any = RSA["first"], typ: str = "oauth-id-jag+jwt", **other: Any) -> str:
        now = int(time.time())
        said = {"iss": self.idp.url, "sub": "u-1", "aud": BASE, "client_id": DESK, "jti": "once", "iat": now}
        whole = {**said, "exp": now + 300, "resource": RESOURCE, "email": "ada@example.com", **other}
        return signed({name: value for name, value in whole.items() if value is not None}, by, typ=typ)

    async def exchange(self, assertion: str, **form: str) -> httpx2.Response:
        said = {"grant_type": JWT_BEARER, "assertion": assertion, "client_id": DESK, "client_secret": SECRET, **form}
        return await self.client.post("/token", data={name: value for name, value in said.items() if value})

    async def refused(self, assertion: str, **form: str) -> str:
        answer = await self.exchange(assertion, **form)
        assert answer.status_code in (400, 401), answer.text
        return str(answer.json()["error"])


@pytest.fixture
async def company(house: House) -> AsyncIterator[Company]:
    async with issuer() as idp:
        client = DeclaredClient(DESK, "Service desk", ("https://desk.example/cb",), SECRET)
        public = DeclaredClient("open", "Open", ("https://open.example/cb",))
        house.trust = Trust(enterprises=(Enterprise(idp.url),), clients=(client, public))
        house.assertions = Enterprises(house.server, house.identity.logins, KeySets(Fetching())).exchange
        async with house.browser() as opened:
            yield Company(house, idp, opened)


async def test_a32_an_assertion_gives_a_token_for_its_person_its_endpoint_and_its_scopes(company: Company) -> None:
    answer = await company.exchange(company.jag(scope="mcp:read"))
    told = answer.json()
    principal = await company.house.principal(told["access_token"])

    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert (principal.email, principal.reach, principal.scopes) == ("ada@example.com", "demo/files", ("mcp:read",))
    assert (principal.client, told["scope"], "refresh_token" in told) == (DESK, "mcp:read", False)


async def test_an_assertion_is_exchanged_once(company: Company) -> None:
    assertion = company.jag()
    assert (await company.exchange(assertion)).status_code == 200
    assert await company.refused(assertion) == "invalid_grant"
    assert (await company.exchange(company.jag(jti="another"))).status_code == 200


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"aud": "https://other.example"}, "invalid_grant"),
        ({"client_id": "other"}, "invalid_grant"),
        ({"exp": int(time.time()) - 600}, "invalid_grant"),
        ({"iss": "https://evil.example"}, "invalid_grant"),
        ({"email": "nobody@example.com"}, "invalid_grant"),
        ({"email": "ada@example.com", "email_verified": False}, "invalid_grant"),
        ({"typ": "JWT"}, "invalid_grant"),
        ({"by": RSA["second"]}, "invalid_grant"),
        ({"resource": "https://evil.example/mcp"}, "invalid_target"),
        ({"resource": f"{BASE}/demo/absent/mcp"}, "invalid_target"),
        ({"resource": f"{BASE}/mcp"}, "invalid_target"),  # Ada is in two workspaces
        ({"email": "eve@example.com"}, "invalid_target"),  # Eve is not in demo
    ],
)
async def test_k15_what_does_not_fit_is_refused_and_gives_nothing(
    company: Company, other: dict[str, Any], error: str
) -> None:
    assert await company.refused(company.jag(**other)) == error


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_secret": ""}, "invalid_client"),
        ({"client_id": "open", "client_secret": ""}, "unauthorized_client"),
        ({"resource": f"{BASE}/demo/mcp"}, "invalid_target"),
        ({"scope": "mcp:call"}, "invalid_scope"),
    ],
)
async def test_only_clients_that_somebody_vouches_for_get_what_the_assertion_allows(
    company: Company, form: dict[str, str], error: str
) -> None:
    assert await company.refused(company.jag(scope="mcp:read"), **form) == error


async def test_a_client_that_registered_itself_gets_nothing(company: Company) -> None:
    ident = await company.house.registered(company.client)
    answer = await company.exchange(company.jag(client_id=ident), client_id=ident, client_secret="")
    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")


async def test_a_hosted_client_known_by_its_document_may(company: Company) -> None:
    """Claude's document names this grant and no secret (oauth.md section 4)."""
    claude = "https://claude.ai/oauth/mcp-oauth-client-metadata"
    answer = await company.exchange(company.jag(client_id=claude), client_id=claude, client_secret="")
    assert answer.status_code == 200


async def test_whoever_is_kept_out_here_is_kept_out(company: Company) -> None:
    access = (await company.exchange(company.jag())).json()["access_token"]
    await company.house.identity.people.disable("ada@example.com")
    company.house.server.tokens.forget()

    assert await company.refused(company.jag(jti="two")) == "invalid_grant"
    with pytest.raises(Unauthenticated):
        await company.house.principal(access)


async def test_without_an_enterprise_the_grant_is_not_there(company: Company) -> None:
    company.house.trust = replace(company.house.trust, enterprises=())
    assert await company.refused(company.jag()) == "unsupported_grant_type"
    told = (await company.client.get("/.well-known/oauth-authorization-server")).json()
    assert JWT_BEARER not in told["grant_types_supported"]


async def test_a_provider_that_is_down_is_no_refusal(company: Company) -> None:
    company.idp.broken = True
    answer = await company.exchange(company.jag())
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
