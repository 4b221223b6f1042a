"""A person at a browser, as far as HTTP goes: connects an account on the gateway's pages, without looking at them."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Self
from urllib.parse import urljoin, urlsplit

import httpx2

STEPS = 8
"""Redirects within the gateway that are followed, before something is taken to go in circles."""


@dataclass
class _Form:
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    pressed: bool = False


class _Forms(HTMLParser):
    """The forms of a page, each with what it sends when its first button is pressed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.forms: list[_Form] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = said.get("method", "get").lower() == "post"
            if self._inside:
                self.forms.append(_Form(said.get("action", "")))
        elif self._inside and tag == "input" and "name" in said:
            if said.get("type", "text") not in ("checkbox", "radio", "submit") or "checked" in said:
                self.forms[-1].fields[said["name"]] = said.get("value", "")
        elif self._inside and tag == "button" and "disabled" not in said and not self.forms[-1].pressed:
            self.forms[-1].pressed = True
            if "name" in said:
                self.forms[-1].fields[said["name"]] = said.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "form"


def link_in(text: str, origin: str) -> str:
    """The first link to a connect page of a gateway in a text; empty where there is none."""
    found = re.search(re.escape(origin) + r"/connect/[\w-]+/[\w-]+(?:\?[\w=&%.~-]+)?", text)
    return found[0] if found else ""


async def allowed_at_once(url: str) -> str:
    """What becomes of an authorization URL where nobody is asked anything: the URL that the browser is sent back to.

    Raises:
        AssertionError: it is no redirect.
    """
    async with httpx2.AsyncClient(timeout=20) as http:
        answer = await http.get(url)
    assert answer.is_redirect, f"{answer.status_code} at {url}: {answer.text[:500]}"
    return _location(answer)


class Person:
    """One person. `origin` is the gateway's, `allow` what they do upstream, `browser` one that is signed in already."""

    def __init__(
        self,
        origin: str,
        allow: Callable[[str], Awaitable[str]] = allowed_at_once,
        browser: httpx2.AsyncClient | None = None,
    ) -> None:
        self.origin = origin
        self._allow = allow
        self._http = browser or httpx2.AsyncClient(timeout=20)
        self.sent_to: list[str] = []
        """The authorization URLs that the gateway sent them to."""

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._http.aclose()

    async def connect(self, link: str) -> httpx2.Response:
        """Open a connect page, press its button, allow all upstream, and come back; gives the page it ends on.

        That is one of the gateway's, also where it did not work out: a page whose status is a failure.

        Raises:
            AssertionError: a page is none that a person could go on from.
        """
        page = await self._ours(await self._http.get(link))
        if page.is_error:
            return page
        if not page.is_redirect:
            page = await self._ours(await self._press(page))
        if not page.is_redirect:
            return page
        url = _location(page)
        self.sent_to.append(url)
        back = await self._allow(url)
        assert back.startswith(f"{self.origin}/"), back
        ended = await self._ours(await self._http.get(back))
        assert not ended.is_redirect, f"sent on to {_location(ended)}"
        return ended

    async def _press(self, page: httpx2.Response) -> httpx2.Response:
        forms = [form for form in _Forms(page.text).forms if "connect" in urljoin(str(page.url), form.action)]
        assert forms, f"no form on {page.url}: {page.text[:2000]}"
        url, ours = urljoin(str(page.url), forms[0].action), {"Origin": self.origin, "Sec-Fetch-Site": "same-origin"}
        return await self._http.post(url, data=forms[0].fields, headers=ours)

    async def _ours(self, answer: httpx2.Response) -> httpx2.Response:
        """Follow redirects while they stay on the gateway."""
        for _ in range(STEPS):
            if not answer.is_redirect or not _location(answer).startswith(f"{self.origin}/"):
                return answer
            answer = await self._http.get(_location(answer))
        raise AssertionError(f"redirects in circles at {answer.url}")


def _location(answer: httpx2.Response) -> str:
    where = urljoin(str(answer.url), answer.headers["location"])
    assert urlsplit(where).scheme in ("http", "https"), where
    return where
