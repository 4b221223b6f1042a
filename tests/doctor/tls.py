"""Certificates of the tests' own, and a door that speaks TLS before a server that does not."""

import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSListener
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def certificate(folder: Path, *, address: str = "127.0.0.1", first: int = -1, last: int = 90) -> Path:
    """A file with a key and its own certificate for an address, good from day `first` to day `last` from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "The tests")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    subject = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + first * day)
        .not_valid_after(now + last * day)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(subject, critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{address}-{last}.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return file


def believing(*certificates: Path) -> ssl.SSLContext:
    """Believes these certificates and no others."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for file in certificates:
        context.load_verify_locations(file)
    return context


@asynccontextmanager
async def door(certificate: Path, port: int = 0) -> AsyncIterator[int]:
    """Speaks TLS on a port of its own, which it yields, and passes on to `port`; without one it hangs up."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    plain = await anyio.create_tcp_listener(local_host="127.0.0.1")
    listener = TLSListener(plain, context, standard_compatible=False)

    async def serve(outside: ByteStream) -> None:
        async with outside:
            if port:
                async with await anyio.connect_tcp("127.0.0.1", port) as inside, anyio.create_task_group() as both:
                    both.start_soon(_pass, inside, outside, both.cancel_scope)
                    await _pass(outside, inside, both.cancel_scope)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield plain.extra(anyio.abc.SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


async def _pass(source: ByteStream, sink: ByteStream, ending: anyio.CancelScope) -> None:
    try:
        async for piece in source:
            await sink.send(piece)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass  # one side left
    ending.cancel()
