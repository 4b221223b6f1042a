"""The apps that a person let in, as their page shows them, and ending one: `/ui/apps/end`."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from fastapi import APIRouter, Request, Response

from portkey_mcp.activity.acts import Act
from portkey_mcp.approval.question import named
from portkey_mcp.dashboard.forms import FRONT, fields, is_ours
from portkey_mcp.dashboard.pages import SIGN_IN, Site
from portkey_mcp.dashboard.signed_in import SignedIn
from portkey_mcp.errors import StoreDown
from portkey_mcp.oauth.grants import Grant
from portkey_mcp.oauth.server import OAuthServer

END: Final = "/ui/apps/end"


class App(NamedTuple):
    """One app at one place. `id` is that of its newest grant; `where` is `workspace` or `workspace/server`."""

    id: str
    name: str
    to: str
    where: str
    last_used: str


def apps_of(grants: Iterable[Grant]) -> list[App]:
    """Apps by the newest grant of each at each place: one that signs in anew gets another grant."""
    found: dict[tuple[str, str], Grant] = {}
    for one in grants:
        found.setdefault((one.granted.client, one.granted.reach), one)
    return [_app(one) for one in found.values()]


def _app(grant: Grant) -> App:
    granted, used = grant.granted, grant.last_used or grant.created
    shown = used.strftime("%d %B %Y, %H:%M UTC")
    return App(grant.id, named(granted.client_name), granted.redirect_host, granted.reach, shown)


def router(site: Site, signed_in: SignedIn, oauth: OAuthServer) -> APIRouter:
    """The route that ends an app: all its tokens at that place at once, and what need not be asked again."""

    async def end(request: Request) -> Response:
        if not is_ours(request.headers, site.origin):
            text = "Apps are ended on this gateway's own page."
            return site.message(403, "Not from here", text, (FRONT, "Your page"))
        form = await fields(request) or {}
        try:
            who = await signed_in.who(request)
            if who is None:
                return site.onward(SIGN_IN)
            ended = await oauth.grants.withdraw(who.id, form.get("app", ""))
        except StoreDown:
            return site.store_down("The app is still let in")
        if ended is not None:
            granted, address = ended.granted, site.address_of(request.scope)
            what = Act("revoke", who, "", address, granted.workspace, granted.client_name, client=granted.client)
            oauth.note(what)
        return site.onward(FRONT)

    routes = APIRouter(include_in_schema=False)
    routes.add_api_route(END, end, methods=["POST"])
    return routes
