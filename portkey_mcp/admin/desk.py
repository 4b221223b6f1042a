"""Who asks the API, and in what role: what every request passes before anybody answers it.

The order is that of the least harm: where a request comes from, who sends it, whether the workspace exists for them,
and only then is its body read. Fails closed: what does not clearly come from somebody with a role there changes nothing
and learns nothing.
"""

import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import OperationalError
from starlette.requests import ClientDisconnect
from starlette.types import Scope

from portkey_mcp.activity.acts import Act, Note, forgotten
from portkey_mcp.admin.failing import NO_STORE, Malformed, NotJson, TooLarge, failure
from portkey_mcp.errors import Forbidden, NotFound, PortkeyError, Unauthenticated
from portkey_mcp.identity.authenticate import API_KEY_HEADER
from portkey_mcp.model import Directory, Principal, Role
from portkey_mcp.wire import MalformedJson, loads

Authenticate = Callable[[Mapping[str, str]], Awaitable[Principal]]
"""Whose headers these are; raises Unauthenticated where that is nobody."""

LARGEST_BODY: Final = 1_000_000
"""Bytes: a policy document of the largest size, nearly, and nothing else is as long."""

READING: Final = ("GET", "HEAD")
BODILESS: Final = "DELETE"
"""Changes something and says nothing more."""


class Body(BaseModel):
    """What a request may say. Unknown members are refused: one that silently does nothing is a trap."""

    model_config = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, about which workspace, in what role there; `address` is empty where nobody can say."""

    principal: Principal
    workspace: str
    role: Role
    address: str = ""

    @property
    def rules(self) -> bool:
        """Whether this is an owner or admin of the workspace."""
        return self.role in ("owner", "admin")

    @property
    def who(self) -> str:
        """For the history: the name for people, the id since a name can be given twice."""
        return f"{self.principal.name} ({self.principal.id})"

    def must_rule(self, what: str) -> None:
        """Refuse whoever is no owner or admin; `what` is what they wanted.

        Raises:
            Forbidden: in words.
        """
        if not self.rules:
            raise Forbidden(
                f"To {what} takes the role owner or admin in workspace {self.workspace!r}; yours is {self.role}."
            )

    def must_take_part(self, what: str) -> None:
        """Refuse whoever only looks on; `what` is what they wanted.

        Raises:
            Forbidden: in words.
        """
        if self.role == "viewer":
            raise Forbidden(f"To {what} takes the role member in workspace {self.workspace!r}; yours is viewer.")


def asker_of(request: Request) -> Asker:
    """Who asks; `Desk` has found out."""
    asker: Asker = request.state.asker
    return asker


Asking = Annotated[Asker, Depends(asker_of)]


class Desk:
    """Lets requests in, and turns every refusal into an answer. `origin` is the gateway's public one."""

    def __init__(
        self,
        authenticate: Authenticate,
        directory: Callable[[], Directory],
        origin: str,
        address_of: Callable[[Scope], str],
        note: Note = forgotten,
    ) -> None:
        self._authenticate = authenticate
        self._directory = directory
        self._origin = origin
        self._address_of = address_of
        self._note = note

    async def admit(self, request: Request) -> Request:
        """The request, read, with its `Asker`.

        Raises:
            Refusal: it comes from elsewhere, from nobody, or is about what does not exist for its sender.
        """
        changes = request.method not in READING
        if changes:
            self._refuse_foreign(request)
        slug, address = request.path_params["workspace"], self._address_of(request.scope)
        principal = await self._known(request.headers, slug, address)
        role = principal.role_in(slug)
        if role is None or slug not in self._directory().workspaces:
            raise no_workspace(slug)
        _refuse_narrow(principal)
        if principal.kind != "local":
            subject = principal.credential or principal.id
            self._note(Act("key_used", principal, address=address, workspace=slug, subject=subject))
        request.state.asker = Asker(principal, slug, role, address)
        return await _Read.all_of(request) if changes and request.method != BODILESS else request

    async def _known(self, headers: Mapping[str, str], slug: str, address: str) -> Principal:
        """Whose credential this is. That one was refused is an act; that none was sent is not."""
        try:
            return await self._authenticate(headers)
        except Unauthenticated as refusal:
            if "authorization" in headers or API_KEY_HEADER in headers:
                workspace = slug if slug in self._directory().workspaces else ""
                self._note(Act("key_used", address=address, workspace=workspace, outcome="refused", why=str(refusal)))
            raise

    def _refuse_foreign(self, request: Request) -> None:
        """Refuse what a page of another site could make a browser send.

        Such a page can send no `application/json`, and no `DELETE`, without asking for leave first, which nobody gives
        here; and what it sends names its `Origin` (Fetch, "CORS-safelisted request-header" and "-method", and "append a
        request Origin header").
        """
        headers, has_body = request.headers, request.method != BODILESS
        if has_body and headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise NotJson("Send the body as JSON, with `Content-Type: application/json`.")
        origin = headers.get("origin")
        if origin is not None and origin.lower() != self._origin.lower():
            raise Forbidden(f"Pages of other origins may change nothing here; this gateway's is {self._origin}.")

    def route(self) -> type[APIRoute]:
        """The class of routes that are guarded by this desk."""
        desk = self

        class Guarded(APIRoute):
            def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
                handle = super().get_route_handler()

                async def guarded(request: Request) -> Response:
                    try:
                        answer = await handle(await desk.admit(request))
                    except (PortkeyError, RequestValidationError, OperationalError) as error:
                        return failure(error)
                    answer.headers.update(NO_STORE)
                    return answer

                return guarded

        return Guarded


class _Read(Request):
    """A request whose body was read: bounded, and as strictly as any message is."""

    _raw: bytes
    _value: Any

    @classmethod
    async def all_of(cls, request: Request) -> "_Read":
        """Read it.

        Raises:
            TooLarge: as soon as that is certain.
            Malformed: it is no JSON.
        """
        read, raw = cls(request.scope, request.receive), bytearray()
        try:
            async for chunk in read.stream():
                raw += chunk
                if len(raw) > LARGEST_BODY:
                    raise TooLarge(f"The body is larger than the {LARGEST_BODY:,} bytes that are read.")
        except ClientDisconnect:
            raise Malformed("The body was not sent to its end.") from None
        read._raw = bytes(raw)
        try:
            read._value = loads(read._raw)
        except MalformedJson as error:
            raise Malformed(f"The body is no JSON: {error}.") from None
        if not _is_text(read._raw, read._value):
            raise Malformed("The body has half of a surrogate pair, which is no text.")
        return read

    async def body(self) -> bytes:
        return self._raw

    async def json(self) -> Any:
        return self._value


def _is_text(raw: bytes, value: Any) -> bool:
    """Whether all that a body says is Unicode text, which no store and no YAML could hold otherwise."""
    if b"\\u" not in raw:
        return True
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse_narrow(principal: Principal) -> None:
    """Refuse a credential that was made for less than all that its bearer may: it is for MCP endpoints alone.

    Raises:
        Forbidden: in words.
    """
    if principal.scopes is not None or "/" in (principal.reach or ""):
        what = "some scopes" if principal.scopes is not None else "one server"
        raise Forbidden(f"This credential is good for {what} only, which this API is not among; use another one here.")


def no_workspace(slug: str) -> NotFound:
    """What a workspace gets that does not exist, or not for who asks; the two look alike."""
    return NotFound(f"There is no workspace {slug!r} here, or you have no role in it.")
