"""The accounts that a person has at servers, as their page shows them, and disconnecting one."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from fastapi import APIRouter, Request, Response

from portkey_mcp.activity.acts import Act, Note, forgotten
from portkey_mcp.addresses import CONNECT
from portkey_mcp.approval.question import named
from portkey_mcp.dashboard.connect import state_of
from portkey_mcp.dashboard.forms import FRONT, fields, is_ours
from portkey_mcp.dashboard.pages import SIGN_IN, Site
from portkey_mcp.dashboard.signed_in import SignedIn
from portkey_mcp.errors import StoreDown
from portkey_mcp.model import Directory, McpServer, Principal
from portkey_mcp.vault.answering import host_of
from portkey_mcp.vault.connectable import connect_problem, is_shared, place_for, server_for
from portkey_mcp.vault.connecting import Connecting, Disconnected
from portkey_mcp.vault.connection import Place

DISCONNECT: Final = "/ui/accounts/disconnect"


class Account(NamedTuple):
    """An account at a server. `path` leads to where it is connected, empty where this person cannot do that.

    `verb` is what the way there is called; `can_end` says whether there is something that this person may disconnect.
    """

    key: str
    title: str
    workspace: str
    state: str
    path: str
    verb: str
    is_good: bool
    can_end: bool
    is_shared: bool


async def accounts_of(connecting: Connecting, directory: Directory, who: Principal) -> list[Account]:
    """The accounts at all servers that take one and exist for a person, and those of theirs elsewhere.

    Raises:
        StoreDown: nobody can say.
    """
    found = [await _account(connecting, directory, who, server) for server in _servers(directory, who)]
    shown = {one.key for one in found}
    # Who may not use a server any more can still take away what they left there.
    for left in await connecting.connections.of_subject(who.id):
        workspace, name, _ = left.place
        if (key := f"{workspace}/{name}") not in shown:
            found.append(_left(key, name, workspace))
    return found


def _left(key: str, name: str, workspace: str) -> Account:
    state = "not used: the server is not there for you"
    return Account(key, name, workspace, state, path="", verb="", is_good=False, can_end=True, is_shared=False)


def _servers(directory: Directory, who: Principal) -> Iterator[McpServer]:
    for slug, workspace in sorted(directory.workspaces.items()):
        for name in sorted(workspace.servers):
            if (server := server_for(directory, who, slug, name)) is not None:
                yield server


async def _account(connecting: Connecting, directory: Directory, who: Principal, server: McpServer) -> Account:
    connection, is_good = await connecting.connected(server, who)
    may = not connect_problem(who, server)
    return Account(
        key=server.key,
        title=named(server.title or server.name),
        workspace=named(directory.workspaces[server.workspace].name),
        state=state_of(connection, is_good),
        path=f"{CONNECT}{server.key}" if may else "",
        verb="Connect" if connection is None else "Connect again",
        is_good=is_good,
        can_end=may and connection is not None,
        is_shared=is_shared(server),
    )


def router(site: Site, signed_in: SignedIn, connecting: Connecting, note: Note = forgotten) -> APIRouter:
    """The route that disconnects an account: it is forgotten at once, and revoked where it came from, if possible."""

    async def disconnect(request: Request) -> Response:
        if not is_ours(request.headers, site.origin):
            text = "Accounts are disconnected on this gateway's own page."
            return site.message(403, "Not from here", text, (FRONT, "Your page"))
        form = await fields(request) or {}
        try:
            who = site.local or await signed_in.who(request)
            if who is None:
                return site.onward(SIGN_IN)
            place = _place(site.directory(), who, form.get("server", ""))
            ended = None if place is None else await connecting.disconnect(place)
        except StoreDown:
            return site.store_down("The account is still connected")
        if ended is None:
            return site.message(404, "Nothing to disconnect", "You have no account there.", (FRONT, "Your page"))
        note(disconnected(ended, who, site.address_of(request.scope)))
        return site.message(200, "Disconnected", _words(ended), (FRONT, "Your page"))

    routes = APIRouter(include_in_schema=False)
    routes.add_api_route(DISCONNECT, disconnect, methods=["POST"])
    return routes


def _place(directory: Directory, who: Principal, key: str) -> Place | None:
    """Whose account is meant: their own, or the workspace's where they may decide about that."""
    workspace, _, name = key.partition("/")
    server = server_for(directory, who, workspace, name)
    if server is None or not is_shared(server):
        return Place(workspace, name, who.id)
    return None if connect_problem(who, server) else place_for(server, who.id)


def disconnected(ended: Disconnected, who: Principal, address: str) -> Act:
    """What is remembered of it."""
    place = ended.connection.place
    revoked = {None: "nothing to revoke", True: "revoked", False: "not revoked"}[ended.revoked]
    detail = {"for": "one person" if place.subject else "the workspace", "at its issuer": revoked}
    return Act("disconnect", who, "", address, place.workspace, place.server, detail=detail)


def _words(ended: Disconnected) -> str:
    where = host_of(ended.connection.credential.issuer) or "the server"
    match ended.revoked:
        case True:
            more = f"It was revoked at {where}, too."
        case False:
            more = f"{where} could not be told: to end it there, too, take this gateway out of your settings there."
        case None:
            more = "Nothing had to be revoked elsewhere. A key that you entered is still good: end it where you got it."
            if ended.connection.credential.issuer:
                more = f"It had ended at {where} before."
    return f"This gateway has forgotten the account. {more}"
