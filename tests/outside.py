"""What stands outside of the gateway, on this machine: servers that go by any name, and who tells their addresses."""

import datetime
import ipaddress
import itertools
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.upstream.raw import OK, Peer, Script


def contexts(names: Sequence[str]) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's side that goes by these names or addresses, and a client's side that believes it and nobody else."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    public = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "certificate.pem"
        file.write_bytes(secret + public)
        server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=public.decode())


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Names:
    """A name server in which each question has the next of some answers, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.asked: list[str] = []
        self._answers = itertools.chain(answers[:-1], itertools.repeat(answers[-1]))

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return next(self._answers)


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A whole HTTP answer."""
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]).encode() + body


def hearing(heard: list[bytes], said: bytes = OK) -> Script:
    """A server that writes down each request and says the same each time."""

    async def script(peer: Peer) -> None:
        heard.append(await peer.request())
        await peer.say(said)

    return script
