"""Which client the gateway is, at real authorization servers (oauth.md A21, A25)."""

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import Response
from fastapi.responses import JSONResponse
from sqlalchemy import select, text

from portkey_mcp.addresses import Addresses
from portkey_mcp.errors import Mistake, NotFetched, ProviderDown, StoreDown
from portkey_mcp.model import McpServer
from portkey_mcp.oauth.client_document import read
from portkey_mcp.proof import AccountAuth, Authority, MachineAuth, OAuthClient, WorkloadAuth
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.vault.authorization_server import AuthorizationServer
from portkey_mcp.vault.clients import Clients, client_document
from portkey_mcp.vault.connection import Client
from portkey_mcp.vault.tables import UpstreamClientRow
from tests.storage.conftest import database
from tests.vault.outside_server import OutsideServer, outside_server, reaching

__all__ = ["database"]

pytestmark = pytest.mark.anyio

BASE = "https://gw.example/mcp-gw"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
FILES = McpServer("demo", "files", "http", "https://files.example/mcp")
ACCOUNT = AccountAuth()
REGISTERED = {"client_id": "given-1", "client_secret": "given-hush"}


@pytest.fixture
async def outside() -> AsyncIterator[OutsideServer]:
    async with outside_server() as found:
        yield found


@pytest.fixture
async def keyring(database: Database) -> KeyRing:
    keyring = KeyRing.generate()
    registry = Registry(database, keyring)
    await registry.add_workspace("demo")
    await registry.add_server(FILES)
    return keyring


class Made:
    """A gateway's clients; `moment` is what time it is."""

    def __init__(self, database: Database, keyring: KeyRing, base: str = BASE, document: str = "") -> None:
        self.moment = NOW
        self.clients = Clients(
            database, keyring, reaching(), Addresses(base), lambda: document, now=lambda: self.moment
        )

    async def client(self, at: AuthorizationServer, auth: Any = ACCOUNT, **how: Any) -> Client:
        return await self.clients.client(FILES, at.issuer, auth, at, **how)

    async def refused(self, error: type[Exception], at: AuthorizationServer, auth: Any = ACCOUNT, **how: Any) -> str:
        with pytest.raises(error) as raised:
            await self.client(at, auth, **how)
        return str(raised.value)


@pytest.fixture
def made(database: Database, keyring: KeyRing) -> Made:
    return Made(database, keyring)


def at(outside: OutsideServer, *methods: str, issuer: str = "", **more: Any) -> AuthorizationServer:
    whole = {"registration": f"{outside.origin}/register", "methods": methods or ("client_secret_basic",), **more}
    return AuthorizationServer(issuer or outside.origin, f"{outside.origin}/a", f"{outside.origin}/token", **whole)


async def test_a21_a_client_that_an_administrator_registered_comes_first(made: Made, outside: OutsideServer) -> None:
    made = Made(made.clients._database, made.clients._keyring, document="https://gw.example/oauth/client.json")
    auth = AccountAuth(client=OAuthClient("us", "hush"))
    found = await made.client(at(outside, "none", "client_secret_post", documents=True), auth)

    assert (found, found.secret) == (Client("us", "client_secret_post", "hush"), "hush")
    assert outside.heard == []
    signing = MachineAuth(OAuthClient("us", private_key="pem", algorithm="RS256"))
    assert await made.client(at(outside), signing, interactive=False) == Client(
        "us", "private_key_jwt", private_key="pem", algorithm="RS256"
    )


async def test_a21_the_gateways_document_comes_before_registering(made: Made, outside: OutsideServer) -> None:
    document = "https://gw.example/oauth/client.json"
    made = Made(made.clients._database, made.clients._keyring, document=document)

    assert await made.client(at(outside, "none", documents=True)) == Client(document, "none")
    assert await made.client(at(outside, documents=True, registration="")) == Client(document, "none")
    assert outside.heard == []
    outside.answers["/register"] = REGISTERED
    assert (await made.client(at(outside, "client_secret_post", documents=True))).id == "given-1"  # K5
    assert (await made.client(at(outside, "none"))).id == "given-1"


async def test_a21_the_gateway_registers_once_for_a_server(made: Made, outside: OutsideServer) -> None:
    outside.answers["/register"] = JSONResponse({**REGISTERED, "client_secret_expires_at": 0}, 201)
    found = await made.client(at(outside))

    assert (found.id, found.method, found.secret) == ("given-1", "client_secret_basic", "given-hush")
    assert await made.client(at(outside)) == found
    (heard,) = outside.heard
    assert heard.body == {
        "client_name": "portkey-mcp",
        "client_uri": BASE,
        "redirect_uris": [f"{BASE}/oauth/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic",
        "application_type": "web",
    }
    assert made.clients.redirect_uri == f"{BASE}/oauth/callback"


@pytest.mark.parametrize("base", ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080"])
async def test_a21_a_gateway_on_a_persons_own_computer_is_a_native_application(
    made: Made, outside: OutsideServer, base: str
) -> None:
    outside.answers["/register"] = REGISTERED
    await Made(made.clients._database, made.clients._keyring, base).client(at(outside))

    assert (outside.heard[0].body["application_type"], "client_uri" in outside.heard[0].body) == ("native", False)


@pytest.mark.parametrize(
    ("methods", "said", "asked", "found"),
    [
        (("none",), {}, "none", ("none", "")),
        (("client_secret_post",), {}, "client_secret_post", ("client_secret_post", "given-hush")),
        (("private_key_jwt", "none", "client_secret_basic"), {}, "client_secret_basic", ("client_secret_basic",)),
        (("client_secret_basic",), {"token_endpoint_auth_method": "client_secret_post"}, "", ("client_secret_post",)),
        (("client_secret_basic",), {"token_endpoint_auth_method": "none"}, "", ("none", "")),
        (("client_secret_basic",), {"client_secret": None}, "", ("none", "")),
        (("client_secret_basic",), {"token_endpoint_auth_method": "odd"}, "", ("client_secret_basic",)),
    ],
)
async def test_a27_it_registers_for_a_way_that_both_know_and_takes_the_one_it_is_given(
    made: Made, outside: OutsideServer, methods: Any, said: Any, asked: str, found: Any
) -> None:
    outside.answers["/register"] = {**REGISTERED, **said}
    client = await made.client(at(outside, *methods))

    assert (client.method, client.secret)[: len(found)] == found
    assert outside.heard[0].body["token_endpoint_auth_method"] == (asked or methods[0])


async def test_a21_it_registers_again_once_the_secret_expires(made: Made, outside: OutsideServer) -> None:
    ends = NOW + timedelta(hours=1)
    outside.answers["/register"] = {**REGISTERED, "client_secret_expires_at": int(ends.timestamp())}
    await made.client(at(outside))
    made.moment = ends - timedelta(minutes=6)
    await made.client(at(outside))
    assert len(outside.heard) == 1

    made.moment = ends - timedelta(minutes=5)
    outside.answers["/register"] = {"client_id": "given-2"}
    assert (await made.client(at(outside))).id == "given-2"
    made.moment = ends + timedelta(days=900)
    assert (await made.client(at(outside))).id == "given-2"
    assert len(outside.heard) == 2


async def test_a21_it_registers_again_under_another_public_url(made: Made, outside: OutsideServer) -> None:
    outside.answers["/register"] = REGISTERED
    await made.client(at(outside))
    other = Made(made.clients._database, made.clients._keyring, "https://other.example")
    await other.client(at(outside))
    await other.client(at(outside))

    redirects = [one.body["redirect_uris"] for one in outside.heard]
    assert redirects == [[f"{BASE}/oauth/callback"], ["https://other.example/oauth/callback"]]


async def test_a21_it_registers_again_once_it_is_forgotten_or_its_key_is_lost(
    made: Made, outside: OutsideServer
) -> None:
    outside.answers["/register"] = REGISTERED
    await made.client(at(outside))
    await made.clients.forget(FILES, "https://other.example")
    await made.client(at(outside))
    assert len(outside.heard) == 1
    await made.clients.forget(FILES, outside.origin)
    await made.client(at(outside))
    await Made(made.clients._database, KeyRing.generate()).client(at(outside))

    assert len(outside.heard) == 3


async def test_a25_every_issuer_has_a_client_of_its_own(made: Made, outside: OutsideServer) -> None:
    outside.answers["/register"] = REGISTERED
    await made.client(at(outside))
    outside.answers["/register"] = {"client_id": "given-2"}

    assert (await made.client(at(outside, issuer=f"{outside.origin}/other"))).id == "given-2"
    assert (await made.client(at(outside))).id == "given-1"
    assert len(outside.heard) == 2


async def test_a25_a_row_that_is_moved_to_another_issuer_does_not_open(made: Made, outside: OutsideServer) -> None:
    outside.answers["/register"] = REGISTERED
    await made.client(at(outside))
    async with made.clients._database.write() as session:
        row = (await session.scalars(select(UpstreamClientRow))).one()
        assert "given" not in row.sealed
        row.issuer = f"{outside.origin}/other"
    outside.answers["/register"] = {"client_id": "given-2"}

    assert (await made.client(at(outside, issuer=f"{outside.origin}/other"))).id == "given-2"


async def test_a25_a_client_of_one_issuer_is_never_another_ones(made: Made, outside: OutsideServer) -> None:
    auth = AccountAuth(client=OAuthClient("us", "hush"), authority=Authority("https://as.example"))
    words = await made.refused(Mistake, at(outside), auth)

    assert "https://as.example" in words
    assert outside.origin in words
    assert "hush" not in words


async def test_a25_a_client_without_an_issuer_belongs_to_the_first_one_that_was_met(
    made: Made, outside: OutsideServer
) -> None:
    auth = AccountAuth(client=OAuthClient("us", "hush"))
    await made.client(at(outside), auth)
    await made.client(at(outside), auth)
    elsewhere = at(outside, issuer="https://evil.example")
    assert "write its client_id and issuer" in await made.refused(Mistake, elsewhere, auth)
    await made.clients.forget(FILES, outside.origin)
    await made.refused(Mistake, elsewhere, auth)
    await Made(made.clients._database, KeyRing.generate()).refused(Mistake, elsewhere, auth)  # it cannot tell: no

    said = AccountAuth(client=OAuthClient("us", "hush"), authority=Authority("https://evil.example"))
    assert (await made.client(elsewhere, said)).id == "us"
    assert (await made.client(elsewhere, AccountAuth(client=OAuthClient("other")))).id == "other"
    await made.refused(Mistake, at(outside), AccountAuth(client=OAuthClient("other")))


async def test_a_token_endpoint_that_an_administrator_changes_takes_the_client_along(
    made: Made, outside: OutsideServer
) -> None:
    for issuer in ("https://one.example", "https://two.example"):
        authority = Authority(authorization_endpoint=f"{issuer}/a", token_endpoint=f"{issuer}/t")
        auth = AccountAuth(client=OAuthClient("us", "hush"), authority=authority)
        assert (await made.client(at(outside, issuer=issuer, named=False), auth)).id == "us"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "lets nobody register by program"),
        (
            JSONResponse({"error": "invalid_redirect_uri"}, 400),
            "refused to register the gateway ('invalid_redirect_uri'",
        ),
        (Response("no", 404), "refused to register the gateway (status 404 of /register)"),
    ],
)
async def test_a21_where_nobody_may_register_an_administrator_is_told_what_to_do(
    made: Made, outside: OutsideServer, answer: Any, words: str
) -> None:
    outside.answers["/register"] = answer
    said = await made.refused(Mistake, at(outside, **({} if answer else {"registration": ""})))

    assert words in said
    assert f"redirect URI {BASE}/oauth/callback" in said
    assert "write its client_id" in said


async def test_a21_an_authorization_server_with_no_way_in_common_is_told(made: Made, outside: OutsideServer) -> None:
    assert "only clients that use tls_client_auth" in await made.refused(Mistake, at(outside, "tls_client_auth"))


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_registration_that_fails_just_now_is_told_as_such(
    made: Made, outside: OutsideServer, status: int
) -> None:
    outside.answers["/register"] = Response("", status)
    assert str(status) in await made.refused(ProviderDown, at(outside))


async def test_an_authorization_server_that_is_gone_registers_nobody(made: Made, outside: OutsideServer) -> None:
    gone = at(outside, registration="http://127.0.0.1:1/register")

    assert "does not answer" in await made.refused(ProviderDown, gone)


@pytest.mark.parametrize("answer", [{}, {"client_id": ""}, {"client_id": 7}, JSONResponse([]), Response("<p>")])
async def test_a_registration_without_an_id_is_none(made: Made, outside: OutsideServer, answer: Any) -> None:
    outside.answers["/register"] = answer
    await made.refused(NotFetched, at(outside))


async def test_without_a_person_there_is_no_client_but_a_written_one(made: Made, outside: OutsideServer) -> None:
    assert await made.client(at(outside), WorkloadAuth("jwt"), interactive=False) == Client("")
    assert "needs a client_id" in await made.refused(Mistake, at(outside), MachineAuth(), interactive=False)
    assert outside.heard == []


async def test_a_store_that_is_down_is_told_as_such(made: Made, outside: OutsideServer) -> None:
    async with made.clients._database.write() as session:
        await session.execute(text("DROP TABLE upstream_clients"))

    assert "clients cannot be read" in await made.refused(StoreDown, at(outside))


async def test_nothing_secret_is_shown_or_logged(
    made: Made, outside: OutsideServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "portkey_mcp")
    outside.answers["/register"] = REGISTERED

    assert "hush" not in repr(await made.client(at(outside)))
    assert "hush" not in caplog.text


async def test_the_gateways_document_is_one_that_the_gateway_itself_would_take() -> None:
    document = client_document(Addresses(BASE))
    found = read(f"{BASE}/oauth/client.json", document)

    assert (found.name, found.redirect_uris) == ("portkey-mcp", (f"{BASE}/oauth/callback",))
    assert document["grant_types"] == ["authorization_code", "refresh_token"]
    assert document["token_endpoint_auth_method"] == "none"
