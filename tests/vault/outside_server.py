"""An MCP server that wants tokens, and its authorization server, over real HTTP: what they say is for a test to set.

Documents are by path; a path with none answers 404. It writes down what it is asked, so that tests can say in what
order and how often that is.
"""

import ipaddress
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from portkey_mcp.egress import Egress
from portkey_mcp.vault.reaching import Reaching
from portkey_mcp.wire import Json
from tests.stories.gateway import serving

LOCAL = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


def reaching(*networks: Any) -> Reaching:
    """A gateway's reach whose administrator allows this machine."""
    return Reaching(Egress(), lambda: networks or LOCAL)


@dataclass
class Heard:
    """One request. `form` is its body as a form, `body` as JSON, whichever it is."""

    method: str
    path: str
    headers: dict[str, str]
    form: dict[str, str] = field(default_factory=dict)
    body: Any = None


Answer = Response | Json | Callable[[Heard], Response | Json]


@dataclass
class OutsideServer:
    """Both. `url` is that of the MCP server, `origin` that of the authorization server; `challenge` what a request
    without a token is told.
    """

    origin: str = ""
    url: str = ""
    challenge: str = "Bearer"
    answers: dict[str, Answer] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """What was asked, in order, but for the MCP server itself."""
        return [one.path for one in self.heard if one.path != "/mcp"]

    def metadata(self, issuer: str = "", **other: Any) -> Json:
        """Good metadata of an authorization server, with other members; None leaves one out."""
        good = {
            "issuer": issuer or self.origin,
            "authorization_endpoint": f"{self.origin}/authorize",
            "token_endpoint": f"{self.origin}/token",
            "registration_endpoint": f"{self.origin}/register",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        }
        return {name: value for name, value in {**good, **other}.items() if value is not None}

    def resource(self, **other: Any) -> Json:
        """Good metadata of the MCP server."""
        return {"resource": self.url, "authorization_servers": [self.origin], **other}

    def serve(self, resource: Json | None = None, metadata: Json | None = None) -> None:
        """Both documents at their usual places."""
        self.answers["/.well-known/oauth-protected-resource/mcp"] = resource or self.resource()
        self.answers["/.well-known/oauth-authorization-server"] = metadata or self.metadata()

    def application(self) -> FastAPI:
        """What it answers."""
        app = FastAPI(openapi_url=None)

        @app.api_route("/{path:path}", methods=["GET", "POST"])
        async def answer(path: str, request: Request) -> Response:
            heard = Heard(request.method, f"/{path}", dict(request.headers))
            if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
                heard.form = {name: str(value) for name, value in (await request.form()).items()}
            elif body := await request.body():
                heard.body = json.loads(body)
            self.heard.append(heard)
            found = self.answers.get(heard.path)
            if found is None and heard.path == "/mcp":
                return Response(status_code=401, headers={"WWW-Authenticate": self.challenge})
            if found is None:
                return JSONResponse({"detail": "Not Found"}, 404)
            said = found(heard) if callable(found) and not isinstance(found, Response) else found
            return said if isinstance(said, Response) else JSONResponse(said)

        return app


@asynccontextmanager
async def outside_server() -> AsyncIterator[OutsideServer]:
    """Run one until the block ends."""
    made = OutsideServer()
    async with serving(made.application()) as origin:
        made.origin, made.url = origin, f"{origin}/mcp"
        yield made
