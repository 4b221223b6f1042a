"""Names, connections and certificates, asked of the network itself; `reachability.py` judges what came."""

import os
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any, Final

import anyio
from anyio.streams.tls import TLSAttribute, TLSStream

from portkey_mcp.doctor.finding import quoted

MOST_ADDRESSES: Final = 4
"""Addresses of one name that are tried."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """The addresses of a name, without repetitions, IPv4 first; none where `failure` says why."""

    addresses: tuple[str, ...] = ()
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Connected:
    """One connection to `address`, and how many seconds it took; `failure` says why there is none."""

    address: str
    seconds: float = 0.0
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Secured:
    """A TLS handshake: what was agreed, and until when (Unix time) the certificate is good.

    Where it failed, `code` is OpenSSL's number of the reason why the certificate was refused, 0 for anything else.
    """

    version: str = ""
    ends: float = 0.0
    issuer: str = ""
    seconds: float = 0.0
    code: int = 0
    failure: str = ""


async def resolve(host: str, port: int, patience: float) -> Resolved:
    """All addresses that the resolver of this machine knows."""
    try:
        with anyio.fail_after(patience):
            found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        return Resolved(failure=f"no answer within {patience:g} seconds")
    except (OSError, UnicodeError) as error:
        return Resolved(failure=quoted(getattr(error, "strerror", None) or str(error)))
    addresses = sorted({str(entry[4][0]) for entry in found}, key=lambda address: (":" in address, address))
    return Resolved(tuple(addresses))


async def connect(address: str, port: int, patience: float) -> Connected:
    """Open a connection and close it again."""
    began = time.perf_counter()
    try:
        with anyio.fail_after(patience):
            stream = await anyio.connect_tcp(address, port)
    except TimeoutError:
        return Connected(address, failure=f"no answer within {patience:g} seconds")
    except OSError as error:
        return Connected(address, failure=_why(error))
    seconds = time.perf_counter() - began
    await stream.aclose()
    return Connected(address, seconds)


async def secure(address: str, port: int, host: str, trust: ssl.SSLContext, patience: float) -> Secured:
    """Open a connection, speak TLS for `host`, and close it again."""
    began = time.perf_counter()
    try:
        with anyio.fail_after(patience):
            async with await anyio.connect_tcp(address, port) as plain:
                stream = await TLSStream.wrap(
                    plain, server_side=False, hostname=host, ssl_context=trust, standard_compatible=False
                )
                return _agreed(stream, time.perf_counter() - began)
    except TimeoutError:
        return Secured(failure=f"no answer within {patience:g} seconds")
    except ssl.SSLCertVerificationError as error:
        return Secured(code=error.verify_code, failure=quoted(error.verify_message))
    except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
        return Secured(failure=_why(error))


def _agreed(stream: TLSStream, seconds: float) -> Secured:
    session: ssl.SSLObject = stream.extra_attributes[TLSAttribute.ssl_object]()
    certificate: dict[str, Any] = dict(session.getpeercert() or {})
    ends = certificate.get("notAfter")
    names = {key: value for part in certificate.get("issuer", ()) for key, value in part}
    return Secured(
        version=session.version() or "TLS",
        ends=ssl.cert_time_to_seconds(ends) if ends else 0.0,
        issuer=quoted(names.get("organizationName") or names.get("commonName") or ""),
        seconds=seconds,
    )


def _why(error: BaseException) -> str:
    """The reason of the operating system, which anyio wraps."""
    cause: BaseException = error
    while cause.__cause__ is not None or isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else cause.__cause__ or cause
    number = getattr(cause, "errno", None)
    return os.strerror(number) if number else quoted(str(cause) or type(cause).__name__)
