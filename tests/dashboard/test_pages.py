"""Pages load nothing foreign, run nothing, escape everything, and travel with the package."""

import re
from importlib.resources import files as resources

import httpx2
import pytest
from fastapi import FastAPI, Response
from jinja2 import UndefinedError

from portkey_mcp.addresses import Addresses
from portkey_mcp.dashboard.pages import FILES, Site, away, files
from portkey_mcp.model import Directory

pytestmark = pytest.mark.anyio

SITE = Site(Addresses("https://gateway.example"), Directory)
PACKAGE = resources("portkey_mcp.dashboard")
TEMPLATES = ("approve.html", "base.html", "first_person.html", "front.html", "message.html", "sign_in.html")


FIRST = SITE.page("first_person.html", password=True)
ANSWERS = SITE.message(200, "T", "x"), SITE.store_down("Wait"), FIRST, SITE.onward("/ui/")


@pytest.mark.parametrize("answer", ANSWERS)
def test_every_page_has_headers_that_let_it_load_and_run_nothing_foreign(answer: Response) -> None:
    headers = answer.headers
    assert headers["content-security-policy"].split("; ") == [
        *("default-src 'none'", "style-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"),
    ]
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers.get("content-type", "text/html; charset=utf-8") == "text/html; charset=utf-8"


def test_what_a_template_is_given_is_escaped() -> None:
    hostile = "\"><script>alert('x')</script>"
    body = bytes(SITE.message(200, "<b>", hostile, (f"/ui/{hostile}", hostile)).body).decode()
    assert "<script" not in body
    assert "<b>" not in body
    assert body.count("&#34;&gt;&lt;script&gt;") == 3


def test_a_message_may_lead_on() -> None:
    assert '<a href="/ui/">Go on</a>' in bytes(SITE.message(200, "T", "x", ("/ui/", "Go on")).body).decode()
    assert "<a " not in bytes(SITE.message(200, "T", "x").body).decode()


def test_a_browser_is_sent_on_with_a_get() -> None:
    assert (SITE.onward("/ui/").status_code, SITE.onward("/ui/").headers["location"]) == (303, "/ui/")


def test_when_the_store_is_down_the_browser_is_told_to_come_again() -> None:
    answer = SITE.store_down("Nothing was decided")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "Nothing was decided; try again soon." in bytes(answer.body).decode()


def test_a_template_that_misses_something_fails_loudly() -> None:
    with pytest.raises(UndefinedError):
        SITE.page("message.html", title="only that")


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_template_has_script_style_or_anything_foreign_in_it(name: str) -> None:
    text = (PACKAGE / "templates" / name).read_text()
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:|https?://|\|\s*safe", text)


async def test_the_stylesheet_is_served_and_nothing_else_is() -> None:
    app = FastAPI()
    app.include_router(files())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://gateway.example") as http:
        served = await http.get("/ui/static/portkey.css")
        assert (served.status_code, served.headers["content-type"]) == (200, "text/css; charset=utf-8")
        assert served.headers["x-content-type-options"] == "nosniff"
        assert "prefers-color-scheme: dark" in served.text
        assert not re.search(r"url\(|@import", served.text)
        for path in ("portkey", "..%2fpages.py", "%2e%2e/pages.py", "../templates/base.html", "portkey.css/", ""):
            assert (await http.get(f"/ui/static/{path}")).status_code in (307, 404), path


def test_templates_and_files_are_found_in_the_package() -> None:
    assert all((PACKAGE / "templates" / name).is_file() for name in TEMPLATES)
    assert all((PACKAGE / "static" / name).is_file() for name in FILES)


def test_who_is_sent_to_another_site_is_sent_to_the_very_url_which_learns_nothing_of_ours() -> None:
    url = "https://as.example/authorize?a=%7e&b=|"
    answer = away(url)
    assert (answer.status_code, answer.headers["location"], away(url, 302).status_code) == (303, url, 302)
    assert answer.headers["referrer-policy"] == "no-referrer"
