"""The page of an invitation, `/ui/join/{token}`: joining with an account that there is, or making one.

Looking changes nothing. Whoever is signed in joins with a click, if the invitation may be theirs; whoever is not signs
in first, or makes an account with a password and is signed in then. An account that there is is never opened by a
link. The token stands in the path alone; whatever leads away from here tells other sites nothing of it.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.exc import SQLAlchemyError

from portkey_mcp.activity.acts import Act, Note, forgotten
from portkey_mcp.addresses import JOIN, Addresses
from portkey_mcp.approval.question import named
from portkey_mcp.dashboard.forms import FRONT, fields, is_ours
from portkey_mcp.dashboard.pages import SIGN_IN, Site
from portkey_mcp.dashboard.signed_in import SignedIn
from portkey_mcp.errors import Conflict, Forbidden, Mistake, NotFound, StoreDown
from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.identity.invitations import GONE, Invitation
from portkey_mcp.identity.passwords import SHORTEST
from portkey_mcp.model import Principal
from portkey_mcp.settings import Auth
from portkey_mcp.trust import Trust


async def first_link(identity: Identity, trust: Trust, addresses: Addresses, auth: Auth) -> str:
    """The link that makes the first person, anew each time; any earlier one is worth nothing then.

    Empty where somebody is there, people come by a provider, or nobody has to say who they are (`auth: none`).
    """
    if auth == "none" or trust.providers or not trust.password or not await identity.is_empty():
        await identity.invitations.end_first()
        return ""
    return addresses.invitation(await identity.invitations.first())


class _View(NamedTuple):
    """An invitation that is good, and who looks at it. `form` is what they typed."""

    token: str
    invitation: Invitation
    who: Principal | None
    form: Mapping[str, str] = {}

    @property
    def is_theirs(self) -> bool:
        return self.who is not None and self.invitation.is_for(self.who.email)


def router(
    site: Site,
    signed_in: SignedIn,
    identity: Identity,
    trust: Callable[[], Trust] = Trust,
    note: Note = forgotten,
) -> APIRouter:
    """The routes of the page. `trust` says, as it is now, whether people have passwords here."""
    desk = _Desk(site, signed_in, identity, trust, note)
    routes = APIRouter(include_in_schema=False)
    routes.add_api_route(f"{JOIN}{{token}}", desk.show, methods=["GET"], response_class=HTMLResponse)
    routes.add_api_route(f"{JOIN}{{token}}", desk.redeem, methods=["POST"], response_class=HTMLResponse)
    return routes


class _Desk:
    """Answers the page's two requests."""

    def __init__(
        self, site: Site, signed_in: SignedIn, identity: Identity, trust: Callable[[], Trust], note: Note
    ) -> None:
        self._site = site
        self._signed_in = signed_in
        self._identity = identity
        self._trust = trust
        self._note = note

    async def show(self, request: Request, token: str) -> Response:
        """Who invites into what, and how to go on."""
        try:
            view = await self._view(request, token)
            return self._gone() if view is None else await self._page(view)
        except (StoreDown, SQLAlchemyError):
            return self._site.store_down("Nobody can join")

    async def redeem(self, request: Request, token: str) -> Response:
        """Join, or make an account and join."""
        if not is_ours(request.headers, self._site.origin):
            text = "An invitation counts only when it is taken on this gateway's own page."
            return self._site.message(403, "Not from here", text)
        form = await fields(request)
        if form is None:
            return self._site.message(400, "Not understood", "That was not the form of this page.")
        try:
            view = await self._view(request, token)
            if view is None:
                return self._gone()
            view = view._replace(form=form)
            return await (self._make(request, view) if form.get("how") == "make" else self._join(request, view))
        except NotFound:
            return self._gone()
        except (StoreDown, SQLAlchemyError):
            return self._site.store_down("Nobody can join")

    async def _view(self, request: Request, token: str) -> _View | None:
        """The invitation as it is now; None where it is worth nothing, or nobody needs one."""
        if self._site.local is not None:
            return None
        invitation = await self._identity.invitations.find(token)
        return None if invitation is None else _View(token, invitation, await self._signed_in.who(request))

    async def _join(self, request: Request, view: _View) -> Response:
        who, address = view.who, self._site.address_of(request.scope)
        if who is None:
            return await self._page(view, 403, "Nobody is signed in with this browser any more.")
        try:
            joined = await self._identity.invitations.join(view.token, who.id)
        except (Forbidden, Conflict) as refused:
            self._refuse(view, str(refused), who=who, address=address)
            return await self._page(view, 403, str(refused))
        self._tell(joined, who, address, "joined")
        return self._site.onward(FRONT)

    async def _make(self, request: Request, view: _View) -> Response:
        form, address = view.form, self._site.address_of(request.scope)
        email = (view.invitation.email or form.get("email", "")).strip()
        password = form.get("password", "")
        if not self._trust().password:
            return await self._page(view, 403, "People have no passwords here; sign in by your provider.")
        if password != form.get("again", ""):
            return await self._page(view, 400, "The two passwords are not the same.")
        try:
            person, joined = await self._identity.invitations.make(
                view.token,
                email=email,
                name=form.get("name", "").strip(),
                password=await self._identity.passwords.hashed(password),
                workspaces=self._site.directory().workspaces,
            )
        except (Forbidden, Mistake) as refused:
            self._refuse(view, str(refused), actor=email, address=address)
            return await self._page(view, 403 if isinstance(refused, Forbidden) else 400, _sentence(str(refused)))
        principal = await self._identity.principal(person)
        if principal is None:
            return self._gone()
        self._note(Act("person", who=principal, address=address, subject=principal.email))
        self._tell(joined, principal, address, "made an account")
        answer = self._site.onward(FRONT)
        await self._signed_in.begin(request, answer, principal, address)
        return answer

    def _tell(self, joined: Invitation, who: Principal, address: str, how: str) -> None:
        place = {"who": who, "address": address, "workspace": joined.workspace}
        self._note(Act("invitation", **place, subject=joined.id, detail={"how": how}))  # type: ignore[arg-type]
        self._note(Act("member", **place, subject=who.email, detail={"role": joined.role}))  # type: ignore[arg-type]

    def _refuse(self, view: _View, why: str, *, address: str, who: Principal | None = None, actor: str = "") -> None:
        invitation = view.invitation
        self._note(
            Act(
                "invitation",
                who=who,
                actor=actor,
                address=address,
                workspace=invitation.workspace,
                subject=invitation.id,
                outcome="refused",
                why=why,
            )
        )

    async def _page(self, view: _View, status: int = 200, error: str = "") -> HTMLResponse:
        invitation, workspaces = view.invitation, self._site.directory().workspaces
        place, inviter = workspaces.get(invitation.workspace), await self._inviter(invitation)
        return self._site.page(
            "join.html",
            status,
            error=error,
            onto=f"{JOIN}{view.token}",
            sign_in=SIGN_IN,
            is_first=not invitation.workspace,
            workspace=named(place.name if place is not None else invitation.workspace),
            workspaces=[named(one.name) for one in workspaces.values()],
            invitation=invitation,
            inviter=inviter,
            expires=invitation.expires.strftime("%d %B %Y, %H:%M UTC"),
            who="" if view.who is None else named(view.who.name),
            is_theirs=view.is_theirs,
            is_member=view.who is not None and view.who.role_in(invitation.workspace) is not None,
            has_account=bool(invitation.email) and self._identity.people.named(invitation.email) is not None,
            by_password=self._trust().password,
            shortest=SHORTEST,
            email=view.form.get("email", ""),
            name=view.form.get("name", ""),
        )

    async def _inviter(self, invitation: Invitation) -> str:
        person = await self._identity.principal(invitation.inviter)  # and everybody is read then
        if not invitation.inviter:
            return "whoever runs this gateway"
        return "an admin of the workspace" if person is None else named(person.name)

    def _gone(self) -> HTMLResponse:
        if self._site.local is not None:
            text = "This gateway runs with auth: none. Everybody on this machine is its admin; nobody needs to join."
            return self._site.message(200, "Nobody needs to join", text, (FRONT, "Go on"))
        return self._site.message(404, "This link is no good", GONE, (SIGN_IN, "Sign in"))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
