"""What is taken from a browser: its own forms, and paths of ours to go on to."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from portkey_mcp.dashboard.forms import FRONT, LARGEST_FORM, LONGEST_PATH, MOST_FIELDS, fields, is_ours, own_path

pytestmark = pytest.mark.anyio

ORIGIN = "https://gateway.example"
KIND = "application/x-www-form-urlencoded"


def request(body: bytes, kind: str = KIND) -> Request:
    chunks: list[bytes] = [body[at : at + 1000] for at in range(0, len(body), 1000)] or [b""]

    async def receive() -> Message:
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    scope: dict[str, Any] = {"type": "http", "method": "POST", "headers": [(b"content-type", kind.encode())]}
    return Request(scope, receive)


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"origin": ORIGIN}, True),
        ({"origin": ORIGIN.upper()}, True),
        ({}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": ""}, False),
        ({"sec-fetch-site": "cross-site", "origin": ORIGIN}, False),
        ({"origin": "null"}, False),
        ({"origin": f"{ORIGIN}.evil.example"}, False),
        ({"origin": "http://gateway.example"}, False),
        ({"origin": f"{ORIGIN}:444"}, False),
    ],
)
def test_only_what_a_page_of_ours_sent_is_ours(headers: Mapping[str, str], ours: bool) -> None:
    assert is_ours(headers, ORIGIN) is ours


async def test_a_form_is_read_in_pieces_and_decoded() -> None:
    text = "x" * 5000 + " é&="
    assert await fields(request(f"a={quote(text)}&b=1&b=2&empty=".encode())) == {"a": text, "b": "2"}
    assert await fields(request(b"", f"{KIND.upper()}; charset=utf-8")) == {}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"a=" + b"x" * LARGEST_FORM, KIND),
        (b"&".join(b"a%d=1" % n for n in range(MOST_FIELDS + 1)), KIND),
        (b"a=\xff", KIND),
        (b"a=1", "text/plain"),
        (b"a=1", ""),
        (b'{"a": 1}', "application/json"),
    ],
)
async def test_what_is_no_form_or_too_much_of_one_is_not_read(body: bytes, kind: str) -> None:
    assert await fields(request(body, kind)) is None


@pytest.mark.parametrize(
    "path",
    [
        "/ui/",
        "/ui/approve/aB_-9~",
        "/ui/consent?client=https%3A%2F%2Fa.example&redirect=http://b.example/?c",
        "/connect/demo/linear?asked=v1.k1.x",
    ],
)
def test_a_path_of_ours_is_kept(path: str) -> None:
    assert own_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/ui", "ui/", "/team/files/mcp", "/UI/", "/uix/"),
        *("//evil.example", "//evil.example/ui/", "///ui/", "/\\evil.example", "\\\\evil.example/ui/"),
        *("https://evil.example/ui/", "https:evil.example", "javascript:alert(1)", "/ui//evil.example"),
        *("/ui/..//evil.example", "/ui/%2e%2e//evil.example", "/ui/./x", "/ui/%2f%2fevil.example", "/ui/\\..\\x"),
        *("/ui/\r\nset-cookie: a=b", "/ui/\n", "/ui/x\n", "/ui/\t/evil.example", "/ui/é", "/ui/\0", " /ui/"),
        *("/ui/?\\", "/ui/? ", "/ui/" + "x" * LONGEST_PATH),
    ],
)
def test_anything_else_leads_to_the_front_page(path: str) -> None:
    assert own_path(path) == FRONT


@given(st.text(alphabet="/\\.%2e5cui:@?#\t\n aé", max_size=30) | st.text())
def test_wherever_a_link_leads_it_stays_below_our_pages(text: str) -> None:
    for path in (own_path(text), own_path(f"/ui/{text}")):
        there = urlsplit(urljoin(f"{ORIGIN}/ui/sign-in", path))
        assert (there.scheme, there.netloc, there.path.startswith("/ui/")) == ("https", "gateway.example", True)
