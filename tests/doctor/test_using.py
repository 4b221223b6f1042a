"""Speaking MCP up to the list of tools, with servers of either era."""

import pytest

from tests.doctor.clinic import TOKEN, Clinic, tool
from tests.doctor.examined import examined, of, shown, told

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("faults", "version"), [(("legacy",), "2025-11-25"), (("modern",), "2026-07-28"), ((), "2026-07-28")]
)
@pytest.mark.parametrize("door", [(), ("open",)])
async def test_tools_are_listed_in_the_era_that_the_server_speaks(
    faults: tuple[str, ...], version: str, door: tuple[str, ...]
) -> None:
    findings = await examined(Clinic(*faults, *door), token="" if door else TOKEN)

    assert told(findings, "good", f"speaks {version}", ""), shown(findings)
    assert told(findings, "good", "2 tools", "")
    assert not of("bad", findings), shown(findings)


async def test_a_token_that_is_refused_is_bad() -> None:
    assert told(await examined(Clinic(), token="other"), "bad", "the token is refused: 401", "audience")


async def test_without_a_token_the_tools_are_skipped() -> None:
    assert told(await examined(Clinic()), "skipped", "PORTKEY_MCP_DOCTOR_TOKEN", "")


@pytest.mark.parametrize(
    ("names", "verdict", "what"),
    [([], "doubtful", "list of tools is empty"), (["x" * 65], "bad", "over 64 characters")],
)
async def test_what_is_odd_about_the_tools_is_said(names: list[str], verdict: str, what: str) -> None:
    findings = await examined(Clinic(tools=[tool(name) for name in names]), token=TOKEN)

    assert any(f.verdict == verdict and what in f.what for f in findings), shown(findings)
