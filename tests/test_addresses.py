"""Places and their URLs: made from what is configured, and read back however a client spells them."""

import pytest

from portkey_mcp.addresses import Addresses, Spot, canonical, path_of, place_of, spot_of

PLAIN = Addresses("https://gw.example")
BEHIND = Addresses("https://Example.com:8443/tools/Gateway")
ALIASES = {"files.example": "demo/files", "hub.example": "demo"}


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/mcp", ()),
        ("/demo/mcp", ("demo",)),
        ("/demo/files/mcp", ("demo", "files")),
        ("/Demo/FILES/MCP/", ("demo", "files")),
        ("/demo/files", None),
        ("/a/b/c/mcp", None),
        ("/.well-known/oauth-protected-resource/mcp", None),
        ("/_key/mcp", None),
        ("/.well-known/oauth-authorization-server/mcp/", None),
        ("/", None),
        ("", None),
    ],
)
def test_a_path_leads_to_a_place_in_any_case_and_with_a_slash(path: str, place: tuple[str, ...] | None) -> None:
    assert place_of(path) == place


@pytest.mark.parametrize(
    ("path", "host", "spot"),
    [
        ("/Demo/mcp", "gw.example", Spot(("demo",), "/Demo/mcp")),
        ("/mcp", "files.example", Spot(("demo", "files"), "/mcp", "files.example")),
        ("/mcp", "keys.example", Spot(("demo",), "/mcp", "keys.example", keys=True)),
        ("/_key/demo/files/mcp", "gw.example", Spot(("demo", "files"), "/_key/demo/files/mcp", "", keys=True)),
        ("/_key/mcp", "files.example", Spot(("demo", "files"), "/_key/mcp", "files.example", keys=True)),
        ("/.well-known/oauth-protected-resource/mcp", "files.example", None),
    ],
)
def test_a_request_leads_to_a_spot(path: str, host: str, spot: Spot | None) -> None:
    aliases = {"files.example": "demo/files", "keys.example": "demo"}
    assert spot_of(path, host, aliases, {"keys.example"}) == spot


def test_a_place_has_one_path() -> None:
    assert [path_of(()), path_of(("demo",)), path_of(("demo", "files"))] == ["/mcp", "/demo/mcp", "/demo/files/mcp"]


def test_k3_the_resource_is_the_url_as_the_client_has_it() -> None:
    assert PLAIN.resource("/Demo/files/mcp") == "https://gw.example/Demo/files/mcp"
    assert PLAIN.resource("/mcp", "files.example") == "https://files.example/mcp"
    assert BEHIND.resource("/demo/mcp") == "https://Example.com:8443/tools/Gateway/demo/mcp"


@pytest.mark.parametrize("hostile", ["/a\r\nb", '/"><x', "/a/../b", "/%2e", "//x.example/mcp?a"])
def test_nothing_else_of_a_path_gets_into_a_url(hostile: str) -> None:
    assert PLAIN.resource(hostile) == "https://gw.example"
    assert PLAIN.metadata(hostile) == "https://gw.example/.well-known/oauth-protected-resource"


def test_k2_the_metadata_is_at_the_path_of_the_endpoint() -> None:
    assert PLAIN.metadata("/demo/mcp") == "https://gw.example/.well-known/oauth-protected-resource/demo/mcp"
    assert PLAIN.metadata("/mcp", "hub.example") == "https://hub.example/.well-known/oauth-protected-resource/mcp"


@pytest.mark.parametrize(
    ("resource", "place"),
    [
        ("https://gw.example/demo/files/mcp", ("demo", "files")),
        ("HTTPS://GW.example:443/Demo/files/mcp/", ("demo", "files")),
        ("https://gw.example", ()),
        ("https://gw.example/", ()),
        ("https://gw.example/mcp", ()),
        ("https://files.example/mcp", ("demo", "files")),
        ("https://files.example", ("demo", "files")),
        ("https://hub.example/mcp/", ("demo",)),
        ("https://hub.example/demo/other/mcp", ("demo", "other")),
        ("https://gw.example/demo/files", None),
        ("https://gw.example.evil/mcp", None),
        ("https://gw.example:8443/mcp", None),
        ("http://gw.example/mcp", None),
        ("https://gw.example/mcp#x", None),
        ("https://gw.example/mcp?x=1", None),
        ("https://a@gw.example/mcp", None),
        ("https://gw.example:port/mcp", None),
        ("https://[::1/mcp", None),
        ("", None),
        ("mcp", None),
    ],
)
def test_k8_a_resource_is_compared_canonically(resource: str, place: tuple[str, ...] | None) -> None:
    assert PLAIN.place(resource, ALIASES) == place


def test_below_a_path_places_are_below_that_path() -> None:
    assert BEHIND.place("https://example.com:8443/tools/gateway/demo/mcp", {}) == ("demo",)
    assert BEHIND.place("https://example.com:8443/tools/gateway", {}) == ()
    assert BEHIND.place("https://example.com:8443/tools/gatewayX/mcp", {}) is None
    assert BEHIND.place("https://example.com:8443/demo/mcp", {}) is None
    assert (BEHIND.origin, BEHIND.prefix, BEHIND.host) == ("https://example.com:8443", "/tools/Gateway", "example.com")


def test_an_alias_has_scheme_and_port_of_the_public_url() -> None:
    assert Addresses("http://127.0.0.1:8080").issuer("files.localhost") == "http://files.localhost:8080"
    assert Addresses("http://127.0.0.1:8080").issuer() == "http://127.0.0.1:8080"


def test_ipv6_keeps_its_brackets() -> None:
    assert canonical("HTTP://[::1]:80/A/") == "http://[::1]/a"
    assert Addresses("http://[::1]:8080").place("http://[::1]:8080/demo/mcp", {}) == ("demo",)


def test_an_invitation_is_opened_below_the_public_url() -> None:
    assert Addresses("https://example.com/gw").invitation("abc") == "https://example.com/gw/ui/join/abc"


def test_an_account_is_connected_below_the_public_url() -> None:
    assert (
        Addresses("https://gw.example/base").connecting("demo/linear") == "https://gw.example/base/connect/demo/linear"
    )
