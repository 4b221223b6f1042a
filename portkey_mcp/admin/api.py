"""The routes of the API, below `/api/v1`, and their OpenAPI document."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import anyio
import anyio.to_thread
from fastapi import APIRouter, Depends, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.routing import BaseRoute
from starlette.types import Scope

from portkey_mcp import __version__
from portkey_mcp.activity.acts import Note, forgotten
from portkey_mcp.admin.approvals import ApprovalsDesk
from portkey_mcp.admin.audit import AuditDesk
from portkey_mcp.admin.connections import ConnectionsDesk
from portkey_mcp.admin.definitions import DefinitionsDesk
from portkey_mcp.admin.desk import Authenticate, Desk
from portkey_mcp.admin.explain import ExplainDesk
from portkey_mcp.admin.failing import NO_STORE, Failure, failure
from portkey_mcp.admin.grants import GrantsDesk
from portkey_mcp.admin.invitations import InvitationsDesk
from portkey_mcp.admin.keys import KeysDesk
from portkey_mcp.admin.limits import LimitsDesk
from portkey_mcp.admin.people import PeopleDesk
from portkey_mcp.admin.policy import PolicyDesk
from portkey_mcp.admin.visiting import Services
from portkey_mcp.errors import NotFound
from portkey_mcp.identity.authenticate import API_KEY_HEADER
from portkey_mcp.model import Directory
from portkey_mcp.wire import dumps

__all__ = ["Services", "router"]

PREFIX: Final = "/api/v1"
DOCUMENT: Final = f"{PREFIX}/openapi.json"

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

ABOUT: Final = """\
What a gateway's command line does, over HTTP. Who asks is told by `Authorization: Bearer <API key>` or
`x-portkey-api-key: <API key>`; a workspace in which that key has no role does not exist for it. Requests that change
something are JSON and say so in `Content-Type`; from a browser they come from the gateway's own origin."""

_FAILURES: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"model": Failure, "description": "Refused; nothing was changed."},
    503: {"model": Failure, "description": "The store cannot be reached; try again after `Retry-After`."},
}


def router(
    services: Services,
    authenticate: Authenticate,
    directory: Callable[[], Directory],
    origin: str,
    address_of: Callable[[Scope], str] = lambda scope: "",
    note: Note = forgotten,
) -> APIRouter:
    """All routes.

    `origin` is the gateway's public one; `directory` the snapshot that it serves; `address_of` tells where a request
    comes from, empty where nobody can say; `note` hears whose credential came, and whose was refused.
    """
    desk = Desk(authenticate, directory, origin, address_of, note)
    routes = APIRouter(
        prefix=PREFIX,
        route_class=desk.route(),
        responses=_FAILURES,
        dependencies=[Depends(scheme) for scheme in _schemes()],  # for the document; `desk` decides
        generate_unique_id_function=lambda route: route.name,
    )
    for path, method, endpoint in _table(services):
        routes.add_api_route(f"/workspaces/{{workspace}}{path}", endpoint, methods=[method])
    routes.add_route(DOCUMENT, _Document(list(routes.routes)).answer, include_in_schema=False)
    routes.add_route(f"{PREFIX}/{{rest:path}}", _unknown, methods=list(METHODS), include_in_schema=False)
    return routes


def _table(services: Services) -> list[tuple[str, str, Callable[..., Any]]]:
    """Path below a workspace, method, and who answers."""
    policy, definitions, approvals = PolicyDesk(services), DefinitionsDesk(services), ApprovalsDesk(services)
    people, invitations, keys = PeopleDesk(services), InvitationsDesk(services), KeysDesk(services)
    grants, connections = GrantsDesk(services), ConnectionsDesk(services)
    return [
        ("/people", "GET", people.list_people),
        ("/people", "POST", people.add_person),
        ("/people/{person}", "PATCH", people.change_person),
        ("/people/{person}", "DELETE", people.remove_person),
        ("/invitations", "GET", invitations.list_invitations),
        ("/invitations", "POST", invitations.invite),
        ("/invitations/{ident}", "DELETE", invitations.take_invitation_back),
        ("/keys", "GET", keys.list_keys),
        ("/keys", "POST", keys.create_key),
        ("/keys/{ident}", "DELETE", keys.revoke_key),
        ("/grants", "GET", grants.list_grants),
        ("/grants/{ident}", "DELETE", grants.end_grant),
        ("/connections", "GET", connections.list_connections),
        ("/connections/{server}/{subject}", "DELETE", connections.remove_connection),
        ("/policy", "GET", policy.read_policy),
        ("/policy", "PUT", policy.save_policy),
        ("/policy", "PATCH", policy.change_policy),
        ("/policy/versions", "GET", policy.list_policy_versions),
        ("/policy/versions/{number}", "GET", policy.read_policy_version),
        ("/policy/rollback", "POST", policy.roll_back_policy),
        ("/policy/check", "POST", policy.check_policy),
        ("/explain", "GET", ExplainDesk(services).explain),
        ("/limits", "GET", LimitsDesk(services).read_limits),
        ("/definitions", "GET", definitions.list_definitions),
        ("/definitions/{server}/{name:path}", "GET", definitions.read_definition),
        ("/definitions/{server}/{name:path}", "POST", definitions.decide_definition),
        ("/approvals", "GET", approvals.list_approvals),
        ("/approvals/{ident}", "GET", approvals.read_approval),
        ("/approvals/{ident}", "POST", approvals.decide_approval),
        ("/audit", "GET", AuditDesk(services).list_acts),
    ]


def _schemes() -> tuple[HTTPBearer, APIKeyHeader]:
    return HTTPBearer(auto_error=False), APIKeyHeader(name=API_KEY_HEADER, auto_error=False)


class _Document:
    """The OpenAPI document of these routes. Made when it is first asked for: it costs half of a gateway's start."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = routes
        self._making = anyio.Lock()
        self._made = b""

    async def answer(self, _: Request) -> Response:
        """As a route."""
        async with self._making:
            if not self._made:
                self._made = await anyio.to_thread.run_sync(self._make)
        return Response(self._made, headers=NO_STORE, media_type="application/json")

    def _make(self) -> bytes:
        return dumps(get_openapi(title="portkey-mcp", version=__version__, description=ABOUT, routes=self._routes))


async def _unknown(request: Request) -> Response:
    """What every other path and method below gets: never a redirect, which would cost a client its credential."""
    return failure(NotFound(f"There is no {request.method} {request.url.path} in this API; see {DOCUMENT}."))
