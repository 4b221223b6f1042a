"""Finding clients, and having them prove who they are."""

import base64
from collections.abc import Mapping
from urllib.parse import quote_plus, urlencode

import pytest

from portkey_mcp.errors import ClientRefused
from portkey_mcp.oauth.authorization_request import parameters
from portkey_mcp.oauth.client import Client
from portkey_mcp.oauth.client_document import ClientDocument
from portkey_mcp.oauth.clients import Clients
from portkey_mcp.oauth.refusal import OAuthRefusal
from portkey_mcp.trust import DeclaredClient, Terms, Trust
from tests.oauth.conftest import REDIRECT, House

pytestmark = pytest.mark.anyio

DOCUMENT = "https://app.example/client.json"
SECRET = "p+q %/:ü"
DECLARED = (
    DeclaredClient("ours", "Our app", (REDIRECT,), SECRET),
    DeclaredClient("a:b c", "With a colon", (REDIRECT,), SECRET),
    DeclaredClient("open", "Our public app", (REDIRECT,)),
)


class Shelf:
    """Documents at hand; `asked` are those that somebody wanted."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def find(self, client_id: str) -> ClientDocument:
        self.asked.append(client_id)
        if client_id != DOCUMENT:
            raise ClientRefused("The client's document was not found")
        return ClientDocument(client_id, "An App", ("http://localhost/callback",))


def clients(house: House, shelf: Shelf | None = None) -> Clients:
    return Clients(house.database, lambda: house.trust, shelf or Shelf())


@pytest.fixture
def declared(house: House) -> House:
    house.trust = Trust(clients=DECLARED)
    return house


def basic(ident: str, secret: str) -> dict[str, str]:
    pair = f"{quote_plus(ident)}:{quote_plus(secret)}"
    return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


async def proved(house: House, form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Client:
    return await clients(house).authenticated(parameters(urlencode(form)), headers or {})


async def refused(house: House, form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> OAuthRefusal:
    with pytest.raises(OAuthRefusal) as refusal:
        await proved(house, form, headers)
    return refusal.value


async def test_a_declared_client_is_found_with_its_name_and_a_digest_of_its_secret(declared: House) -> None:
    client = await clients(declared).find("ours")

    assert (client.kind, client.name, client.redirect_uris) == ("declared", "Our app", (REDIRECT,))
    assert SECRET not in client.secret
    assert client.has_secret(SECRET)
    assert (await clients(declared).find("open")).is_public


async def test_a16_one_that_registered_itself_is_found_until_it_is_forgotten(house: House) -> None:
    async with house.browser() as browser:
        ident = await house.registered(browser)
    client = await clients(house).find(ident)

    assert (client.kind, client.name, client.redirect_uris, client.is_public) == (
        "registered",
        "Some App",
        (REDIRECT,),
        True,
    )


@pytest.mark.parametrize("ident", ["nobody", "client_unknown", "", "a\0b"])
async def test_a16_k5_an_unknown_one_is_a_401(house: House, ident: str) -> None:
    refusal = await refused(house, {"client_id": ident, "client_secret": "x"})

    assert (refusal.error, refusal.status) == ("invalid_client", 401)


async def test_a15_one_with_a_document_is_what_that_says(house: House) -> None:
    client = await clients(house).find(DOCUMENT)

    assert (client.kind, client.name, client.host) == ("document", "An App", "app.example")
    assert client.may_redirect_to("http://localhost:4000/callback")


async def test_a15_a_document_that_cannot_be_used_is_an_unknown_client(house: House) -> None:
    with pytest.raises(OAuthRefusal) as refusal:
        await clients(house).find("https://other.example/client.json")

    assert refusal.value.error == "invalid_client"
    assert "was not found" in str(refusal.value)


async def test_k10_at_the_token_endpoint_no_document_is_fetched(house: House) -> None:
    shelf = Shelf()
    for ident in (DOCUMENT, "https://other.example/client.json"):
        client = await clients(house, shelf).authenticated({"client_id": [ident]}, {})
        assert (client.id, client.is_public, client.redirect_uris) == (ident, True, ())

    assert shelf.asked == []


async def test_documents_can_be_switched_off(house: House) -> None:
    house.trust = Trust(terms=Terms(documents=False))
    shelf = Shelf()
    with pytest.raises(OAuthRefusal):
        await clients(house, shelf).find(DOCUMENT)

    assert (await refused(house, {"client_id": DOCUMENT})).error == "invalid_client"
    assert shelf.asked == []


async def test_a_declared_client_is_not_looked_for_elsewhere_even_with_a_url(house: House) -> None:
    house.trust = Trust(clients=(DeclaredClient("https://ours.example/app", "Ours", (REDIRECT,)),))
    shelf = Shelf()

    assert (await clients(house, shelf).find("https://ours.example/app")).kind == "declared"
    assert shelf.asked == []


async def test_a10_a_public_client_proves_nothing_but_may_not_pretend(declared: House) -> None:
    assert (await proved(declared, {"client_id": "open"})).id == "open"
    assert (await proved(declared, {}, basic("open", ""))).id == "open"
    assert (await refused(declared, {"client_id": "open", "client_secret": "x"})).error == "invalid_client"


async def test_a10_a_confidential_one_proves_itself_in_the_form(declared: House) -> None:
    assert (await proved(declared, {"client_id": "ours", "client_secret": SECRET})).id == "ours"


@pytest.mark.parametrize("ident", ["ours", "a:b c"])
async def test_a10_or_by_basic_in_which_both_are_encoded(declared: House, ident: str) -> None:
    assert (await proved(declared, {}, basic(ident, SECRET))).id == ident
    assert (await proved(declared, {"client_id": ident}, basic(ident, SECRET))).id == ident


@pytest.mark.parametrize("secret", ["", "wrong", SECRET.upper(), f"{SECRET} "])
async def test_a_wrong_secret_is_a_401(declared: House, secret: str) -> None:
    for refusal in (
        await refused(declared, {"client_id": "ours", "client_secret": secret}),
        await refused(declared, {}, basic("ours", secret)),
    ):
        assert (refusal.error, refusal.status) == ("invalid_client", 401)


async def test_two_ways_at_once_are_refused(declared: House) -> None:
    both = {"client_id": "ours", "client_secret": SECRET}

    assert (await refused(declared, both, basic("ours", SECRET))).error == "invalid_request"
    assert (await refused(declared, {"client_id": "open"}, basic("ours", SECRET))).error == "invalid_request"


@pytest.mark.parametrize(
    "header", ["Basic", "Basic !!!", "Basic \xe4\xf6", "Basic /w==", "Basic b3Vycw==", "basic Og=="]
)
async def test_a_header_that_is_no_basic_is_a_401(declared: House, header: str) -> None:
    refusal = await refused(declared, {}, {"authorization": header})

    assert (refusal.error, refusal.status) == ("invalid_client", 401)


async def test_a_bearer_token_is_no_way_to_prove_a_client(declared: House) -> None:
    assert (await refused(declared, {"client_id": "ours"}, {"authorization": "Bearer x"})).error == "invalid_client"
