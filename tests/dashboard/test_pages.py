"""Pages load nothing foreign, run nothing, escape everything, and travel with the package."""

import re
from importlib.resources import files as resources

import httpx2
import pytest
from fastapi import FastAPI
from jinja2 import UndefinedError

from portkey_mcp.dashboard.pages import FILES, files, page

pytestmark = pytest.mark.anyio

PACKAGE = resources("portkey_mcp.dashboard")
TEMPLATES = ("approve.html", "base.html", "message.html")


def test_every_page_has_headers_that_let_it_load_and_run_nothing_foreign() -> None:
    headers = page("message.html", title="T", text="x").headers
    assert headers["content-security-policy"].split("; ") == [
        *("default-src 'none'", "style-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"),
    ]
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-type"] == "text/html; charset=utf-8"


def test_what_a_template_is_given_is_escaped() -> None:
    body = bytes(page("message.html", title="<b>", text="\"><script>alert('x')</script>").body).decode()
    assert "<script" not in body
    assert "<b>" not in body
    assert "&#34;&gt;&lt;script&gt;" in body


def test_a_template_that_misses_something_fails_loudly() -> None:
    with pytest.raises(UndefinedError):
        page("message.html", title="only that")


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
