"""A small OpenID provider that a test can bend: a real one over HTTP, which checks what a provider has to check.

Whoever comes to its authorization endpoint is `user` and agrees at once. Each `bend` changes one answer.
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.stories.gateway import serving

Json = dict[str, Any]
Bend = Callable[[Any], Any]

CLIENT, SECRET = "gateway", "a s3cret: with + and %"


def segment(part: Json) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def unsigned(claims: Json) -> str:
    """A token with `alg: none`."""
    return f"{segment({'alg': 'none', 'typ': 'JWT'})}.{segment(claims)}."


@cache
def own_key(kid: str) -> RSAKey:
    """A key of this id, the same each time: making one takes a while."""
    return RSAKey.generate_key(2048, {"kid": kid})


def another_key() -> RSAKey:
    """One that no provider publishes."""
    return own_key("another")


@dataclass
class SmallProvider:
    """`bends` by what they change: metadata, keys, response, claims, id_token, token, userinfo, status.

    `refresh` is the refresh token that it gives and takes, once each; empty: it gives none.
    """

    url: str = ""
    user: Json = field(default_factory=lambda: {"sub": "s-1", "email": "ann@example.com", "email_verified": True})
    in_token: tuple[str, ...] = ("email", "email_verified", "groups", "name")
    bends: dict[str, Bend] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    requests: list[Json] = field(default_factory=list)
    key: RSAKey = field(default_factory=lambda: own_key("k1"))
    codes: dict[str, Json] = field(default_factory=dict)
    nonce: str = ""
    refresh: str = ""

    def bent(self, what: str, value: Any) -> Any:
        self.asked.append(what)
        return self.bends.get(what, lambda same: same)(value)

    def public(self) -> Json:
        return {**self.key.as_dict(private=False), "use": "sig"}

    def signed(self, claims: Json, alg: str = "RS256", kid: str | None = None) -> str:
        return jwt.encode({"alg": alg, "kid": kid or self.key.kid}, claims, self.key, algorithms=[alg])

    def signed_with_public_key(self, claims: Json) -> str:
        """HS256 with the provider's public key as the secret: the confusion of algorithms."""
        head = f"{segment({'alg': 'HS256', 'kid': self.key.kid})}.{segment(claims)}"
        digest = hmac.new(self.key.as_pem(private=False), head.encode(), hashlib.sha256).digest()
        return f"{head}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"

    def claims(self, client: str, nonce: str) -> Json:
        now = int(time.time())
        base = {"iss": self.url, "aud": client, "iat": now, "exp": now + 300, "nonce": nonce, "sub": self.user["sub"]}
        return {**base, **{name: self.user[name] for name in self.in_token if name in self.user}}


@asynccontextmanager
async def small_provider(**given: Any) -> AsyncIterator[SmallProvider]:
    """Run one until the block ends."""
    made = SmallProvider(**given)
    async with serving(_app(made)) as made.url:
        yield made


def _app(of: SmallProvider) -> FastAPI:
    app = FastAPI()

    @app.get("/.well-known/openid-configuration")
    async def metadata() -> Response:
        document = {
            "issuer": of.url,
            "authorization_endpoint": f"{of.url}/authorize",
            "token_endpoint": f"{of.url}/token",
            "jwks_uri": f"{of.url}/jwks",
            "userinfo_endpoint": f"{of.url}/userinfo",
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        }
        answer = of.bent("metadata", document)
        return answer if isinstance(answer, Response) else JSONResponse(answer)

    @app.get("/authorize")
    async def authorize(request: Request) -> Response:
        asked = dict(request.query_params)
        of.requests.append(asked)
        code = secrets.token_urlsafe(8)
        of.codes[code] = asked
        response = of.bent("response", {"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(response)}", 303)

    @app.post("/token")
    async def token(request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        basic = base64.b64decode(request.headers.get("authorization", "").removeprefix("Basic ")).decode()
        if [unquote_plus(part) for part in basic.split(":")] != [CLIENT, SECRET]:
            return JSONResponse({"error": "invalid_client"}, 401)
        claims = _renewed(of, form) if form["grant_type"] == "refresh_token" else _claimed(of, form)
        if claims is None:
            return JSONResponse({"error": "invalid_grant"}, 400)
        id_token = of.bends.get("id_token", of.signed)(claims)
        tokens = {"access_token": "at", "token_type": "Bearer", "id_token": id_token}
        if of.refresh:
            tokens["refresh_token"] = of.refresh = secrets.token_urlsafe(8)
        answer = of.bent("token", tokens)
        return answer if isinstance(answer, Response) else JSONResponse(answer)

    @app.get("/jwks")
    async def jwks() -> Response:
        return JSONResponse(of.bent("keys", {"keys": [of.public()]}))

    @app.get("/userinfo")
    async def userinfo(request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer at"
        return JSONResponse(of.bent("userinfo", dict(of.user)))

    return app


def _claimed(of: SmallProvider, form: Json) -> Json | None:
    """What a code stands for; None for one that is no good."""
    asked = of.codes.pop(str(form.get("code")), None)
    digest = hashlib.sha256(str(form.get("code_verifier")).encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    if asked is None or (asked["code_challenge"], asked["redirect_uri"]) != (challenge, form["redirect_uri"]):
        return None
    of.nonce = asked["nonce"]
    claims: Json = of.bent("claims", of.claims(asked["client_id"], asked["nonce"]))
    return claims


def _renewed(of: SmallProvider, form: Json) -> Json | None:
    """The same for a refresh token: without a nonce."""
    if form["refresh_token"] != of.refresh:
        return None
    claims = of.claims(CLIENT, "")
    del claims["nonce"]
    renewed: Json = of.bent("renewed", claims)
    return renewed
