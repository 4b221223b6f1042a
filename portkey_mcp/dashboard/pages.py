"""How every page is made: from a template, escaped, without script, and with headers that let it load nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.types import Scope

from portkey_mcp.addresses import SIGN_IN as SIGN_IN
from portkey_mcp.addresses import Addresses
from portkey_mcp.model import Directory, Principal

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    # Others learn no URL of ours. `no-referrer` would do that too, but makes browsers send `Origin: null` with our own
    # forms (Fetch, "append a request Origin header"), which then look like everybody else's.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}

AWAY: Final = {
    **HEADERS,
    "Content-Security-Policy": HEADERS["Content-Security-Policy"].replace(" form-action 'self';", ""),
}

STATIC: Final = Path(__file__).parent / "static"
FILES: Final = {"portkey.css": "text/css; charset=utf-8"}
"""What may be fetched below `/ui/static/`, and its type; nothing else there is looked for on the disk."""

_templates: Final = Environment(
    loader=PackageLoader("portkey_mcp.dashboard"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Site:
    """What all pages share, and how their answers are made.

    `local` is everybody, where nobody has to say who they are, else None. `address_of` tells where a request came from.
    Paths are those that the gateway serves: where its public URL has a path, that is put before them here.
    """

    addresses: Addresses
    directory: Callable[[], Directory]
    local: Principal | None = None
    address_of: Callable[[Scope], str] = lambda scope: ""

    @property
    def origin(self) -> str:
        """The public origin, which our own forms come from."""
        return self.addresses.origin

    def page(self, template: str, status: int = 200, *, leads_away: bool = False, **values: Any) -> HTMLResponse:
        """One page; `values` are what its template names, all of them escaped.

        `leads_away` is for a form whose answer may be a redirect to another site: browsers hold `form-action` against
        redirects, too, all the way (CSP3, section 4.2.5), and where an OAuth client sends people on nobody knows.
        """
        content = _templates.get_template(template).render(values, root=self.addresses.prefix)
        return HTMLResponse(content, status, AWAY if leads_away else HEADERS)

    def message(self, status: int, title: str, text: str, link: tuple[str, str] | None = None) -> HTMLResponse:
        """A page that says one thing; `link` is a path to go on to, and what that is called."""
        return self.page("message.html", status, title=title, text=text, link=link)

    def store_down(self, meanwhile: str) -> HTMLResponse:
        """The page for when the database does not answer; `meanwhile` says what that means, without a full stop."""
        text = f"The gateway cannot reach its records. {meanwhile}; try again soon."
        answer = self.message(503, "Not just now", text)
        answer.headers["Retry-After"] = "5"
        return answer

    def onward(self, path: str) -> RedirectResponse:
        """Send the browser to a path of ours, with a GET whatever it came with."""
        return RedirectResponse(f"{self.addresses.prefix}{path}", 303, HEADERS)


def away(url: str, status: int = 303) -> RedirectResponse:
    """Send the browser to another site, with a GET; it is told nothing of where from."""
    answer = RedirectResponse(url, status, {**AWAY, "Referrer-Policy": "no-referrer"})
    answer.headers["Location"] = url  # as it is: what was registered may not be written anew
    return answer


def files() -> APIRouter:
    """The route of the files that pages load."""
    router = APIRouter()
    contents = {name: (STATIC / name).read_bytes() for name in FILES}

    @router.get("/ui/static/{name}", include_in_schema=False)
    async def file(name: str) -> Response:
        if name not in contents:
            return Response(status_code=404, headers=HEADERS)
        kept = {**HEADERS, "Cache-Control": "public, max-age=300"}
        return Response(contents[name], headers=kept, media_type=FILES[name])

    return router
