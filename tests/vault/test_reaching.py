"""Whom the gateway asks because of what a server says (oauth.md B3)."""

import ipaddress

import pytest

from portkey_mcp.egress import Egress
from portkey_mcp.errors import Mistake, NotFetched
from portkey_mcp.vault.reaching import Reaching, bare
from tests.outside import Names

pytestmark = pytest.mark.anyio


async def refused(egress: Egress, url: str) -> str:
    with pytest.raises(NotFetched) as raised:
        await egress.judge(url)
    return str(raised.value)


async def test_b3_only_the_servers_own_origin_is_reached_inside() -> None:
    egress = Reaching(Egress(resolve=Names(["10.0.0.5"])), lambda: ()).for_server("http://files.lan:8080/mcp?key=hush")

    await egress.judge("http://files.lan:8080/.well-known/oauth-protected-resource")
    for other in ("https://files.lan:8080/", "https://files.lan/", "https://other.lan/", "https://10.0.0.5/"):
        assert "is private" in await refused(egress, other)
    for other in ("http://files.lan/", "http://other.lan:8080/", "http://169.254.169.254/latest/meta-data"):
        assert "must begin with https" in await refused(egress, other)


async def test_b3_an_administrators_networks_are_reached_without_tls_and_read_anew() -> None:
    networks = [ipaddress.ip_network("10.0.0.0/8")]
    reaching = Reaching(Egress(resolve=Names(["10.0.0.5"])), lambda: networks)

    await reaching.for_server("https://files.example/mcp").judge("http://login.lan:8080/token")
    networks.clear()
    assert "https" in await refused(reaching.for_server("https://files.example/mcp"), "http://login.lan:8080/token")


async def test_b3_public_servers_are_reached_by_tls_on_any_port() -> None:
    egress = Reaching(Egress(resolve=Names(["1.1.1.1"])), lambda: ()).for_server("https://files.example/mcp")

    await egress.judge("https://login.example:8443/token")
    assert "https" in await refused(egress, "http://login.example/token")


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://Files.Example/Mcp/", "https://files.example/Mcp/"),
        ("http://user:hush@h:8080/mcp?key=hush#part", "http://h:8080/mcp"),
        ("https://[::1]:8443/mcp", "https://[::1]:8443/mcp"),
        ("https://bücher.example/mcp", "https://xn--bcher-kva.example/mcp"),
        ("HTTPS://h", "https://h"),
    ],
)
async def test_a_servers_url_without_what_may_be_secret(url: str, found: str) -> None:
    assert bare(url) == found


@pytest.mark.parametrize("url", ["", "ftp://h/", "https://", "https://h:x/", "https://[::1/", "https://xn--\u0080é/"])
async def test_what_is_no_url_of_a_server_is_a_mistake(url: str) -> None:
    with pytest.raises(Mistake):
        bare(url)
