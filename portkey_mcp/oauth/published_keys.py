"""The gateway's JWK set at `/.well-known/jwks.json`: servers that are told who calls check that by it (RFC 7517).

A route of its own, since there are such servers under `auth: none`, too, where there is no OAuth server.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from portkey_mcp.errors import StoreDown
from portkey_mcp.oauth.answers import nothing_here, preflight, public, refused
from portkey_mcp.oauth.server import OAuthServer
from portkey_mcp.wire import Json

PATH: Final = "/.well-known/jwks.json"

Keys = Callable[[], Awaitable[Json]]
"""The public halves of the keys that the gateway signs with, as a JWK set. Raises StoreDown."""

HELD: Final = 300
"""Seconds that others may hold the set: less than a further key is published before it signs."""


def router(server: OAuthServer, keys: Keys) -> APIRouter:
    """The route, to be mounted before those of `endpoints.py`, which answer everything else below `/.well-known/`."""

    async def published(request: Request) -> Response:
        if server.is_silent(request.headers.get("host", "")):
            return nothing_here()
        if request.method == "OPTIONS":
            return preflight()
        try:
            found = await keys()
        except StoreDown as error:
            return refused(error)
        # The first key signs as soon as it is made: that there was none is not to be remembered.
        return public(found, HELD if found["keys"] else 0)

    routes = APIRouter(include_in_schema=False)
    routes.add_api_route(PATH, published, methods=["GET", "HEAD", "OPTIONS"])
    return routes
