"""TLS: who is believed, and that a second connection goes on with the first one's session."""

import ssl
from pathlib import Path
from typing import Any

import anyio
import pytest

from portkey_mcp.upstream.connections import Connections, Unreachable
from tests.doctor import tls
from tests.upstream.raw import OK, Peer, Script, raw

pytestmark = pytest.mark.anyio

GET = b"GET /mcp HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"], scope="module")
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and its own certificate for 127.0.0.1."""
    return tls.certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def server_side(request: pytest.FixtureRequest, certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.minimum_version = context.maximum_version = request.param
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def telling(reused: list[bool], protocols: list[str | None]) -> Script:
    """A server that answers once and writes down how each connection was made."""

    async def script(peer: Peer) -> None:
        made = peer.writer.get_extra_info("ssl_object")
        reused.append(made.session_reused)
        protocols.append(made.selected_alpn_protocol())
        await peer.request()
        await peer.say(OK)
        await peer.closed()

    return script


async def test_the_next_connection_resumes_the_session(
    server_side: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    reused: list[bool] = []
    protocols: list[str | None] = []
    with anyio.fail_after(10):
        async with raw(telling(reused, protocols), server_side) as server, Connections() as connections:
            for _ in range(3):
                response = await connections.ask(server.address, GET)
                assert await response.read(100) == b"{}"
                connections._free[server.address.origin].pop().abort()

    assert reused == [False, True, True]
    assert protocols == ["http/1.1"] * 3


async def test_a_certificate_nobody_vouches_for_is_not_believed(server_side: ssl.SSLContext) -> None:
    with anyio.fail_after(10):
        async with raw(telling([], []), server_side) as server, Connections() as connections:
            with pytest.raises(Unreachable, match="certificate verify failed"):
                await connections.ask(server.address, GET)


async def test_a_certificate_of_another_host_is_not_believed(
    server_side: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with anyio.fail_after(10):
        async with raw(telling([], []), server_side) as server, Connections() as connections:
            elsewhere = server.address.beside("/")
            assert elsewhere is not None
            scheme, _, port = elsewhere.origin
            object.__setattr__(elsewhere, "origin", (scheme, "localhost", port))
            with pytest.raises(Unreachable, match="certificate verify failed"):
                await connections.ask(elsewhere, GET)


async def test_a_body_over_tls_that_ends_with_the_connection_is_whole(
    server_side: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(300_000))

    with anyio.fail_after(10):
        async with raw(script, server_side) as server, Connections() as connections:
            response = await connections.ask(server.address, GET)
            assert len(await response.read(2**30)) == 300_000
