"""The page on which a person decides about one call: `/ui/approve/{id}`.

Looking changes nothing. The principal who called decides, or an owner or admin of the workspace: a person who is signed
in, or whoever has an API key, since service accounts have no browser session. Under `auth: none` everybody is the local
admin, and a click does. Fails closed: what is not clearly a decision on this page by one who may decide leaves the call
waiting, or denies it.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from math import ceil
from typing import NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from portkey_mcp.approval.approvals import Approvals
from portkey_mcp.approval.question import named
from portkey_mcp.approval.record import Approval, may_decide
from portkey_mcp.dashboard.forms import fields, is_ours
from portkey_mcp.dashboard.pages import SIGN_IN, Site, files
from portkey_mcp.dashboard.signed_in import SignedIn
from portkey_mcp.errors import NotFound, Refused, StoreDown, Unauthenticated
from portkey_mcp.model import Principal

Authenticate = Callable[[Mapping[str, str]], Awaitable[Principal]]
"""Whose headers these are; raises Unauthenticated where that is nobody."""


class _Asking(NamedTuple):
    """An open question and who looks at it: a person who is signed in, everybody under `auth: none`, or nobody yet."""

    approval: Approval
    who: Principal | None

    @property
    def may_decide(self) -> bool:
        return self.who is not None and may_decide(self.who, self.approval)


def router(
    site: Site, approvals: Approvals, authenticate: Authenticate, signed_in: SignedIn | None = None
) -> APIRouter:
    """The routes of the page and of what it loads.

    `signed_in` tells whose browser it is; None where browsers cannot sign in, so that only keys decide.
    """
    desk = _Desk(site, approvals, authenticate, signed_in)
    routes = APIRouter(include_in_schema=False)
    routes.add_api_route("/ui/approve/{ident}", desk.show, methods=["GET"], response_class=HTMLResponse)
    routes.add_api_route("/ui/approve/{ident}", desk.decide, methods=["POST"], response_class=HTMLResponse)
    routes.include_router(files())
    return routes


class _Desk:
    """Answers the page's two requests."""

    def __init__(
        self, site: Site, approvals: Approvals, authenticate: Authenticate, signed_in: SignedIn | None
    ) -> None:
        self._site = site
        self._approvals = approvals
        self._authenticate = authenticate
        self._signed_in = signed_in

    async def show(self, ident: str, request: Request) -> HTMLResponse:
        """The question, or why there is none."""
        try:
            approval = await self._approvals.read(ident)
            if approval is None or not self._approvals.is_open(approval):
                return self._closed(approval)
            return self._page(_Asking(approval, await self._who(request)))
        except StoreDown:
            return self._site.store_down("Nothing was decided")

    async def decide(self, ident: str, request: Request) -> HTMLResponse:
        """Take a decision."""
        if not is_ours(request.headers, self._site.origin):
            return self._site.message(
                403, "Not from here", "A decision counts only when it is made on this gateway's own page."
            )
        form = await fields(request)
        if form is None:
            return self._site.message(400, "Not understood", "That was not the form of this page. Open the link again.")
        try:
            try:
                approval = await self._approvals.read(ident)
                if approval is None or not self._approvals.is_open(approval):
                    return self._closed(approval)
                asking = _Asking(approval, await self._who(request))
                return await self._decide(asking, form.get("decision", ""), form.get("key", "").strip())
            except (NotFound, Refused):  # somebody was quicker
                return self._closed(await self._approvals.read(ident))
        except StoreDown:
            return self._site.store_down("Nothing was decided")

    async def _decide(self, asking: _Asking, decision: str, key: str) -> HTMLResponse:
        if decision not in ("approve", "deny"):
            return self._page(asking, 400, "Choose: approve or deny.")
        # A key does not count where none was asked for: browsers fill in passwords by themselves.
        principal = asking.who if asking.may_decide else await self._whose(key)
        if principal is None and not key:
            return self._page(asking, 403, self._what_it_takes(asking))
        if principal is None or not may_decide(principal, asking.approval):
            return await self._wrong(asking, known=principal is not None)
        await self._approvals.decide(asking.approval.id, decision == "approve", principal.id)
        if decision == "deny":
            return self._site.message(
                200, "Denied", "The call will not run. The one who asked is told at the next try."
            )
        return self._site.message(
            200, "Approved", "Go back and let your assistant make the call again, within 10 minutes. It may run once."
        )

    async def _who(self, request: Request) -> Principal | None:
        if self._site.local is not None or self._signed_in is None:
            return self._site.local
        return await self._signed_in.who(request)

    async def _whose(self, key: str) -> Principal | None:
        if not key:
            return None
        try:
            found = await self._authenticate({"authorization": f"Bearer {key}"})
        except Unauthenticated:
            return None
        # What an app was given to make calls with is not its person, who alone decides about them.
        return found if found.scopes is None else None

    def _what_it_takes(self, asking: _Asking) -> str:
        if asking.who is not None:
            return "You may not decide here. Give an API key that may, or sign in as somebody else."
        if self._signed_in is None:
            return "Give your API key: it shows that you may decide."
        return "Sign in or give your API key: it shows that you may decide."

    async def _wrong(self, asking: _Asking, *, known: bool) -> HTMLResponse:
        left = await self._approvals.wrong_key(asking.approval.id)
        if not left:
            return self._site.message(403, "Denied", "Too many wrong keys were tried, so this call is denied.")
        why = (
            "This key may not decide here. It takes the key that the call was made with, or one of an owner or admin."
            if known
            else "This key is not known here: it is mistyped, has expired, or was revoked."
        )
        return self._page(asking, 403, f"{why} {left} {'try' if left == 1 else 'tries'} left.")

    def _page(self, asking: _Asking, status: int = 200, error: str = "") -> HTMLResponse:
        approval, who = asking
        workspace = self._site.directory().workspaces.get(approval.workspace)
        seconds = (approval.expires - datetime.now(UTC)).total_seconds()
        return self._site.page(
            "approve.html",
            status,
            approval=approval,
            workspace=named(workspace.name) if workspace else approval.workspace,
            minutes=max(1, ceil(seconds / 60)),
            who="" if who is None or self._site.local is not None else named(who.name),
            needs_key=not asking.may_decide,
            sign_in="" if self._signed_in is None else f"{SIGN_IN}?next=/ui/approve/{approval.id}",
            error=error,
        )

    def _closed(self, approval: Approval | None) -> HTMLResponse:
        """What is said where nothing waits (any more)."""
        again = "Let your assistant make the call again; it then gets a new link."
        if approval is None:
            text = f"No call waits under this link: it is incomplete, or old. {again}"
            return self._site.message(404, "Nothing to approve", text)
        if approval.state == "asked":
            return self._site.message(410, "Expired", f"Nobody decided in time, so the call did not run. {again}")
        decided, anew = ("Denied", "To ask anew") if approval.state == "denied" else ("Approved", "To run it once more")
        text = f"This call was {decided.lower()}; a link decides once. {anew}: {again}"
        return self._site.message(410, f"{decided} already", text)


def page_url(base: str, ident: str) -> str:
    """Where the page of an approval is; `base` is the gateway's public origin."""
    return f"{base}/ui/approve/{ident}"
