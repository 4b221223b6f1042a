"""Attacks: whoever may give the gateway a URL wants to reach through it what only it can reach (oauth.md A15, B3)."""

import gzip
import ipaddress
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import pytest

from portkey_mcp.egress import Egress
from portkey_mcp.errors import ClientRefused, NotFetched, Unreachable
from portkey_mcp.oauth import documents
from portkey_mcp.oauth.documents import FAILED_FOR, ClientDocuments
from tests.oauth.site import HOST, Site
from tests.outside import Names, answer, contexts, hearing
from tests.upstream.raw import OK, RawServer, answering, raw

pytestmark = pytest.mark.anyio

CLAUDE = "https://claude.ai/oauth/mcp-oauth-client-metadata"
HERE = ["127.0.0.1"]


@pytest.fixture(scope="module")
def sides() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return contexts([HOST, "127.0.0.1"])


@pytest.fixture
async def site(sides: Any) -> AsyncIterator[Site]:
    found = Site()
    async with raw(found.script, sides[0]) as server:
        found.port = server.address.origin[2]
        yield found


@pytest.fixture
def egress(sides: Any) -> Egress:
    """One that may ask this machine, which every name leads to."""
    return Egress(loopback=True, resolve=Names(HERE), verify=sides[1])


@pytest.fixture
def found(egress: Egress) -> ClientDocuments:
    return ClientDocuments(egress)


def port(server: RawServer) -> int:
    return server.address.origin[2]


async def refused(found: ClientDocuments | Egress, url: str) -> ClientRefused | NotFetched:
    with pytest.raises((ClientRefused, NotFetched)) as raised, anyio.fail_after(10):
        await (found.find(url) if isinstance(found, ClientDocuments) else found.get(url))
    return raised.value


async def test_b3_a_second_answer_of_the_name_server_is_never_asked_for(sides: Any) -> None:
    """DNS rebinding: the name is good when judged, and leads inside when it is asked again."""
    heard: list[bytes] = []
    async with raw(hearing(heard), sides[0], host="127.0.0.1") as server:
        allowed = [ipaddress.ip_network("127.0.0.2/32")]
        resolve = Names(["127.0.0.2"], HERE)
        error = await refused(
            Egress(allowed=allowed, resolve=resolve, verify=sides[1]), f"https://{HOST}:{port(server)}/doc"
        )
        assert "cannot be reached" in str(error)
        assert resolve.asked == [HOST]
        error = await refused(
            Egress(allowed=allowed, resolve=resolve, verify=sides[1]), f"https://{HOST}:{port(server)}/doc"
        )

    assert f"the address 127.0.0.1 of {HOST} is loopback" in str(error)
    assert heard == []


async def test_b3_more_networks_are_asked_without_tls_too_and_nothing_else_is(sides: Any) -> None:
    own = [ipaddress.ip_network("127.0.0.0/8")]
    base = Egress(resolve=Names(HERE), verify=sides[1])
    async with raw(answering(OK)) as plain, raw(answering(OK), sides[0]) as server:
        wider = base.also(networks=own)
        assert (await wider.get(f"http://{HOST}:{port(plain)}/")).status == 200
        assert (await wider.get(f"https://{HOST}:{port(server)}/doc")).status == 200
        assert "loopback" in str(
            await refused(base, f"https://{HOST}:{port(server)}/doc")
        )  # the one it was made of stays as it is
        assert "https" in str(await refused(base, f"http://{HOST}:{port(plain)}/"))
    for host, said in (("10.0.0.1", "https"), ("1.1.1.1", "https"), ("[::1]", "https")):
        assert said in str(await refused(wider, f"http://{host}/"))
    assert "is private" in str(await refused(wider, "https://10.0.0.1/"))
    assert "names 8443" in str(await refused(wider, "https://1.1.1.1:8443/"))


async def test_b3_an_origin_that_an_administrator_wrote_is_asked_wherever_it_leads(sides: Any) -> None:
    resolve = Names(HERE)
    async with raw(answering(OK)) as plain, raw(answering(OK), sides[0]) as server:
        there = f"http://{HOST.upper()}:{port(plain)}/mcp"
        own = Egress(resolve=resolve, verify=sides[1]).also(origin=there)
        assert (await own.get(f"http://{HOST}:{port(plain)}/.well-known/x")).status == 200
        assert "loopback" in str(await refused(own, f"https://{HOST}:{port(plain)}/"))
        for other in (f"{HOST}:{port(server)}", f"other.example:{port(plain)}", f"127.0.0.1:{port(plain)}", HOST):
            assert "must begin with https" in str(await refused(own, f"http://{other}/"))
        assert (
            await own.also(origin=f"https://{HOST}:{port(server)}/doc").get(f"https://{HOST}:{port(server)}/doc")
        ).status == 200
        assert "loopback" in str(await refused(own, f"https://{HOST}:{port(server)}/doc"))
    with pytest.raises(NotFetched):
        own.also(origin="ftp://h/")


async def test_b3_another_port_is_let_through_for_public_addresses_only() -> None:
    inner = Egress(resolve=Names(["10.0.0.1"])).also(any_port=True)
    assert "is private" in str(await refused(inner, f"https://{HOST}:8443/"))
    wider = Egress(resolve=Names(["1.1.1.1"])).also(any_port=True)
    await wider.judge(f"https://{HOST}:8443/")
    with pytest.raises(NotFetched, match="https"):
        await wider.judge(f"http://{HOST}:8443/")


async def test_a_url_is_judged_without_asking_it(sides: Any) -> None:
    heard: list[bytes] = []
    async with raw(hearing(heard), sides[0]) as server:
        await Egress(loopback=True, resolve=Names(HERE)).judge(f"https://{HOST}:{port(server)}/doc")
        with pytest.raises(NotFetched, match="loopback"):
            await Egress(resolve=Names(HERE)).judge(f"https://{HOST}:{port(server)}/doc")
    assert heard == []
    with pytest.raises(Unreachable, match="no address is known"):
        await Egress(resolve=Names([])).judge(f"https://{HOST}/")


async def test_a_name_server_that_never_answers_is_left_when_a_url_is_judged() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        await anyio.sleep_forever()
        raise AssertionError

    with pytest.raises(Unreachable, match=r"came within 0\.05 seconds"), anyio.fail_after(10):
        await Egress(resolve=resolve, timeout=0.05).judge(f"https://{HOST}/")


async def test_what_is_not_reached_is_told_apart_from_what_is_refused(sides: Any, egress: Egress) -> None:
    async with raw(hearing([], b""), sides[0]) as server:
        gone = f"https://{HOST}:{port(server)}/doc"
        assert isinstance(await refused(egress, gone), Unreachable)
    assert isinstance(await refused(egress, gone), Unreachable)
    assert isinstance(await refused(Egress(resolve=Names([])), f"https://{HOST}/"), Unreachable)
    assert not isinstance(await refused(Egress(resolve=Names(HERE)), f"https://{HOST}/"), Unreachable)


@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308, 300])
async def test_b3_no_redirect_is_followed(sides: Any, egress: Egress, status: int) -> None:
    heard: list[bytes] = []
    async with raw(hearing(heard)) as secret:
        leading = f"HTTP/1.1 {status} Go\r\nLocation: http://127.0.0.1:{port(secret)}/\r\nContent-Length: 0\r\n\r\n"
        async with raw(answering(leading.encode()), sides[0]) as server:
            error = await refused(egress, f"https://{HOST}:{port(server)}/doc")

    assert str(error) == f"{HOST} answered with a redirect ({status}), and none is followed"
    assert not error.inside
    assert heard == []


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "GZIP", "identity, gzip"])
async def test_a_compressed_body_is_never_unpacked(sides: Any, egress: Egress, encoding: str) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    async with raw(answering(answer(bomb, f"Content-Encoding: {encoding}")), sides[0]) as server:
        error = await refused(egress, f"https://{HOST}:{port(server)}/doc")

    assert str(error) == f"{HOST} sent a compressed body, which was not asked for"


INSIDE = "127.0.0.1 10.0.0.1 169.254.169.254 ::1 fd00::1 ::ffff:10.0.0.1 64:ff9b::a9fe:a9fe 0.0.0.0"


@pytest.mark.parametrize("address", INSIDE.split())
async def test_attack_a_host_with_a_private_address_is_never_asked(
    site: Site, sides: Any, caplog: Any, address: str
) -> None:
    caplog.set_level(logging.INFO, documents.__name__)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return [address]

    site.serve()
    error = await refused(ClientDocuments(Egress(resolve=resolve, verify=sides[1])), site.id())

    assert str(error) == "The client's document cannot be fetched: its host cannot be asked, or does not answer."
    assert "the address" in caplog.text  # an administrator learns why
    assert site.asked == []


async def test_attack_a_stranger_cannot_tell_an_inner_name_from_none(sides: Any) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        if host == "vault.internal":
            return ["10.0.0.1"]
        raise OSError

    found = ClientDocuments(Egress(resolve=resolve))
    inner, none = await refused(found, "https://vault.internal/a"), await refused(found, "https://no.internal/a")

    assert (str(inner), inner.retry_after) == (str(none), none.retry_after)


async def test_attack_dns_rebinding_leads_nowhere(site: Site, sides: Any) -> None:
    """The name leads where it may when it is judged, and to this machine whenever it is asked again."""
    answers = iter(["127.0.0.2"])
    asked: list[str] = []
    now = [0.0]

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return [next(answers, "127.0.0.1")]

    site.serve()
    allowed = [ipaddress.ip_network("127.0.0.2/32")]
    found = ClientDocuments(Egress(allowed=allowed, resolve=resolve, verify=sides[1]), clock=lambda: now[0])
    for _ in range(3):
        assert "cannot be asked" in str(await refused(found, site.id()))
        now[0] += FAILED_FOR

    assert asked == [HOST] * 3
    assert site.asked == []


@pytest.mark.parametrize("to", ["/other.json", "http://169.254.169.254/latest/meta-data", "https://127.0.0.1/a"])
async def test_attack_a_redirect_is_not_followed(site: Site, found: ClientDocuments, to: str) -> None:
    site.serve("/other.json", client_id=site.id())
    site.answers["/client.json"] = answer(b"", f"Location: {to}", status="302 Found")

    assert "redirect (302)" in str(await refused(found, site.id()))
    assert site.asked == ["/client.json"]


@pytest.mark.parametrize("other", [CLAUDE, "https://client.example/client.json", "", None, ["{id}"]])
async def test_attack_a_document_of_another_client_is_no_ones(site: Site, found: ClientDocuments, other: Any) -> None:
    site.serve(client_id=other)

    assert "another client_id" in str(await refused(found, site.id()))


async def test_attack_a_document_without_an_end_is_given_up(site: Site, found: ClientDocuments) -> None:
    site.serve(filler="x" * 65_536)

    assert "more than 65536 bytes" in str(await refused(found, site.id()))


@pytest.mark.parametrize(
    ("body", "kind", "why"),
    [
        (b"{}", "text/html", "not with JSON"),
        (b"{}", "text/plain", "not with JSON"),
        (b"{", "application/json", "is not JSON"),
        (b"[]", "application/json", "no JSON object"),
        (b'{"client_id": 1, "client_id": 2}', "application/json", "duplicate"),
    ],
)
async def test_attack_what_is_no_document_is_refused(
    site: Site, found: ClientDocuments, body: bytes, kind: str, why: str
) -> None:
    site.answers["/client.json"] = answer(body, f"Content-Type: {kind}")

    assert why in str(await refused(found, site.id()))


async def test_attack_a_compressed_document_is_not_unpacked(site: Site, found: ClientDocuments) -> None:
    site.serve("/client.json", "Content-Encoding: gzip")

    assert "compressed" in str(await refused(found, site.id()))


async def test_attack_a_doubtful_id_is_refused_unasked(site: Site, found: ClientDocuments) -> None:
    for client_id in (site.id("/client.json#x"), site.id("/a/../client.json"), site.id("/client.json?"), "claude"):
        assert "client's id" in str(await refused(found, client_id))
    assert site.asked == []
