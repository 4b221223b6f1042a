"""Runs the doctor on a server of the test's own, and says what it found."""

import socket
import ssl
from typing import Any

from portkey_mcp.doctor.finding import Finding, Verdict
from portkey_mcp.doctor.walk import examine
from tests.doctor.clinic import Clinic
from tests.stories.gateway import serving

TRUST = ssl.create_default_context()
"""Made once: reading the authorities of a system takes a tenth of a second."""


async def examined(clinic: Clinic, path: str = "", **options: Any) -> list[Finding]:
    """All findings about the clinic; `path` where another one than its own is asked."""
    options = {"trust": TRUST, **options}
    async with serving(clinic.app, listener()) as origin:
        return [finding async for finding in examine(f"{origin}{path or clinic.path}", **options)]


def listener() -> socket.socket:
    """A listening socket whose connections do not hold small packets back: 40 ms for every answer without it."""
    made = socket.create_server(("127.0.0.1", 0))
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def of(verdict: Verdict, findings: list[Finding]) -> list[Finding]:
    """Those with this verdict, without what is said of every server on this machine."""
    return [finding for finding in findings if finding.verdict == verdict and finding.step not in ("url", "reach")]


def told(findings: list[Finding], verdict: Verdict, what: str, mend: str) -> bool:
    """Whether one of them says this, and this for mending."""
    return any(f.verdict == verdict and what in f.what and mend in f.mend for f in findings)


def shown(findings: list[Finding]) -> str:
    """All of them, for the message of an assertion."""
    return "\n".join(map(str, findings))
