"""Runs the doctor on a server of the test's own, and says what it found."""

from typing import Any

from portkey_mcp.doctor.finding import Finding, Verdict
from portkey_mcp.doctor.walk import examine
from tests.doctor.clinic import Clinic
from tests.stories.gateway import serving


async def examined(clinic: Clinic, path: str = "", **options: Any) -> list[Finding]:
    """All findings about the clinic; `path` where another one than its own is asked."""
    async with serving(clinic.app) as origin:
        return [finding async for finding in examine(f"{origin}{path or clinic.path}", **options)]


def of(verdict: Verdict, findings: list[Finding]) -> list[Finding]:
    """Those with this verdict, without what is said of every server on this machine."""
    return [finding for finding in findings if finding.verdict == verdict and finding.step not in ("url", "reach")]


def told(findings: list[Finding], verdict: Verdict, what: str, mend: str) -> bool:
    """Whether one of them says this, and this for mending."""
    return any(f.verdict == verdict and what in f.what and mend in f.mend for f in findings)


def shown(findings: list[Finding]) -> str:
    """All of them, for the message of an assertion."""
    return "\n".join(map(str, findings))
