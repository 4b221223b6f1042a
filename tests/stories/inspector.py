"""The MCP Inspector's own pages, used by a person in a browser: connect, sign in, list the tools, call one."""

import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL

import anyio

from tests.stories.browser import Browser, origin_of
from tests.stories.oauth_clients import Consent
from tests.stories.opener import opener


class Inspector:
    """The Inspector in `browser`, shown and not yet connected to the one server it was started for."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser = browser
        self._origin = origin_of(url)
        self._main = browser.page.get_by_role("main")
        # The card of the tools: the smallest thing around its search field that has buttons.
        self._listed = browser.page.locator(
            "xpath=//input[starts-with(@placeholder, 'Search tools')]/ancestor::*[.//button][1]//button"
        )

    async def connect(self, consent: Consent) -> None:
        """Press the switch, let `consent` lead through the pages it goes to, and wait until it says it is connected."""
        page, switch = self._browser.page, self._main.get_by_role("switch", name="Connect or disconnect")
        await switch.click(force=True)  # what a person sees and clicks lies over the real one
        await page.wait_for_url(lambda url: origin_of(url) != self._origin)
        await consent(page.url)
        await self._browser.arrives(self._origin)
        await self._main.get_by_text("Connected", exact=True).wait_for()

    async def tools(self) -> list[str]:
        """Go to the tools, of which there is at least one; gives their names (or titles) as shown, in order."""
        tabs = self._browser.page.get_by_role("banner").get_by_role("radiogroup")
        await tabs.get_by_text("Tools", exact=True).click()
        await self._listed.first.wait_for()
        return await self._listed.all_inner_texts()

    async def call(self, tool: str, fields: Mapping[str, str]) -> str:
        """Choose one of the tools shown, fill in its form by its labels, and send it; gives all that is shown then."""
        await self._listed.get_by_text(tool, exact=True).click()
        for label, value in fields.items():
            await self._main.get_by_role("textbox", name=label, exact=True).fill(value)
        await self._main.get_by_role("button", name="Execute Tool").click()
        await self._main.get_by_role("heading", name="Results").wait_for()
        return await self._main.inner_text()


@asynccontextmanager
async def inspector(url: str, browser: Browser, *, home: Path, era: str = "auto") -> AsyncIterator[Inspector]:
    """Start the Inspector for one endpoint and show it in `browser`, until the block ends.

    `era` is `legacy`, `auto` or `modern`. It keeps everything under `home`, no secret of it.
    """
    with opener(home / "desk") as desk:
        environment = {
            **os.environ,
            **desk.environment,
            "HOME": str(home),
            "HOST": "127.0.0.1",
            "CLIENT_PORT": str(_free_port()),
            "MCP_SANDBOX_PORT": "0",
            "MCP_APP_ORIGIN_PORT": "0",
            "MCP_AUTO_OPEN_ENABLED": "true",
            "MCP_INSPECTOR_SECRET_STORE": "memory",
        }
        command = ["mcp-inspector", "--web", "--server-url", url, "--transport", "http", "--protocol-era", era]
        process = await anyio.open_process(command, env=environment, stdout=DEVNULL, stderr=DEVNULL)
        try:
            opened = await desk.url()
            await browser.visit(opened)
            yield Inspector(browser, opened)
        finally:
            process.kill()
            with anyio.CancelScope(shield=True):
                await process.aclose()


def _free_port() -> int:
    """One that nobody has now; the Inspector cannot choose for itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
