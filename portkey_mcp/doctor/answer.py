"""One HTTP answer as the checks see it: a value, however it came."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from portkey_mcp.doctor.finding import quoted
from portkey_mcp.wire import Json, MalformedJson, loads

REDIRECTS: Final = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back from `url`. Header names are in lower case, values of a repeated one joined by ", ".

    Where nothing came `status` is 0 and `failure` says why. `cut`: the body was longer than what is read.
    """

    url: str
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0
    failure: str = ""
    cut: bool = False

    @property
    def media(self) -> str:
        """The media type, without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def html(self) -> bool:
        """Whether it is a web page, by its type or by how it begins."""
        return self.media in ("text/html", "application/xhtml+xml") or self.body.lstrip()[:9].lower().startswith(
            (b"<!doctype", b"<html")
        )

    @property
    def document(self) -> Json | None:
        """The JSON object it holds; None for anything else."""
        if self.cut:
            return None
        try:
            found = loads(self.body)
        except MalformedJson:
            return None
        return found if isinstance(found, dict) else None

    @property
    def location(self) -> str:
        """Where it redirects to, as it says; empty where it does not."""
        return self.headers.get("location", "") if self.status in REDIRECTS else ""

    @property
    def said(self) -> str:
        """The answer in a few words, for a finding: `404 Not Found with a web page`."""
        if self.failure:
            return self.failure
        try:
            status = f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            status = str(self.status)
        if self.location:
            return f"{status} to {quoted(self.location)}"
        if self.html:
            return f"{status} with a web page"
        error = (self.document or {}).get("error")
        if isinstance(error, dict):  # JSON-RPC
            error = error.get("message")
        return f"{status} ({quoted(error)})" if isinstance(error, str) else status


def text(document: Json, name: str) -> str:
    """A member that has to be text; empty where it is not."""
    value = document.get(name)
    return value if isinstance(value, str) else ""


def texts(document: Json, name: str) -> list[str] | None:
    """A member that has to be a list of texts, without what is no text; None where it is missing or no list."""
    value = document.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else None
