"""What a browser sends to a page of ours: whether we made it send that, the fields of a form, and where to go on.

All of it is a stranger's to choose. Pure, but for reading the body.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from fastapi import Request

LARGEST_FORM: Final = 64 * 1024
"""Bytes: a few short fields, and what an app wants to be told again. Anybody may send a form, so no more is read."""

MOST_FIELDS: Final = 32

FRONT: Final = "/ui/"
"""The front page: where one goes on when nothing better is known."""

AUTHORIZE: Final = "/authorize"
"""Where OAuth clients send people (RFC 6749, section 3.1)."""

LONGEST_PATH: Final = 12_000
OWN_PATH: Final = re.compile(
    r"(?:/ui/(?:[A-Za-z0-9_~-]+/)*[A-Za-z0-9_~-]*|/authorize|/connect/[a-z0-9-]+/[a-z0-9_-]+)(?:\?[!-\[\]-~]*)?"
)
"""A page of ours and its query. No dots, percent signs or backslashes in the path: browsers read it as it is."""


def is_ours(headers: Mapping[str, str], origin: str) -> bool:
    """Whether a browser sends this from a page of ours, and no other site made it do so; `origin` is our public one.

    `Sec-Fetch-Site` says so wherever the connection is secure or local; elsewhere `Origin` does. What sends neither is
    no browser that could be trusted to have shown the page.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    return headers.get("origin", "").lower() == origin.lower()


async def fields(request: Request) -> Mapping[str, str] | None:
    """A form's fields, the last of each name; None for what is no form, or too much of one."""
    if not request.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded"):
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            return None
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=MOST_FIELDS))
    except ValueError:
        return None


def own_path(text: str) -> str:
    """The text where it leads to a page of ours, else the front page: a link here sends nobody anywhere else."""
    return text if len(text) <= LONGEST_PATH and OWN_PATH.fullmatch(text) else FRONT
