"""Links for whoever called: they tell nobody anything, grant nothing, and say for whom they are."""

from urllib.parse import parse_qs, urlsplit

from portkey_mcp.addresses import Addresses
from portkey_mcp.model import McpServer
from portkey_mcp.sealing import KeyRing
from portkey_mcp.vault.asked import LIFE, Asked, ConnectLinks

SERVER = McpServer("demo", "linear", "http", "https://mcp.example/mcp")
OTHER = McpServer("demo", "other", "http", "https://mcp.example/mcp")
KEYRING = KeyRing.generate()


def links(now: float = 1000.0) -> ConnectLinks:
    return ConnectLinks(KEYRING, Addresses("https://gw.example/base"), lambda: now)


def sealed(url: str) -> str:
    return parse_qs(urlsplit(url).query)["asked"][0]


def test_a29_b4_a_link_leads_to_our_own_page_and_tells_nothing_of_who_called() -> None:
    url = links().url(SERVER, "person:ada@example.com")

    assert url.startswith("https://gw.example/base/connect/demo/linear?asked=")
    assert "ada" not in url
    assert links().opened(SERVER, sealed(url)) == Asked("person:ada@example.com", is_good=True)


def test_a_link_is_good_for_a_day() -> None:
    asked = sealed(links().url(SERVER, "person:ada"))

    assert links(999.0 + LIFE).opened(SERVER, asked) == Asked("person:ada", is_good=True)
    assert links(1000.0 + LIFE).opened(SERVER, asked) == Asked("person:ada", is_good=False)


def test_what_was_made_for_another_server_or_by_another_gateway_is_no_link() -> None:
    asked = sealed(links().url(SERVER, "person:ada"))
    foreign = ConnectLinks(KeyRing.generate(), Addresses("https://gw.example"))

    assert links().opened(OTHER, asked) is None
    assert foreign.opened(SERVER, asked) is None
    assert [links().opened(SERVER, text) for text in ("", "v1.k1.x", asked[:-2])] == [None] * 3
