"""The front page, `/ui/`: who is signed in, what they may do where, their accounts at servers, their apps."""

from typing import Final, NamedTuple

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from portkey_mcp.approval.question import named
from portkey_mcp.dashboard.accounts import accounts_of
from portkey_mcp.dashboard.apps import apps_of
from portkey_mcp.dashboard.forms import FRONT
from portkey_mcp.dashboard.pages import SIGN_IN, Site
from portkey_mcp.dashboard.signed_in import SignedIn
from portkey_mcp.errors import StoreDown
from portkey_mcp.identity.sessions import BrowserSession
from portkey_mcp.model import Directory, Principal
from portkey_mcp.oauth.grants import Grants
from portkey_mcp.vault.connecting import Connecting

BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone", "an iPhone"),
    ("iPad", "an iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
"""What browsers call themselves, and what people call them. The first that is found counts: most claim to be others."""


class _Place(NamedTuple):
    name: str
    slug: str
    role: str


class _Browser(NamedTuple):
    agent: str
    address: str
    last_seen: str
    is_this: bool


def router(site: Site, signed_in: SignedIn, grants: Grants, connecting: Connecting | None = None) -> APIRouter:
    """The route of the front page. `grants` are what apps were allowed; `connecting` knows accounts, if any."""
    local = site.local

    async def show(request: Request) -> Response:
        try:
            principal = local or await signed_in.who(request)
            if principal is None:
                return site.onward(SIGN_IN)
            sessions = [] if local else await signed_in.sessions(request, principal)
            apps = [] if local else apps_of(await grants.of_person(principal.id))
            accounts = await accounts_of(connecting, site.directory(), principal) if connecting else []
        except StoreDown:
            return site.store_down("Nothing can be shown")
        return site.page(
            "front.html",
            who=named(principal.name),
            is_local=local is not None,
            places=_places(principal, site.directory()),
            accounts=accounts,
            apps=apps,
            browsers=[_browser(one) for one in sessions],
        )

    async def without_slash() -> Response:
        return site.onward(FRONT)

    routes = APIRouter(include_in_schema=False)
    routes.add_api_route(FRONT, show, methods=["GET"], response_class=HTMLResponse)
    routes.add_api_route(FRONT.rstrip("/"), without_slash, methods=["GET"], response_class=HTMLResponse)
    return routes


def _places(principal: Principal, directory: Directory) -> list[_Place]:
    """The workspaces that exist for somebody, by name."""
    roles = ((workspace, principal.role_in(slug)) for slug, workspace in directory.workspaces.items())
    found = [_Place(named(workspace.name), workspace.slug, role) for workspace, role in roles if role is not None]
    return sorted(found, key=lambda place: (place.name.casefold(), place.slug))


def _browser(session: BrowserSession) -> _Browser:
    seen = session.last_seen.strftime("%d %B %Y, %H:%M UTC")
    return _Browser(_called(session.agent), session.address, seen, session.is_this)


def _called(agent: str) -> str:
    """A browser as a person would call it; in its own words where it is none of the usual ones."""
    browser = next((name for sign, name in BROWSERS if sign in agent), "")
    system = next((name for sign, name in SYSTEMS if sign in agent), "")
    if browser and system:
        return f"{browser} on {system}"
    return browser or named(agent) or "A browser that tells nothing of itself"
