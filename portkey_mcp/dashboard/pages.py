"""How every page is made: from a template, escaped, without script, and with headers that let it load nothing else."""

from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

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

SIGN_IN: Final = "/ui/sign-in"
"""Where one signs in; with `?next=` and a path, one goes on there afterwards."""

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


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """One page; `values` are what its template names, all of them escaped."""
    return HTMLResponse(_templates.get_template(template).render(values), status, HEADERS)


def message(status: int, title: str, text: str, link: tuple[str, str] | None = None) -> HTMLResponse:
    """A page that says one thing; `link` is a path to go on to, and what that is called."""
    return page("message.html", status, title=title, text=text, link=link)


def store_down(meanwhile: str) -> HTMLResponse:
    """The page for when the database does not answer; `meanwhile` says what that means here, without a full stop."""
    answer = message(503, "Not just now", f"The gateway cannot reach its records. {meanwhile}; try again soon.")
    answer.headers["Retry-After"] = "5"
    return answer


def onward(path: str) -> RedirectResponse:
    """Send the browser to a page of ours, with a GET whatever it came with; `path` is one of ours already."""
    return RedirectResponse(path, 303, HEADERS)


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
