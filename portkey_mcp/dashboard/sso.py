"""Single sign-on in the browser: `/ui/sign-in/{provider}` leads to a provider, its callback brings people back.

Both are plain links, which anybody may make somebody follow. What comes back counts only in the browser that was sent
there, and nobody becomes anybody but who they are at their provider.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from portkey_mcp.activity.acts import Act, Note, forgotten
from portkey_mcp.dashboard.forms import FRONT, own_path
from portkey_mcp.dashboard.pages import HEADERS, SIGN_IN, Site
from portkey_mcp.dashboard.signed_in import SignedIn
from portkey_mcp.errors import Forbidden, ProviderDown, StoreDown, Unauthenticated
from portkey_mcp.identity.claims import Subject
from portkey_mcp.identity.logins import Entered, Logins
from portkey_mcp.identity.oidc import SingleSignOn
from portkey_mcp.identity.pending import BROWSER, LIFE, Pending, new_browser
from portkey_mcp.trust import Provider, ProviderTokens, Trust

Keep = Callable[[str, Provider, ProviderTokens], Awaitable[None]]
"""Is given whose sign-in it was, and what their provider gave; keeps it where that is of use. Never fails."""

SECURE_COOKIE: Final = "__Host-portkey-sso"
PLAIN_COOKIE: Final = "portkey-sso"
"""What binds a sign-in under way to this browser; `__Host-` as for the cookie of browser sessions."""


def router(
    site: Site,
    signed_in: SignedIn,
    logins: Logins,
    sso: SingleSignOn,
    trust: Callable[[], Trust],
    note: Note = forgotten,
    keep: Keep | None = None,
) -> APIRouter:
    """The routes of single sign-on. `trust` says which providers there are now, `keep` gets what they gave."""
    desk = _Desk(site, signed_in, logins, sso, trust, note, keep)
    routes = APIRouter(include_in_schema=False)
    routes.add_api_route(f"{SIGN_IN}/{{provider}}", desk.begin, methods=["GET"], response_class=HTMLResponse)
    routes.add_api_route(f"{SIGN_IN}/{{provider}}/callback", desk.finish, methods=["GET"], response_class=HTMLResponse)
    return routes


class _Desk:
    """Answers the requests of these routes."""

    def __init__(
        self,
        site: Site,
        signed_in: SignedIn,
        logins: Logins,
        sso: SingleSignOn,
        trust: Callable[[], Trust],
        note: Note,
        keep: Keep | None,
    ) -> None:
        self._site = site
        self._signed_in = signed_in
        self._logins = logins
        self._sso = sso
        self._trust = trust
        self._note = note
        self._keep = keep
        self._cookie = SECURE_COOKIE if site.addresses.is_secure else PLAIN_COOKIE

    async def begin(self, request: Request, provider: str) -> Response:
        """Send the browser to the provider."""
        found = self._provider(provider)
        if found is None:
            return self._unknown()
        onto, browser = own_path(request.query_params.get("next", "")), self._browser(request) or new_browser()
        try:
            url = await self._sso.begin(found, self._callback(found), browser, onto)
        except ProviderDown as error:
            return self._down(found, error, onto)
        answer = RedirectResponse(url, 303, HEADERS)
        secure = self._site.addresses.is_secure
        # Lax, not Strict: the provider's site is where the browser comes back from.
        answer.set_cookie(self._cookie, browser, max_age=LIFE, path="/", secure=secure, httponly=True, samesite="lax")
        return answer

    async def finish(self, request: Request, provider: str) -> Response:
        """Take in who comes back, and go on where they wanted to."""
        found = self._provider(provider)
        if found is None:
            return self._unknown()
        response = _once(request)
        try:
            pending = self._sso.recall(found, self._browser(request), response.get("state", ""))
        except Unauthenticated as error:
            return self._refused(request, found, str(error), FRONT)
        return await self._finish(request, found, response, pending)

    async def _finish(
        self, request: Request, provider: Provider, response: Mapping[str, str], pending: Pending
    ) -> Response:
        subject = None
        try:
            subject = await self._sso.finish(provider, self._callback(provider), pending, response)
            entered = await self._logins.enter(provider, subject)
            address = self._site.address_of(request.scope)
            answer = self._site.onward(pending.onto)
            await self._signed_in.begin(request, answer, entered.principal, address)
        except (Unauthenticated, Forbidden) as error:
            return self._refused(request, provider, str(error), pending.onto, subject)
        except ProviderDown as error:
            return self._down(provider, error, pending.onto)
        except StoreDown:
            return self._site.store_down("Nobody can sign in")
        if self._keep is not None and subject.tokens is not None:
            await self._keep(entered.principal.id, provider, subject.tokens)
        self._note_entered(provider, entered, address)
        return answer

    def _provider(self, ident: str) -> Provider | None:
        if self._site.local is not None:
            return None
        return next((one for one in self._trust().providers if one.id == ident), None)

    def _callback(self, provider: Provider) -> str:
        return f"{self._site.addresses.base}{SIGN_IN}/{provider.id}/callback"

    def _browser(self, request: Request) -> str:
        """The value in this browser's cookie, or nothing where it has none of ours."""
        value = request.cookies.get(self._cookie, "")
        return value if BROWSER.fullmatch(value) else ""

    def _refused(
        self, request: Request, provider: Provider, why: str, onto: str, subject: Subject | None = None
    ) -> HTMLResponse:
        self._note(
            Act(
                "sign_in",
                actor="" if subject is None else subject.email or subject.subject,
                address=self._site.address_of(request.scope),
                outcome="refused",
                why=why,
                detail={"provider": provider.id},
            )
        )
        return self._site.message(403, "Not signed in", why, _back(onto))

    def _down(self, provider: Provider, error: ProviderDown, onto: str) -> HTMLResponse:
        text = f"Signing in with {provider.name} does not work just now. {error} Try again soon."
        answer = self._site.message(502, "Not just now", text, _back(onto))
        answer.headers["Retry-After"] = "5"
        return answer

    def _unknown(self) -> HTMLResponse:
        text = "There is no such way to sign in here."
        return self._site.message(404, "Not found", text, (SIGN_IN, "Back to sign-in"))

    def _note_entered(self, provider: Provider, entered: Entered, address: str) -> None:
        who, by = entered.principal, {"provider": provider.id}
        self._note(Act("sign_in", who, address=address, detail=by))
        if entered.made or entered.linked:
            did = "made" if entered.made else "linked"
            self._note(Act("person", who, address=address, subject=who.id, detail={**by, "did": did}))
        for change in entered.changes:
            now = {"role": change.role or "none", "groups": ", ".join(change.groups)}
            self._note(
                Act("member", who, address=address, workspace=change.workspace, subject=who.id, detail={**by, **now})
            )


def _once(request: Request) -> Mapping[str, str]:
    """The query's parameters, but for those that are there twice: nobody can say which of them counts."""
    pairs = request.query_params.multi_items()
    names = [name for name, _ in pairs]
    return {name: value for name, value in pairs if names.count(name) == 1}


def _back(onto: str) -> tuple[str, str]:
    return f"{SIGN_IN}?{urlencode({'next': onto})}", "Back to sign-in"
