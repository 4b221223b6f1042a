"""`/connect/{workspace}/{server}`: a person connects their account at a server; `/oauth/callback`: they come back.

Nobody is sent to an authorization server but by a click on this page, which says first where that is and what will be
asked for; were that another answer by the time of the click, it is shown once more (B1). Looking changes nothing. A
server that somebody may not use is not there for them.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from portkey_mcp.activity.acts import Act, Note, forgotten
from portkey_mcp.addresses import CONNECT
from portkey_mcp.approval.question import named
from portkey_mcp.dashboard.forms import AUTHORIZE, FRONT, fields, is_ours, own_path
from portkey_mcp.dashboard.pages import SIGN_IN, Site, away
from portkey_mcp.dashboard.signed_in import SignedIn
from portkey_mcp.errors import Mistake, NotFetched, ProviderDown, StoreDown
from portkey_mcp.model import McpServer, Principal
from portkey_mcp.proof import OwnHeadersAuth
from portkey_mcp.vault.answering import NotConnected
from portkey_mcp.vault.asked import ASKED, ConnectLinks
from portkey_mcp.vault.clients import CALLBACK, DOCUMENT, client_document
from portkey_mcp.vault.connectable import connect_problem, is_shared, rules, server_for
from portkey_mcp.vault.connecting import Connecting
from portkey_mcp.vault.connection import Connection
from portkey_mcp.vault.entering import NotEntered, asked_for
from portkey_mcp.vault.prospect import Prospect

DONE: Final = "done"
ENTER: Final = "enter."
"""How the names of fields begin that hold what a person enters, so that none of ours is meant."""

CHANGED: Final = "Where this leads, or what is asked for, changed meanwhile. Look at it once more."
NOT_NOW: Final = "Nothing was connected"


def router(
    site: Site, signed_in: SignedIn, connecting: Connecting, links: ConnectLinks, note: Note = forgotten
) -> APIRouter:
    """The routes of the page, and of the way back from authorization servers."""
    desk = _Desk(site, signed_in, connecting, links, note)
    routes = APIRouter(include_in_schema=False)
    routes.add_api_route(f"{CONNECT}{{workspace}}/{{server}}", desk.show, methods=["GET"])
    routes.add_api_route(f"{CONNECT}{{workspace}}/{{server}}", desk.begin, methods=["POST"])
    routes.add_api_route(CALLBACK, desk.finish, methods=["GET"])
    routes.add_api_route(DOCUMENT, desk.document, methods=["GET"])
    return routes


class _Visit(NamedTuple):
    """A person at the page of a server. `said` are the parameters or fields that came: `next`, `asked` and others."""

    who: Principal
    server: McpServer
    said: Mapping[str, str]

    @property
    def onto(self) -> str:
        """Where they want to go on to; empty where they did not say."""
        return own_path(self.said["next"]) if self.said.get("next") else ""

    @property
    def path(self) -> str:
        return f"{CONNECT}{self.server.key}"

    @property
    def rules(self) -> bool:
        return rules(self.who, self.server.workspace)


class _Desk:
    """Answers the requests of these routes."""

    def __init__(
        self, site: Site, signed_in: SignedIn, connecting: Connecting, links: ConnectLinks, note: Note
    ) -> None:
        self._site = site
        self._signed_in = signed_in
        self._connecting = connecting
        self._links = links
        self._note = note

    async def show(self, workspace: str, server: str, request: Request) -> Response:
        """What would be connected, where that leads, and what there is now."""
        try:
            visit = await self._visit(request, f"{workspace}/{server}".lower(), request.query_params)
            if isinstance(visit, Response):
                return visit
            if DONE in visit.said and (await self._connecting.connected(visit.server, visit.who))[1]:
                return self._done(visit)
            return await self._page(visit)
        except StoreDown:
            return self._site.store_down(NOT_NOW)

    async def begin(self, workspace: str, server: str, request: Request) -> Response:
        """Send the browser on, or keep what was entered."""
        if not is_ours(request.headers, self._site.origin):
            text = "Connecting an account counts only when it is done on this gateway's own page."
            return self._site.message(403, "Not from here", text)
        form = await fields(request)
        if form is None:
            return self._site.message(
                400, "Not understood", "That was not the form of this page. Go back and try again."
            )
        try:
            visit = await self._visit(request, f"{workspace}/{server}".lower(), form)
            if isinstance(visit, Response):
                return visit
            if isinstance(visit.server.auth, OwnHeadersAuth):
                return await self._enter(request, visit)
            return await self._send(visit)
        except NotConnected as refusal:
            return self._site.message(403, NOT_NOW, refusal.text, (FRONT, "Your page"))
        except StoreDown:
            return self._site.store_down(NOT_NOW)

    async def finish(self, request: Request) -> Response:
        """Take in who comes back from an authorization server."""
        pairs = request.query_params.multi_items()
        if len(pairs) != len(dict(pairs)):  # nobody can say which of two counts (RFC 6749, section 4.1.2)
            return self._site.message(400, "Not understood", "That answer says something twice, so it was not used.")
        try:
            who = self._site.local or await self._signed_in.who(request)
            try:
                finished = await self._connecting.finish(who, dict(pairs))
            except NotConnected as refusal:
                return self._refused(request, who, refusal)
        except StoreDown:
            return self._site.store_down(NOT_NOW)
        self._connected(request, who, finished.connection)
        place = finished.connection.place
        return self._site.onward(finished.onto or f"{CONNECT}{place.workspace}/{place.server}?{DONE}=1")

    async def document(self) -> Response:
        """Which client the gateway is, for authorization servers that look it up (A21); they need https for that."""
        kept = {"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}
        return JSONResponse(client_document(self._site.addresses), headers=kept)

    async def _visit(self, request: Request, key: str, said: Mapping[str, str]) -> _Visit | Response:
        """Who is at the page of which server; or what they get instead."""
        who = self._site.local or await self._signed_in.who(request)
        if who is None:
            kept = {name: said[name] for name in ("next", ASKED) if said.get(name)}
            return self._site.onward(f"{SIGN_IN}?{urlencode({'next': _with(f'{CONNECT}{key}', kept)})}")
        workspace, _, name = key.partition("/")
        server = server_for(self._site.directory(), who, workspace, name)
        if server is None:
            text = "There is no server here at which you could connect an account, or you may not use it."
            return self._site.message(404, "Nothing here", text, (FRONT, "Your page"))
        visit = _Visit(who, server, said)
        return self._wrong_link(visit) or visit

    def _wrong_link(self, visit: _Visit) -> Response | None:
        """What somebody gets for whom the link was not made that they opened; None where all is well."""
        if not visit.said.get(ASKED):
            return None
        asked = self._links.opened(visit.server, visit.said[ASKED])
        anew = _with(visit.path, {"next": visit.onto} if visit.onto else {})
        if asked is None:
            text = "This link is incomplete, or was not made by this gateway."
            return self._site.message(400, "Not a link of ours", text, (anew, "Connect an account all the same"))
        if asked.principal != visit.who.id:
            text = f"This link was made for somebody else who called. You are signed in as {named(visit.who.name)}."
            again = _with(visit.path, {name: visit.said[name] for name in ("next", ASKED) if visit.said.get(name)})
            link = (f"{SIGN_IN}?{urlencode({'next': again})}", "Sign in as somebody else")
            return self._site.message(403, "Not your link", text, link)
        if not asked.is_good:
            text = "This link was made more than a day ago. The account may be connected since."
            return self._site.message(410, "An old link", text, (anew, "Look at the account"))
        return None

    async def _send(self, visit: _Visit) -> Response:
        """Send the browser to the authorization server, if that is still the one which was shown."""
        if problem := connect_problem(visit.who, visit.server):
            raise NotConnected(problem)
        try:
            prospect = await self._connecting.look(visit.server, visit.who)
            if visit.said.get("shown") != prospect.digest:
                return await self._page(visit, 409, CHANGED)
            return away(await self._connecting.begin(prospect, visit.who, visit.onto))
        except (Mistake, ProviderDown, NotFetched) as error:
            return await self._page(visit, 502, trouble=error)

    async def _enter(self, request: Request, visit: _Visit) -> Response:
        given = {name.removeprefix(ENTER): value for name, value in visit.said.items() if name.startswith(ENTER)}
        try:
            connection = await self._connecting.enter(visit.server, visit.who, given)
        except NotEntered as wrong:
            return await self._page(visit, 400, "Not all of that can be sent to the server.", problems=wrong.problems)
        except Mistake as error:
            return await self._page(visit, 502, trouble=error)
        self._connected(request, visit.who, connection)
        return self._site.onward(visit.onto or f"{visit.path}?{DONE}=1")

    async def _page(
        self,
        visit: _Visit,
        status: int = 200,
        error: str = "",
        *,
        problems: Mapping[str, str] | None = None,
        trouble: Exception | None = None,
    ) -> Response:
        server, auth, problem = visit.server, visit.server.auth, connect_problem(visit.who, visit.server)
        connection, is_good = await self._connecting.connected(server, visit.who)
        prospect: Prospect | None = None
        if not isinstance(auth, OwnHeadersAuth) and not problem and trouble is None:
            try:
                prospect = await self._connecting.look(server, visit.who)
            except (Mistake, ProviderDown, NotFetched) as failed:
                trouble, status = failed, 502
        asks = asked_for(auth) if isinstance(auth, OwnHeadersAuth) and not problem else {}
        values: dict[str, Any] = {
            "title": named(server.title or server.name),
            "name": server.name,
            "workspace": named(self._site.directory().workspaces[server.workspace].name),
            "who": "" if self._site.local else named(visit.who.name),
            "is_shared": is_shared(server),
            "state": state_of(connection, is_good),
            "is_good": is_good,
            "wanted": connection.wanted if connection is not None and prospect is not None else (),
            "prospect": prospect,
            "asks": [(name, label, (problems or {}).get(name, "")) for name, label in asks.items()],
            "problem": problem,
            "error": error,
            "trouble": _told(trouble, is_admin=visit.rules),
            "hidden": {name: visit.said[name] for name in ("next", ASKED) if visit.said.get(name)},
            "path": visit.path,
            "onto": visit.onto,
        }
        leads_away = prospect is not None or visit.onto.startswith(AUTHORIZE)
        return self._site.page("connect.html", status, leads_away=leads_away, **values)

    def _done(self, visit: _Visit) -> Response:
        whose = "All of the workspace use it" if is_shared(visit.server) else "Only your own calls use it"
        text = (
            f"The account at {named(visit.server.title or visit.server.name)} is connected. {whose}. "
            "Go back to your app and let it try again; you can close this page."
        )
        return self._site.message(200, "Connected", text, (FRONT, "Your accounts"))

    def _refused(self, request: Request, who: Principal | None, refusal: NotConnected) -> Response:
        place, link = refusal.place, (FRONT, "Your page")
        workspace, subject = (place.workspace, place.server) if place is not None else ("", "")
        self._note(
            Act("connect", who, "", self._site.address_of(request.scope), workspace, subject, "refused", refusal.text)
        )
        if place is not None:
            there = f"{CONNECT}{workspace}/{subject}"
            link = (_with(there, {"next": refusal.onto} if refusal.onto else {}), "Try again")
        text = refusal.text
        if refusal.hint and who is not None and rules(who, workspace):
            text = f"{text} {refusal.hint}"
        return self._site.message(403, NOT_NOW, text, link)

    def _connected(self, request: Request, who: Principal | None, connection: Connection) -> None:
        place = connection.place
        whose = "one person" if place.subject else "the workspace"
        detail = {
            "for": whose,
            "issuer": connection.credential.issuer,
            "scopes": " ".join(connection.credential.scopes),
        }
        said = {name: value for name, value in detail.items() if value}
        address = self._site.address_of(request.scope)
        self._note(Act("connect", who, "", address, place.workspace, place.server, detail=said))


def state_of(connection: Connection | None, is_good: bool) -> str:
    """How an account is, for a person."""
    if connection is None:
        return "not connected"
    if is_good:
        return f"connected since {connection.created.strftime('%d %B %Y')}"
    if connection.state == "ended":
        return f"ended: {connection.why}" if connection.why else "ended"
    return "to be connected again: the server is not what it was"


def _told(trouble: Exception | None, *, is_admin: bool) -> str:
    """What is said of a way that cannot be found. What it tells of this network or of settings is for admins."""
    match trouble:
        case None:
            return ""
        case ProviderDown():
            return str(trouble)
        case NotFetched() if is_admin or not trouble.inside:
            return f"The server's authorization server cannot be asked: {trouble}."
        case Mistake() if is_admin:
            return f"Something has to be set up first: {trouble}."
        case Mistake():
            return "Something has to be set up first. Tell an owner or admin of the workspace that this page says so."
        case _:
            return "The server's authorization server cannot be asked. An owner or admin of the workspace sees why."


def _with(path: str, parameters: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(parameters, quote_via=quote, safe='')}" if parameters else path
