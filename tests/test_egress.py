"""The guarded client against real servers, and against whoever wants to reach through it (oauth.md B3)."""

import ipaddress
import json
import socket
import ssl
from typing import Any

import anyio
import httpcore2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.egress import Egress, Fetched, _check_peer
from portkey_mcp.errors import NotFetched
from tests.outside import Names, answer, contexts, hearing
from tests.upstream.raw import OK, Peer, RawServer, answering, raw

pytestmark = pytest.mark.anyio

NAME = "client.example"


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"], scope="module")
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture(scope="module")
def sides() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return contexts([NAME, "127.0.0.1", "::1"])


HERE = ["127.0.0.1"]


@pytest.fixture
def egress(sides: Any) -> Egress:
    """One that may ask this machine, which every name leads to."""
    return Egress(loopback=True, resolve=Names(HERE), verify=sides[1])


def port(server: RawServer) -> int:
    return server.address.origin[2]


def url(server: RawServer, path: str = "/doc") -> str:
    return f"https://{NAME}:{port(server)}{path}"


async def refused(egress: Egress, url: str, **options: Any) -> NotFetched:
    with pytest.raises(NotFetched) as raised, anyio.fail_after(10):
        await egress.get(url, **options)
    return raised.value


async def test_the_connection_goes_to_the_address_and_the_name_is_in_tls_and_host(sides: Any) -> None:
    heard: list[bytes] = []
    names: list[str | None] = []
    server_side, believed = sides
    server_side.sni_callback = lambda made, name, context: names.append(name)
    resolve = Names(HERE)
    try:
        async with raw(hearing(heard), server_side) as server:
            fetched = await Egress(loopback=True, resolve=resolve, verify=believed).get(url(server, "/doc?a=%20"))
    finally:
        server_side.sni_callback = None

    assert (fetched.status, fetched.body, fetched.url) == (200, b"{}", url(server, "/doc?a=%20"))
    assert fetched.headers["content-type"] == "application/json"
    assert (resolve.asked, names) == ([NAME], [NAME])
    head = heard[0].decode().lower().split("\r\n")
    assert head[0] == "get /doc?a=%20 http/1.1"
    assert sorted(head[1:-2]) == [
        "accept-encoding: identity",
        "accept: application/json",
        "connection: close",
        f"host: {NAME}:{port(server)}",
        "user-agent: portkey-mcp",
    ]


async def test_a_certificate_for_another_name_is_not_believed(sides: Any, egress: Egress) -> None:
    heard: list[bytes] = []
    async with raw(hearing(heard), sides[0]) as server:
        error = await refused(egress, f"https://other.example:{port(server)}/")

    assert "other.example cannot be reached" in str(error)
    assert "certificate verify failed" in str(error)
    assert heard == []


async def test_a_certificate_nobody_vouches_for_is_not_believed(sides: Any) -> None:
    async with raw(answering(OK), sides[0]) as server:
        error = await refused(Egress(loopback=True, resolve=Names(HERE)), url(server))

    assert "certificate verify failed" in str(error)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_an_address_may_stand_for_a_host(sides: Any, address: str) -> None:
    async with raw(answering(OK), sides[0], host=address) as server:
        host = f"[{address}]" if ":" in address else address
        fetched = await Egress(loopback=True, verify=sides[1]).get(f"https://{host}:{port(server)}/")

    assert fetched.json() == {}


async def test_b3_what_is_on_this_machine_is_not_asked_unless_that_is_allowed(sides: Any) -> None:
    heard: list[bytes] = []
    async with raw(hearing(heard), sides[0]) as server:
        for host in (NAME, "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"):
            egress = Egress(resolve=Names(HERE), verify=sides[1])
            error = await refused(egress, f"https://{host}:{port(server)}/")
            assert "loopback" in str(error)
            assert error.inside

    assert heard == []


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        *[("10.0.0.1", "private"), ("169.254.169.254", "link-local"), ("::1", "loopback"), ("0.0.0.0", "unspecified")],
        *[
            ("fd00:ec2::254", "private"),
            ("ff02::1", "multicast"),
            ("fe80::1%eth0", "link-local"),
            ("2002:a00:1::", "not public"),
        ],
        *[("::ffff:192.168.0.1", "private"), ("64:ff9b::a00:1", "not public"), ("100.64.0.1", "not public")],
    ],
)
async def test_b3_a_name_with_an_address_inside_is_refused_and_the_address_named(address: str, kind: str) -> None:
    error = await refused(Egress(resolve=Names(["93.184.215.14", address])), f"https://{NAME}/")

    assert f"of {NAME} is {kind}" in str(error)
    assert error.inside


@given(st.ip_addresses().filter(lambda address: address.is_private))
async def test_b3_no_private_address_is_ever_asked(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    resolve = Names([str(address)])
    shown = f"[{address}]" if address.version == 6 else str(address)
    for host in (NAME, shown):
        assert "the address " in str(await refused(Egress(resolve=resolve), f"https://{host}/"))


async def test_a_connection_that_leads_elsewhere_is_closed_unused(sides: Any) -> None:
    async with raw(answering(OK), sides[0]) as server:
        stream = await httpcore2.AnyIOBackend().connect_tcp("127.0.0.1", port(server))
        told = {"return_value": stream}
        await _check_peer(ipaddress.ip_address("127.0.0.1"), "connection.connect_tcp.complete", told)
        with pytest.raises(NotFetched, match="leads elsewhere"):
            await _check_peer(ipaddress.ip_address("127.0.0.2"), "connection.connect_tcp.complete", told)
        with pytest.raises(httpcore2.WriteError):
            await stream.write(b"GET")


async def test_the_next_address_is_tried_when_one_does_not_answer(sides: Any) -> None:
    async with raw(answering(OK), sides[0]) as server:
        resolve = Names(["127.0.0.9", "::ffff:127.0.0.1", "127.0.0.1"])
        assert (await Egress(loopback=True, resolve=resolve, verify=sides[1]).get(url(server))).status == 200


async def test_a_form_is_sent_once_though_there_are_more_addresses(sides: Any) -> None:
    heard: list[bytes] = []
    async with raw(hearing(heard, b""), sides[0]) as server:
        egress = Egress(loopback=True, resolve=Names([*HERE, "127.0.0.9"]), verify=sides[1])
        with pytest.raises(NotFetched, match="broke off"):
            await egress.post(
                url(server), data={"token": "a b&c"}, headers={"Authorization": "Basic x", "host": "evil"}
            )

    (request,) = heard
    assert request.endswith(b"\r\n\r\ntoken=a+b%26c")
    assert b"Authorization: Basic x" in request
    assert b"application/x-www-form-urlencoded" in request
    assert request.lower().count(b"\r\nhost:") == 1
    assert b"evil" not in request


async def test_json_is_sent_as_json(sides: Any, egress: Egress) -> None:
    heard: list[bytes] = []
    async with raw(hearing(heard), sides[0]) as server:
        await egress.post(url(server), json={"a": [1, "ü"]})

    assert heard[0].startswith(b"POST /doc HTTP/1.1\r\n")
    assert json.loads(heard[0].split(b"\r\n\r\n", 1)[1]) == {"a": [1, "ü"]}


@pytest.mark.parametrize("status", [400, 401, 404, 500, 503])
async def test_what_a_server_refuses_is_an_answer(sides: Any, egress: Egress, status: int) -> None:
    async with raw(answering(f"HTTP/1.1 {status} No\r\nContent-Length: 2\r\n\r\nno".encode()), sides[0]) as server:
        fetched = await egress.get(url(server))

    assert (fetched.status, fetched.body) == (status, b"no")


async def test_a_body_that_says_it_is_too_large_is_not_read(sides: Any, egress: Egress) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n")
        await peer.closed()

    async with raw(script, sides[0]) as server:
        error = await refused(egress, url(server))

    assert str(error) == f"{NAME} sent more than 65536 bytes"


async def test_a_body_without_an_end_is_given_up_once_it_is_too_large(sides: Any, egress: Egress) -> None:
    gone = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                await peer.say(b"3e8\r\n" + bytes(1000) + b"\r\n")
        finally:
            gone.set()

    async with raw(script, sides[0]) as server:
        assert "more than 5000 bytes" in str(await refused(egress, url(server), largest=5000))
        with anyio.fail_after(10):
            await gone.wait()


async def test_a_body_as_large_as_allowed_is_read(sides: Any) -> None:
    async with raw(answering(answer(bytes(1000))), sides[0]) as server:
        egress = Egress(loopback=True, resolve=Names(HERE), verify=sides[1], largest=1000)
        assert len((await egress.get(url(server))).body) == 1000


@pytest.mark.parametrize("again", [b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", b""], ids=["hints", "silence"])
async def test_a_server_that_never_comes_to_an_end_is_left(sides: Any, again: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        while again:
            await peer.say(again)
        await peer.closed()

    async with raw(script, sides[0]) as server:
        egress = Egress(loopback=True, resolve=Names(HERE), verify=sides[1], timeout=0.3)
        assert str(await refused(egress, url(server))) == f"{NAME} did not answer within 0.3 seconds"


async def test_a_name_server_that_never_answers_is_left() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        await anyio.sleep_forever()
        raise AssertionError

    error = await refused(Egress(resolve=resolve, timeout=0.05), f"https://{NAME}/")

    assert "did not answer" in str(error)


async def test_nothing_of_the_environment_is_used(
    sides: Any, egress: Egress, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    heard: list[bytes] = []
    stranger: list[bytes] = []
    (tmp_path / "netrc").write_text(f"machine {NAME} login ada password hush\ndefault login ada password hush\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with raw(hearing(stranger)) as proxy, raw(hearing(heard, OK), sides[0]) as server:
        for variable in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{port(proxy)}")
        await egress.get(url(server))

    assert stranger == []
    assert b"authorization" not in heard[0].lower()


async def test_a_cookie_is_not_kept(sides: Any, egress: Egress) -> None:
    heard: list[bytes] = []
    async with raw(hearing(heard, answer(b"", "Set-Cookie: a=b; Path=/")), sides[0]) as server:
        await egress.get(url(server))
        await egress.get(url(server))

    assert len(heard) == 2
    assert b"cookie" not in heard[1].lower()


async def test_two_names_with_one_address_share_no_connection() -> None:
    server_side, believed = contexts([NAME])
    heard: list[bytes] = []

    async def script(peer: Peer) -> None:
        while request := await peer.request():
            heard.append(request)
            await peer.say(OK)

    async with raw(script, server_side) as server:
        egress = Egress(loopback=True, resolve=Names(HERE), verify=believed)
        await egress.get(url(server))
        error = await refused(egress, f"https://other.example:{port(server)}/")

    assert "certificate verify failed" in str(error)
    assert len(heard) == 1


async def test_plain_http_is_for_this_machine_and_development_only() -> None:
    resolve = Names(["10.0.0.1"])
    async with raw(answering(OK)) as server:
        there = f"http://127.0.0.1:{port(server)}/"
        assert (await Egress(loopback=True).get(there)).status == 200
        assert "https" in str(await refused(Egress(), there))
    networks = [ipaddress.ip_network("10.0.0.0/8")]
    assert "https" in str(await refused(Egress(allowed=networks, resolve=resolve), f"http://{NAME}/"))
    assert resolve.asked == []
    assert "https" in str(await refused(Egress(loopback=True, allowed=networks, resolve=resolve), f"http://{NAME}/"))


async def test_an_administrator_lets_networks_be_asked(sides: Any) -> None:
    networks = [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("fd00::/8")]
    async with raw(answering(OK), sides[0]) as server:
        egress = Egress(allowed=networks, resolve=Names(["::ffff:127.0.0.1"]), verify=sides[1])
        assert (await egress.get(url(server))).status == 200
        other = Egress(allowed=networks, resolve=Names([*HERE, "10.0.0.1"]), verify=sides[1])
        assert "10.0.0.1" in str(await refused(other, url(server)))


async def test_another_port_of_a_public_address_is_asked_only_where_that_is_allowed() -> None:
    public = Names(["192.0.2.1"])
    documentation = [ipaddress.ip_network("192.0.2.0/24")]
    assert "names 8443" in str(await refused(Egress(resolve=Names(["1.1.1.1"])), f"https://{NAME}:8443/"))
    for egress in (Egress(allowed=documentation, resolve=public, timeout=0.05), Egress(any_port=True, resolve=public)):
        assert "port" not in str(await refused(egress, f"https://{NAME}:8443/"))


@pytest.mark.parametrize("answer", [[], ["nonsense"], OSError("no such name")])
async def test_a_name_without_an_address_is_told(answer: Any) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        if isinstance(answer, OSError):
            raise answer
        return list(answer)

    error = await refused(Egress(resolve=resolve), f"https://{NAME}/")

    assert NAME in str(error)
    assert error.inside


async def test_the_system_is_asked_for_names(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "of localhost is loopback" in str(await refused(Egress(), "https://localhost/"))

    def unknown(*args: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert str(await refused(Egress(), f"https://{NAME}/")) == f"no address is known for {NAME}"


@pytest.mark.parametrize("url", ["https://u:hush@h/", "https://h/#x", "https://0x7f.1/", "https://example.com./"])
async def test_a_doubtful_url_is_refused_before_anybody_is_asked(url: str) -> None:
    resolve = Names(HERE)
    error = await refused(Egress(loopback=True, resolve=resolve), url)

    assert resolve.asked == []
    assert "hush" not in str(error)


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", b"\x00\x01\r\n\r\n", b"SSH-2.0-x\r\n"]
)
async def test_a_server_that_breaks_off_or_speaks_no_http_is_told(sides: Any, egress: Egress, answer: bytes) -> None:
    async with raw(answering(answer), sides[0]) as server:
        error = await refused(egress, url(server))

    assert "broke off" in str(error)


async def test_another_protocol_is_not_spoken(sides: Any, egress: Egress) -> None:
    async with raw(answering(b"HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\n"), sides[0]) as server:
        error = await refused(egress, url(server))

    assert "101" in str(error) or "broke off" in str(error)


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        ("text/html", b"{}", "answered with text/html, not with JSON"),
        ("", b"{}", "no Content-Type"),
        ("application/jsonp", b"{}", "not with JSON"),
        ("application/json", b"{", "is not JSON"),
        ("application/json", b'{"a":1,"a":2}', "duplicate"),
        ("application/json; charset=utf-8", b"\xff", "not UTF-8"),
    ],
)
def test_what_is_no_json_is_told(kind: str, text: bytes, why: str) -> None:
    with pytest.raises(NotFetched, match=why):
        Fetched(200, {"content-type": kind}, text, f"https://{NAME}/").json()


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON;charset=UTF-8", "application/jwk-set+json"])
def test_json_is_read(kind: str) -> None:
    assert Fetched(200, {"content-type": kind}, b'{"a": 1}', f"https://{NAME}/").json() == {"a": 1}
