"""Signing in and out: `/ui/sign-in` and `/ui/sign-out`. Plain forms, which other sites cannot send for anybody.

Where identity providers are configured, the page leads to them, too; what follows there is `sso.py`'s.

Every failure is told in the same words: the page tells nobody who has an account here. How guessing is slowed is the
business of whoever checks the password.
"""

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from portkey_mcp.activity.acts import Act, Note, forgotten
from portkey_mcp.approval.question import named
from portkey_mcp.dashboard.forms import AUTHORIZE, FRONT, fields, is_ours, own_path
from portkey_mcp.dashboard.pages import SIGN_IN, Site
from portkey_mcp.dashboard.signed_in import People, SignedIn
from portkey_mcp.errors import StoreDown, Unauthenticated
from portkey_mcp.identity.passwords import WrongPassword
from portkey_mcp.model import email_problem
from portkey_mcp.trust import Trust

WRONG: Final = (
    "That did not work. Check e-mail and password; after several failures, wait a few minutes before the next."
)


def router(
    site: Site, signed_in: SignedIn, people: People, trust: Callable[[], Trust] = Trust, note: Note = forgotten
) -> APIRouter:
    """The routes of signing in and out. `trust` says how people sign in now; `note` hears who did, and who tried."""
    desk = _Desk(site, signed_in, people, trust, note)
    routes = APIRouter(include_in_schema=False)
    routes.add_api_route(SIGN_IN, desk.show, methods=["GET"], response_class=HTMLResponse)
    routes.add_api_route(SIGN_IN, desk.sign_in, methods=["POST"], response_class=HTMLResponse)
    routes.add_api_route("/ui/sign-out", desk.sign_out, methods=["POST"], response_class=HTMLResponse)
    return routes


class _Desk:
    """Answers the requests of these pages."""

    def __init__(self, site: Site, signed_in: SignedIn, people: People, trust: Callable[[], Trust], note: Note) -> None:
        self._site = site
        self._signed_in = signed_in
        self._people = people
        self._trust = trust
        self._note = note

    async def show(self, request: Request) -> Response:
        """The form, or why there is none."""
        if self._site.local is not None:
            return self._nobody_needs_to()
        try:
            if await self._people.is_empty() and not any(one.create for one in self._trust().providers):
                return self._site.page("first_person.html", password=self._trust().password)
            return await self._form(request, own_path(request.query_params.get("next", "")))
        except StoreDown:
            return self._site.store_down("Nobody can sign in")

    async def sign_in(self, request: Request) -> Response:
        """Check e-mail and password, and sign the browser in."""
        if self._site.local is not None:
            return self._nobody_needs_to()
        if not is_ours(request.headers, self._site.origin):
            return self._not_from_here()
        if not self._trust().password:
            text = "Passwords are switched off here."
            return self._site.message(403, "Not with a password", text, (SIGN_IN, "Sign in"))
        form = await fields(request)
        if form is None:
            return self._site.message(
                400, "Not understood", "That was not the form of this page.", (SIGN_IN, "Sign in")
            )
        try:
            return await self._sign_in(request, form)
        except StoreDown:
            return self._site.store_down("Nobody can sign in")

    async def sign_out(self, request: Request) -> Response:
        """Sign this browser out, or with `where=everywhere` every browser of the same person."""
        if not is_ours(request.headers, self._site.origin):
            return self._not_from_here()
        form = await fields(request) or {}
        everywhere = form.get("where") == "everywhere"
        which = "Every browser of yours is" if everywhere else "This browser is"
        answer = self._site.message(200, "Signed out", f"{which} signed out here.", (SIGN_IN, "Sign in"))
        try:
            who = await self._signed_in.who(request)
            await self._signed_in.end(request, answer, everywhere=everywhere)
        except StoreDown:
            return self._site.store_down("You are still signed in")
        if who is not None:
            subject = "every browser" if everywhere else "this browser"
            self._note(Act("sign_out", who, address=self._site.address_of(request.scope), subject=subject))
        return answer

    async def _sign_in(self, request: Request, form: Mapping[str, str]) -> Response:
        email, password, onto = form.get("email", "").strip(), form.get("password", ""), own_path(form.get("next", ""))
        if not email or not password:
            return await self._form(request, onto, 400, "Give both, e-mail and password.", email)
        address = self._site.address_of(request.scope)
        try:
            principal = await self._people.check_password(email, password, address)
        except Unauthenticated as refusal:
            why = refusal.why if isinstance(refusal, WrongPassword) else ""
            self._note(
                Act("sign_in", actor=_said(email), address=address, subject="password", outcome="refused", why=why)
            )
            return await self._form(request, onto, 403, WRONG, email)
        answer = self._site.onward(onto)
        await self._signed_in.begin(request, answer, principal, address)
        self._note(Act("sign_in", principal, address=address, subject="password"))
        return answer

    async def _form(
        self, request: Request, onto: str, status: int = 200, error: str = "", email: str = ""
    ) -> HTMLResponse:
        principal = await self._signed_in.who(request)
        trust, then = self._trust(), urlencode({"next": onto})
        providers = [(named(one.name), f"{SIGN_IN}/{one.id}?{then}") for one in trust.providers]
        return self._site.page(
            "sign_in.html",
            status,
            leads_away=onto.startswith(AUTHORIZE),
            onto=onto,
            error=error,
            email=email,
            providers=providers,
            password=trust.password,
            who="" if principal is None else named(principal.name),
        )

    def _not_from_here(self) -> HTMLResponse:
        text = "Signing in and out counts only when it is done on this gateway's own page."
        return self._site.message(403, "Not from here", text, (SIGN_IN, "Sign in"))

    def _nobody_needs_to(self) -> HTMLResponse:
        text = (
            "This gateway runs with auth: none. Nobody needs to sign in: it answers this machine only, "
            "and everybody on it is its admin."
        )
        return self._site.message(200, "No sign-in here", text, (FRONT, "Go on"))


def _said(email: str) -> str:
    """What somebody called themselves, for the audit; what is no address may be a password in the wrong field."""
    return "(no e-mail address)" if email_problem(email) else email
