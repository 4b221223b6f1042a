"""The page on which a person decides about one call: `/ui/approve/{id}`.

Looking changes nothing. Deciding takes an API key, as long as browsers cannot sign in: that of the principal who
called, or of an owner or admin of the workspace. Under `auth: none` everybody is the local admin, and a click does.
Fails closed: what is not clearly a decision on this page by one who may decide leaves the call waiting, or denies it.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from math import ceil
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from portkey_mcp.approval.approvals import Approvals
from portkey_mcp.approval.question import named
from portkey_mcp.approval.record import Approval, may_decide
from portkey_mcp.dashboard.pages import files, page
from portkey_mcp.errors import NotFound, Refused, StoreDown, Unauthenticated
from portkey_mcp.model import Directory, Principal

Authenticate = Callable[[Mapping[str, str]], Awaitable[Principal]]
"""Whose headers these are; raises Unauthenticated where that is nobody."""

LARGEST_FORM: Final = 16 * 1024
"""Bytes: a key, a decision, and room. Anybody may send a form, so no more is read."""

MOST_FIELDS: Final = 8


class _Form(NamedTuple):
    decision: str
    key: str


def router(
    approvals: Approvals,
    authenticate: Authenticate,
    local: Principal | None,
    directory: Callable[[], Directory],
    origin: str,
) -> APIRouter:
    """The routes of the page and of what it loads.

    `local` is everybody, where nobody has to say who they are, else None. `origin` is the gateway's public one.
    """
    desk = _Desk(approvals, authenticate, local, directory, origin)
    routes = APIRouter(include_in_schema=False)
    routes.add_api_route("/ui/approve/{ident}", desk.show, methods=["GET"], response_class=HTMLResponse)
    routes.add_api_route("/ui/approve/{ident}", desk.decide, methods=["POST"], response_class=HTMLResponse)
    routes.include_router(files())
    return routes


class _Desk:
    """Answers the page's two requests."""

    def __init__(
        self,
        approvals: Approvals,
        authenticate: Authenticate,
        local: Principal | None,
        directory: Callable[[], Directory],
        origin: str,
    ) -> None:
        self._approvals = approvals
        self._authenticate = authenticate
        self._local = local
        self._directory = directory
        self._origin = origin

    async def show(self, ident: str) -> HTMLResponse:
        """The question, or why there is none."""
        try:
            approval = await self._approvals.read(ident)
        except StoreDown:
            return _store_down()
        if approval is None or not self._approvals.is_open(approval):
            return _closed(approval)
        return self._page(approval)

    async def decide(self, ident: str, request: Request) -> HTMLResponse:
        """Take a decision."""
        if not self._is_ours(request.headers):
            return _message(403, "Not from here", "A decision counts only when it is made on this gateway's own page.")
        form = await _form(request)
        if form is None:
            return _message(400, "Not understood", "That was not the form of this page. Open the link again.")
        try:
            try:
                return await self._decide(ident, form)
            except (NotFound, Refused):  # somebody was quicker
                return _closed(await self._approvals.read(ident))
        except StoreDown:
            return _store_down()

    async def _decide(self, ident: str, form: _Form) -> HTMLResponse:
        approval = await self._approvals.read(ident)
        if approval is None or not self._approvals.is_open(approval):
            return _closed(approval)
        if form.decision not in ("approve", "deny"):
            return self._page(approval, 400, "Choose: approve or deny.")
        if self._local is None and not form.key:
            return self._page(approval, 403, "Give your API key: it shows that you may decide.")
        principal = self._local or await self._whose(form.key)
        if principal is None or not may_decide(principal, approval):
            return await self._wrong(approval, known=principal is not None)
        await self._approvals.decide(ident, form.decision == "approve", principal.id)
        if form.decision == "deny":
            return _message(200, "Denied", "The call will not run. The one who asked is told at the next try.")
        return _message(
            200, "Approved", "Go back and let your assistant make the call again, within 10 minutes. It may run once."
        )

    async def _whose(self, key: str) -> Principal | None:
        try:
            return await self._authenticate({"authorization": f"Bearer {key}"})
        except Unauthenticated:
            return None

    async def _wrong(self, approval: Approval, *, known: bool) -> HTMLResponse:
        left = await self._approvals.wrong_key(approval.id)
        if not left:
            return _message(403, "Denied", "Too many wrong keys were tried, so this call is denied.")
        why = (
            "This key may not decide here. It takes the key that the call was made with, or one of an owner or admin."
            if known
            else "This key is not known here: it is mistyped, has expired, or was revoked."
        )
        return self._page(approval, 403, f"{why} {left} {'try' if left == 1 else 'tries'} left.")

    def _page(self, approval: Approval, status: int = 200, error: str = "") -> HTMLResponse:
        workspace = self._directory().workspaces.get(approval.workspace)
        seconds = (approval.expires - datetime.now(UTC)).total_seconds()
        return page(
            "approve.html",
            status,
            approval=approval,
            workspace=named(workspace.name) if workspace else approval.workspace,
            minutes=max(1, ceil(seconds / 60)),
            needs_key=self._local is None,
            error=error,
        )

    def _is_ours(self, headers: Mapping[str, str]) -> bool:
        """Whether a browser sends this from a page of ours, and no other site made it do so.

        `Sec-Fetch-Site` says so wherever the connection is secure or local; elsewhere `Origin` does. What sends
        neither is no browser that could be trusted to have shown the page.
        """
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site in ("same-origin", "none")
        return headers.get("origin", "").lower() == self._origin.lower()


async def _form(request: Request) -> _Form | None:
    """The form's fields; None for what is no such form, or too much of one."""
    if not request.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded"):
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            return None
    try:
        fields = dict(parse_qsl(body.decode(), max_num_fields=MOST_FIELDS))
    except ValueError:
        return None
    return _Form(fields.get("decision", ""), fields.get("key", "").strip())


def _closed(approval: Approval | None) -> HTMLResponse:
    """What is said where nothing waits (any more)."""
    again = "Let your assistant make the call again; it then gets a new link."
    if approval is None:
        return _message(404, "Nothing to approve", f"No call waits under this link: it is incomplete, or old. {again}")
    if approval.state == "asked":
        return _message(410, "Expired", f"Nobody decided in time, so the call did not run. {again}")
    if approval.state == "denied":
        return _message(410, "Denied already", f"This call was denied; a link decides once. To ask anew: {again}")
    return _message(
        410, "Approved already", f"This call was approved; a link decides once. To run it once more: {again}"
    )


def _store_down() -> HTMLResponse:
    answer = _message(503, "Not just now", "The gateway cannot reach its records. Nothing was decided; try again soon.")
    answer.headers["Retry-After"] = "5"
    return answer


def _message(status: int, title: str, text: str) -> HTMLResponse:
    return page("message.html", status, title=title, text=text)


def page_url(base: str, ident: str) -> str:
    """Where the page of an approval is; `base` is the gateway's public origin."""
    return f"{base}/ui/approve/{ident}"
