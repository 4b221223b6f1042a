"""Names, connections and certificates of the real network, as far as this machine has one."""

import socket
from pathlib import Path

import anyio
import pytest

from portkey_mcp.doctor.network import connect, resolve, secure
from tests.doctor.tls import believing, certificate, door

pytestmark = pytest.mark.anyio


async def test_a_name_has_addresses_ipv4_first_each_once() -> None:
    found = await resolve("localhost", 80, 10)

    assert found.addresses[0] == "127.0.0.1"
    assert len(set(found.addresses)) == len(found.addresses)
    assert (await resolve("127.0.0.1", 80, 10)).addresses == ("127.0.0.1",)


@pytest.mark.parametrize("host", ["nothing.invalid", "a" * 64 + ".example", ".."])
async def test_a_name_without_an_address_says_why(host: str) -> None:
    found = await resolve(host, 80, 10)

    assert found.addresses == ()
    assert found.failure


async def test_a_port_takes_connections_or_says_why_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert not (await connect("127.0.0.1", port, 10)).failure

    assert (await connect("127.0.0.1", port, 10)).failure == "Connection refused"


async def test_a_handshake_says_what_was_agreed_and_until_when(tmp_path: Path) -> None:
    file = certificate(tmp_path)
    async with door(file) as port:
        found = await secure("127.0.0.1", port, "127.0.0.1", believing(file), 10)

    assert (found.failure, found.code) == ("", 0)
    assert found.version.startswith("TLSv1.")
    assert found.issuer == "The tests"
    assert found.ends > 0


@pytest.mark.parametrize(
    ("made", "code"), [({}, 18), ({"first": -9, "last": -2}, 10), ({"first": 2}, 9), ({"address": "127.0.0.9"}, 64)]
)
async def test_a_certificate_that_is_refused_has_the_number_of_the_reason(
    tmp_path: Path, made: dict[str, object], code: int
) -> None:
    file = certificate(tmp_path, **made)  # type: ignore[arg-type]
    other = certificate(tmp_path, last=91)
    async with door(file) as port:
        trusted = believing(other) if code == 18 else believing(file)
        found = await secure("127.0.0.1", port, "127.0.0.1", trusted, 10)

    assert found.code == code
    assert found.failure


async def test_what_speaks_no_tls_is_no_refused_certificate(tmp_path: Path) -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")

    async def greet(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.send(b"220 mail.example ESMTP\r\n")

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, greet)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        found = await secure("127.0.0.1", port, "127.0.0.1", believing(certificate(tmp_path)), 10)
        tasks.cancel_scope.cancel()

    assert found.failure
    assert found.code == 0
