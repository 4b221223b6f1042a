"""Signing in and out: `/ui/sign-in` and `/ui/sign-out`. Plain forms, which other sites cannot send for anybody.

Every failure is told in the same words: the page tells nobody who has an account here. How guessing is slowed is the
business of whoever checks the password.
"""

from collections.abc import Callable, Mapping
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from starlette.types import Scope

from portkey_mcp.approval.question import named
from portkey_mcp.dashboard.forms import FRONT, fields, is_ours, own_path
from portkey_mcp.dashboard.pages import SIGN_IN, message, onward, page, store_down
from portkey_mcp.dashboard.signed_in import People, SignedIn
from portkey_mcp.errors import StoreDown, Unauthenticated
from portkey_mcp.model import Principal

WRONG: Final = (
    "That did not work. Check e-mail and password; after several failures, wait a few minutes before the next."
)


def router(
    signed_in: SignedIn,
    people: People,
    local: Principal | None,
    origin: str,
    address_of: Callable[[Scope], str] = lambda scope: "",
) -> APIRouter:
    """The routes of signing in and out.

    `local` is everybody, where nobody has to say who they are, else None. `origin` is the gateway's public one;
    `address_of` tells where a request came from.
    """
    desk = _Desk(signed_in, people, local, origin, address_of)
    routes = APIRouter(include_in_schema=False)
    routes.add_api_route(SIGN_IN, desk.show, methods=["GET"], response_class=HTMLResponse)
    routes.add_api_route(SIGN_IN, desk.sign_in, methods=["POST"], response_class=HTMLResponse)
    routes.add_api_route("/ui/sign-out", desk.sign_out, methods=["POST"], response_class=HTMLResponse)
    return routes


class _Desk:
    """Answers the requests of these pages."""

    def __init__(
        self,
        signed_in: SignedIn,
        people: People,
        local: Principal | None,
        origin: str,
        address_of: Callable[[Scope], str],
    ) -> None:
        self._signed_in = signed_in
        self._people = people
        self._local = local
        self._origin = origin
        self._address_of = address_of

    async def show(self, request: Request) -> Response:
        """The form, or why there is none."""
        if self._local is not None:
            return _nobody_needs_to()
        try:
            if await self._people.is_empty():
                return page("first_person.html")
            return await self._form(request, own_path(request.query_params.get("next", "")))
        except StoreDown:
            return store_down("Nobody can sign in")

    async def sign_in(self, request: Request) -> Response:
        """Check e-mail and password, and sign the browser in."""
        if self._local is not None:
            return _nobody_needs_to()
        if not is_ours(request.headers, self._origin):
            return _not_from_here()
        form = await fields(request)
        if form is None:
            return message(400, "Not understood", "That was not the form of this page.", (SIGN_IN, "Sign in"))
        try:
            return await self._sign_in(request, form)
        except StoreDown:
            return store_down("Nobody can sign in")

    async def sign_out(self, request: Request) -> Response:
        """Sign this browser out, or with `where=everywhere` every browser of the same person."""
        if not is_ours(request.headers, self._origin):
            return _not_from_here()
        form = await fields(request) or {}
        everywhere = form.get("where") == "everywhere"
        which = "Every browser of yours is" if everywhere else "This browser is"
        answer = message(200, "Signed out", f"{which} signed out here.", (SIGN_IN, "Sign in"))
        try:
            await self._signed_in.end(request, answer, everywhere=everywhere)
        except StoreDown:
            return store_down("You are still signed in")
        return answer

    async def _sign_in(self, request: Request, form: Mapping[str, str]) -> Response:
        email, password, onto = form.get("email", "").strip(), form.get("password", ""), own_path(form.get("next", ""))
        if not email or not password:
            return await self._form(request, onto, 400, "Give both, e-mail and password.", email)
        address = self._address_of(request.scope)
        try:
            principal = await self._people.check_password(email, password, address)
        except Unauthenticated:
            return await self._form(request, onto, 403, WRONG, email)
        answer = onward(onto)
        await self._signed_in.begin(request, answer, principal, address)
        return answer

    async def _form(
        self, request: Request, onto: str, status: int = 200, error: str = "", email: str = ""
    ) -> HTMLResponse:
        principal = await self._signed_in.who(request)
        return page(
            "sign_in.html",
            status,
            onto=onto,
            error=error,
            email=email,
            who="" if principal is None else named(principal.name),
        )


def _nobody_needs_to() -> HTMLResponse:
    text = (
        "This gateway runs with auth: none. Nobody needs to sign in: it answers this machine only, "
        "and everybody on it is its admin."
    )
    return message(200, "No sign-in here", text, (FRONT, "Go on"))


def _not_from_here() -> HTMLResponse:
    text = "Signing in and out counts only when it is done on this gateway's own page."
    return message(403, "Not from here", text, (SIGN_IN, "Sign in"))
