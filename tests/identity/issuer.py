"""An identity provider of the tests' own, over real HTTP: metadata, a key set that rotates, introspection.

It counts what it is asked, so that tests can say how often that is.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from portkey_mcp.identity.signed import ALGORITHMS, _Registry
from portkey_mcp.trust import TrustedIssuer
from portkey_mcp.wire import Json
from tests.stories.gateway import serving

AUDIENCE = "https://gateway.example"
CLIENT, SECRET = "gateway:1", "a/secret of %"

RSA = {name: RSAKey.generate_key(2048, {"kid": name}) for name in ("first", "second")}
"""Made once: that takes a while."""


def key(algorithm: str, kid: str = "first") -> Key:
    """A key for an algorithm."""
    if ALGORITHMS[algorithm] == "RSA":
        return RSA[kid]
    if ALGORITHMS[algorithm] == "EC":
        return ECKey.generate_key({"ES256": "P-256", "ES384": "P-384"}[algorithm], {"kid": kid})
    return OKPKey.generate_key("Ed25519", {"kid": kid})


def signed(claims: Json, by: Key = RSA["first"], **header: Any) -> str:
    """A token with these claims; `header` may say anything."""
    return jwt.encode(
        {"alg": "RS256", "kid": by.kid, **header}, claims, by, registry=_Registry(strict_check_header=False)
    )


@dataclass
class Issuer:
    """A provider. `url` is its issuer; what is in `public` is its key set, `active` what it vouches for.

    `broken` makes it answer 500; `odd` are answers of its own to some paths.
    """

    url: str = ""
    public: list[Json] = field(default_factory=lambda: [RSA["first"].as_dict(private=False)])
    active: dict[str, Json] = field(default_factory=dict)
    broken: bool = False
    odd: dict[str, Any] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    credentials: list[str] = field(default_factory=list)

    def claims(self, **other: Any) -> Json:
        """The claims of a good token, with other ones; None leaves one out."""
        now = int(time.time())
        good = {"iss": self.url, "sub": "robot", "aud": AUDIENCE, "iat": now, "exp": now + 600, "client_id": "ci"}
        return {name: value for name, value in {**good, **other}.items() if value is not None}

    def token(self, by: Key = RSA["first"], header: Json | None = None, **other: Any) -> str:
        """A good token, with other claims."""
        return signed(self.claims(**other), by, **{"typ": "at+jwt", **(header or {})})

    def trusted(self, **other: Any) -> TrustedIssuer:
        """How a gateway trusts it."""
        return TrustedIssuer(**{"issuer": self.url, "audience": AUDIENCE, "workspace": "team", **other})

    def introspecting(self, **other: Any) -> TrustedIssuer:
        """The same, asking it about each token."""
        asks = {"introspection_url": f"{self.url}/introspect", "client_id": CLIENT, "client_secret": SECRET}
        return self.trusted(**{**asks, **other})

    def application(self) -> FastAPI:
        """What it answers."""
        app = FastAPI(openapi_url=None)

        @app.api_route("/{path:path}", methods=["GET", "POST"])
        async def answer(path: str, request: Request) -> Response:
            self.asked[path] += 1
            if self.broken:
                return Response("<h1>oh dear</h1>", 500)
            if path in self.odd:
                found = self.odd[path]
                return found if isinstance(found, Response) else JSONResponse(found)
            match path.rpartition("/")[2]:
                case "openid-configuration":
                    return JSONResponse({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})
                case "keys":
                    return JSONResponse({"keys": self.public})
                case "introspect":
                    self.credentials.append(request.headers.get("authorization", ""))
                    form = await request.form()
                    return JSONResponse(self.active.get(str(form["token"]), {"active": False}))
            return JSONResponse({"detail": "Not Found"}, 404)

        return app


@asynccontextmanager
async def issuer(path: str = "") -> AsyncIterator[Issuer]:
    """Run one until the block ends; `path` is that of its URL."""
    made = Issuer()
    async with serving(made.application()) as origin:
        made.url = origin + path
        yield made
