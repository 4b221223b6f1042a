"""The official suite's authorization-server scenarios against a gateway to which somebody signs in."""

import re
import socket
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2
import pytest

from tests.conformance.proxy import StrippingProxy
from tests.conformance.suite import NODE, PACKAGE, SUITE_TIME, Report, read
from tests.oauth.conftest import OURS, PASSWORD
from tests.stories.gateway import serving
from tests.stories.sign_in_house import hidden, house

pytestmark = [pytest.mark.anyio, pytest.mark.outside("conformance")]

CLIENT = "conformance"
CLIENTS = {"clients": [{"id": CLIENT, "name": "The suite", "redirect_uris": ["http://127.0.0.1/callback"]}]}
SCENARIOS = ["authorization-server-metadata-endpoint", "authorization-code-grant"]
PREFIX = "/tools/gateway"


async def run(issuer: str, folder: Path, *options: str) -> Report:
    """Run both scenarios, and be the person who allows it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    about = ["--url", issuer, "--client-id", CLIENT, "-p", str(port), "--output-dir", str(folder), *options]
    command = [str(NODE), str(PACKAGE / "dist" / "index.js"), "authorization", *about]
    said, agreed = "", False
    with anyio.fail_after(SUITE_TIME):
        async with await anyio.open_process(command, stdout=PIPE, stderr=STDOUT) as process:
            assert process.stdout is not None
            async for chunk in process.stdout:
                said += chunk.decode()
                asked = re.search(r"(http\S+/authorize\?\S+)\s", said)
                if asked and not agreed:
                    agreed = True
                    await allow(issuer, asked[1])
    return found(folder, said)


def found(folder: Path, said: str) -> Report:
    """What the suite wrote down."""
    outcomes = [read(file) for file in sorted(folder.rglob("checks.json"))]
    return Report({outcome.scenario: outcome for outcome in outcomes}, said)


async def allow(issuer: str, url: str) -> None:
    """Sign in, say yes, and go where that leads."""
    assert url.startswith(f"{issuer}/authorize?")
    async with httpx2.AsyncClient(headers=OURS, timeout=60) as browser:
        form = {"email": "ada@example.com", "password": PASSWORD}
        # An alias has no pages: there the way leads to the public URL first.
        onward = await browser.get(url)
        while onward.is_redirect and "/ui/sign-in" not in onward.headers["location"]:
            url = onward.headers["location"]
            onward = await browser.get(url)
        base = url.partition("/authorize?")[0]
        assert (await browser.post(f"{base}/ui/sign-in", data=form)).status_code == 303
        page = await browser.get(url)
        chosen = {**hidden(page.text), "decision": "allow"}
        if 'name="choice"' in page.text:
            chosen["choice"] = "blue"
        back = await browser.post(f"{base}/authorize", data=chosen)
        assert back.status_code == 303, back.text
        assert urlsplit(back.headers["location"]).path == "/callback"
        await browser.get(back.headers["location"])


def passed(report: Report) -> None:
    assert report.score(SCENARIOS) == "2/2", report.table(SCENARIOS)


@pytest.mark.parametrize("place", [None, ("blue", "files")], ids=["no resource", "a server"])
async def test_both_scenarios_pass(tmp_path: Path, place: tuple[str, ...] | None) -> None:
    async with house(tmp_path / "data", {"oauth": CLIENTS}) as home:
        options = [] if place is None else ["--resource", home.at(*place)]
        passed(await run(home.origin, tmp_path / "found", *options))


@pytest.mark.parametrize("well_known", [True, False], ids=["with well-known paths", "without"])
async def test_both_scenarios_pass_behind_a_proxy_that_takes_a_path_off(tmp_path: Path, well_known: bool) -> None:
    proxy = StrippingProxy(PREFIX, well_known=well_known)
    async with serving(proxy) as outside:
        said: dict[str, Any] = {"oauth": CLIENTS}
        async with house(tmp_path / "data", said, public_url=f"{outside}{PREFIX}") as home:
            proxy.target = home.origin
            passed(await run(f"{outside}{PREFIX}", tmp_path / "found"))
    assert f"{PREFIX}/token" in proxy.passed


async def test_both_scenarios_pass_with_a_host_alias(tmp_path: Path) -> None:
    said: dict[str, Any] = {"oauth": CLIENTS, "hosts": {"localhost": "blue/files"}}
    async with house(tmp_path / "data", said) as home:
        alias = f"http://localhost:{home.gateway.port}"
        passed(await run(alias, tmp_path / "found", "--resource", f"{alias}/mcp"))
