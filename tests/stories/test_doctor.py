"""The doctor finds nothing bad at a gateway of ours, wherever it is looked at, and walks the whole way."""

from pathlib import Path

import pytest

from portkey_mcp.doctor.finding import Finding
from portkey_mcp.doctor.walk import examine
from tests.stories.gateway import gateway
from tests.stories.house import document
from tests.stories.policy_house import Scripted, tool
from tests.stories.raw_upstream import raw_upstream

pytestmark = pytest.mark.anyio


async def found(url: str, **more: object) -> list[Finding]:
    return [finding async for finding in examine(url, **more)]  # type: ignore[arg-type]


@pytest.mark.parametrize("place", [("demo", "files"), ("demo",), ()])
async def test_at_a_server_a_hub_and_the_root_nothing_is_bad(tmp_path: Path, place: tuple[str, ...]) -> None:
    async with raw_upstream("modern") as upstream:
        text = document({"demo": {"servers": {"files": {"url": upstream.url}}}})
        async with gateway(text, tmp_path / "data") as running:
            findings = await found(running.at(*place), register=True)

    assert [one for one in findings if one.verdict == "bad"] == []
    good = " ".join(one.what for one in findings if one.verdict == "good")
    for said in (
        "Bearer challenge",
        "is this very URL",
        "the issuer is exactly",
        "S256",
        "registered",
        "invalid_grant",
    ):
        assert said in good, said


async def test_where_nobody_signs_in_it_finds_no_oauth(tmp_path: Path) -> None:
    async with raw_upstream("modern") as upstream:
        script = Scripted(tools=[tool("read")])
        upstream.script, upstream.told = script, script.told
        text = document({"demo": {"servers": {"files": {"url": upstream.url}}}})
        async with gateway(text, tmp_path / "data", auth="none") as running:
            findings = await found(running.at("demo", "files"))

    assert [one for one in findings if one.verdict == "bad"] == []
