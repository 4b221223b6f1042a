"""A real browser for a story: Chromium without a window, as a person at a desk uses it.

Pages of ours must be faultless while it is open: nothing on their console, nothing fetched from anywhere else. Names
of hosts lead nowhere, so a client's callback on the web can be sent to without being there: `sent_to` tells with what.
"""

import os
import shutil
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urljoin, urlsplit

import anyio
from playwright.async_api import Browser as Chromium
from playwright.async_api import BrowserContext, ConsoleMessage, Error, Page, Request, Response, async_playwright

from tests.stories.hearing import PATIENCE
from tests.stories.upstreams import ROOT

SCREENSHOTS = ROOT / ".data" / "screenshots"
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def origin_of(url: str) -> str:
    """Scheme, host and port; of `about:blank` and the like, the scheme alone."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else parts.scheme


class Browser:
    """One person's browser with one page open. Pages of `ours` (origins) must be faultless.

    Those may send people on to any loopback port, where clients listen, and to the origins `elsewhere`.
    """

    def __init__(self, context: BrowserContext, page: Page, ours: Iterable[str], elsewhere: Iterable[str]) -> None:
        self.context = context
        self.page = page
        self._ours, self._elsewhere = set(ours), set(elsewhere)
        self.faults: list[str] = []
        self.redirects: list[str] = []
        """Where every redirect so far led, in order; also schemes that no browser follows."""
        self._redirected = anyio.Event()
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self._blame(error.page, f"JavaScript failed: {error.error}"))
        context.on("request", self._on_request)
        context.on("response", self._on_response)

    async def visit(self, url: str) -> None:
        """Open a URL as if it were typed; a page that answers with a failure is a page all the same."""
        await self.page.goto(url)

    async def sign_in(self, email: str, password: str) -> None:
        """Fill in the sign-in form that is shown, and send it; what is shown next is the story's business."""
        await self.page.locator("input[name=email]").fill(email)
        await self.page.locator("input[name=password]").fill(password)
        await self.press("Sign in")

    async def press(self, name: str) -> None:
        """Click the button, or else the link, of exactly this name, and wait for the page it leads to, if any.

        Raises:
            playwright.async_api.Error: there is none, or more than one.
        """
        button = self.page.get_by_role("button", name=name, exact=True)
        link = self.page.get_by_role("link", name=name, exact=True)
        try:
            await button.or_(link).click()
        except Error as error:
            error.add_note(f"{self.page.url} says: {await self.text()}")
            raise
        await self.page.wait_for_load_state()

    async def arrives(self, prefix: str) -> str:
        """Wait until the page's URL begins like this; gives the URL.

        Raises:
            playwright.async_api.TimeoutError: it does not get there.
        """
        await self.page.wait_for_url(lambda url: url.startswith(prefix))
        return self.page.url

    async def sent_to(self, prefix: str) -> str:
        """Wait until a redirect led to a URL that begins like this, reachable or not; gives the latest such URL.

        Raises:
            TimeoutError: no redirect did.
        """
        with anyio.fail_after(PATIENCE):
            while not (found := [url for url in self.redirects if url.startswith(prefix)]):
                await self._redirected.wait()
        return found[-1]

    async def text(self) -> str:
        """What the page says, as a person reads it."""
        return await self.page.locator("body").inner_text()

    async def screenshot(self, name: str) -> None:
        """Keep a picture of the whole page under `.data/screenshots/`, for a person to look at."""
        await self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def _is_ours(self, page: Page | None) -> bool:
        return page is not None and origin_of(page.url) in self._ours

    def _blame(self, page: Page | None, what: str) -> None:
        if page is not None and self._is_ours(page):
            self.faults.append(f"{page.url}: {what}")

    def _on_console(self, message: ConsoleMessage) -> None:
        page = message.page
        # Chromium reports every page whose status is a failure; refusals are pages a story means to see.
        of_the_page = page is not None and message.location["url"] == page.url and "status of" in message.text
        if message.type in ("error", "warning") and not of_the_page:
            self._blame(page, f"console {message.type}: {message.text}")

    def _on_request(self, request: Request) -> None:
        page = request.frame.page
        onward = request.is_navigation_request() and request.frame == page.main_frame
        there = urlsplit(request.url)
        welcome = onward and (there.hostname in LOOPBACK or origin_of(request.url) in self._elsewhere)
        if there.scheme not in ("data", "blob", "about") and origin_of(request.url) not in self._ours and not welcome:
            self._blame(page, f"asked for {request.url}")

    def _on_response(self, response: Response) -> None:
        if 300 <= response.status < 400 and "location" in response.headers:
            self.redirects.append(urljoin(response.url, response.headers["location"]))
            self._redirected.set()
            self._redirected = anyio.Event()


@asynccontextmanager
async def browser(
    *ours: str,
    elsewhere: Iterable[str] = (),
    hosts: Mapping[str, str] | None = None,
    width: int = 1280,
    javascript: bool = True,
) -> AsyncIterator[Browser]:
    """Open a browser without cookies until the block ends.

    `ours` are origins whose pages must be faultless, `elsewhere` further ones that they may send people to. `hosts`
    says at which `address:port` a host name is; every other name leads nowhere. `width` is in CSS pixels.

    Raises:
        AssertionError: a page of `ours` had a fault; says which and what.
    """
    rules = [f"MAP {name} {place}" for name, place in (hosts or {}).items()]
    async with AsyncExitStack() as stack:
        chromium = None if rules else _at_hand
        if chromium is None:
            chromium = await stack.enter_async_context(_started(rules))
        context = await chromium.new_context(
            viewport={"width": width, "height": 800}, java_script_enabled=javascript, ignore_https_errors=True
        )
        context.set_default_timeout(PATIENCE * 1000)
        opened = Browser(context, await context.new_page(), ours, elsewhere)
        try:
            yield opened
        finally:
            with anyio.CancelScope(shield=True):
                await context.close()
    if opened.faults:
        raise AssertionError("\n".join(opened.faults))


_at_hand: Chromium | None = None
"""The program that runs already, where a module has `one_chromium`."""


@asynccontextmanager
async def kept() -> AsyncIterator[None]:
    """Until the block ends, browsers are windows of one program: people still share nothing, but for its start."""
    global _at_hand
    async with _started([]) as chromium:
        _at_hand = chromium
        try:
            yield
        finally:
            _at_hand = None


@asynccontextmanager
async def _started(rules: list[str]) -> AsyncIterator[Chromium]:
    """Chromium in a process of its own. `rules` come before those by which names lead nowhere."""
    program = shutil.which("chromium")
    assert program is not None, "chromium not found; `make tools` installs it"
    rules = [*rules, "MAP * ~NOTFOUND", *(f"EXCLUDE {name}" for name in ("localhost", "127.0.0.1", "[::1]"))]
    flags = [f"--host-resolver-rules={', '.join(rules)}"]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")  # Chromium refuses to start as root with its sandbox
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=program, args=flags, timeout=PATIENCE * 1000)
        try:
            yield chromium
        finally:
            with anyio.CancelScope(shield=True):
                await chromium.close()
