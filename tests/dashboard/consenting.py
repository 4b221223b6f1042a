"""What tests of the consent page do as a person would, and how they read it."""

import html
import re
from dataclasses import replace
from typing import Any

import httpx2

from tests.oauth.conftest import OURS, REDIRECT, Asked, House, hidden


async def asked_by(house: House, browser: httpx2.AsyncClient, redirect: str = REDIRECT, **asked: Any) -> Asked:
    """A request of a client that registered itself."""
    ident = await house.registered(browser, redirect_uris=[redirect])
    return replace(Asked(ident, redirect_uri=redirect), **asked)


async def decide(
    browser: httpx2.AsyncClient, asked: Asked, headers: dict[str, str] | None = None, **form: str
) -> httpx2.Response:
    """Open the page and send its form."""
    page = await browser.get(asked.path())
    sent = {**hidden(page.text), "decision": "allow", **form}
    return await browser.post("/authorize", data=sent, headers=OURS if headers is None else headers)


def text_of(page: httpx2.Response) -> str:
    """What a person reads."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


def is_page_that_leads_nowhere(answer: httpx2.Response) -> bool:
    return "location" not in answer.headers and "code=" not in answer.text and answer.status_code >= 400


def link_of(page: httpx2.Response) -> str:
    found = re.search(r'<a href="([^"]+)" rel="noreferrer">', page.text)
    assert found is not None
    return html.unescape(found[1])
