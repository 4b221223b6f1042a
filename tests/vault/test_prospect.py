"""Where connecting leads, and a request in which nothing that makes it safe can be overridden."""

from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

from portkey_mcp.model import McpServer
from portkey_mcp.proof import AccountAuth
from portkey_mcp.vault.authorization_server import AuthorizationServer
from portkey_mcp.vault.connection import Connection, Credential, Place
from portkey_mcp.vault.discovery import Found
from portkey_mcp.vault.prospect import Prospect, authorization_url, scopes_to_ask
from tests.vault.connecting_house import challenge_of
from tests.vault.test_flows import FLOW

AT = "https://as.example/authorize"
FOUND = Found("https://mcp.example/mcp", AuthorizationServer("https://as.example", AT), ("read",))
SERVER = McpServer("demo", "linear", "http", "https://mcp.example/mcp")


def asked(endpoint: str = AT, **params: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(authorization_url(endpoint, AccountAuth(authorize_params=params), FLOW, "s")).query)


def test_a22_a23_the_request_has_everything_once() -> None:
    assert dict(asked()) == {
        "response_type": "code",
        "client_id": FLOW.client.id,
        "redirect_uri": FLOW.redirect_uri,
        "state": "s",
        "code_challenge": challenge_of(FLOW.verifier),
        "code_challenge_method": "S256",
        "scope": "read write",
        "resource": FLOW.resource,
    }
    assert len(asked()) == 8


def test_a_query_of_the_endpoint_stays_and_nothing_of_ours_is_taken_from_it_or_from_an_admin() -> None:
    said = asked(f"{AT}?tenant=7&STATE=theirs&request_uri=x", redirect_uri="https://evil.example", prompt="consent")

    assert said[:2] == [("tenant", "7"), ("prompt", "consent")]
    assert len(said) == 10
    assert FLOW.verifier not in str(said)


def test_a26_what_was_wanted_is_asked_for_beside_what_there_is() -> None:
    credential = Credential("https://mcp.example/mcp", scopes=("old",))
    connection = Connection(Place("demo", "linear", "p"), credential, "good", 1, "p", datetime.now(UTC))

    assert scopes_to_ask(FOUND, None) == scopes_to_ask(FOUND, connection) == ("read",)
    assert scopes_to_ask(FOUND, replace(connection, wanted=("admin", "read"))) == ("old", "read", "admin")


def test_another_way_has_another_digest() -> None:
    one = Prospect(SERVER, SERVER.url, AccountAuth(), FOUND, ("read",))
    moved = replace(FOUND, server=replace(FOUND.server, authorization="https://other.example/authorize"))

    assert one.host == "as.example"
    assert one.digest == replace(one).digest
    assert len({one.digest, replace(one, scopes=("all",)).digest, replace(one, found=moved).digest}) == 3
