"""`/authorize`: a person lets an app act for them, or does not. A plain form, on a page nobody can frame or send.

The request itself is carried along in the URL and read anew at every step, so that nothing is kept for strangers. What
a person sees and agrees to is sealed into a ticket for them, and counts for that request only. An app that waits on the
person's own computer is asked about each time: any program there could be waiting in its place (RFC 8252, section 8.6).
"""

import hashlib
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request, Response

from portkey_mcp.addresses import alias_of
from portkey_mcp.approval.question import named
from portkey_mcp.dashboard.forms import AUTHORIZE, fields, is_ours
from portkey_mcp.dashboard.pages import SIGN_IN, Site, away
from portkey_mcp.dashboard.signed_in import SignedIn
from portkey_mcp.errors import StoreDown
from portkey_mcp.model import Principal
from portkey_mcp.oauth.authorization_request import Untrusted
from portkey_mcp.oauth.authorizing import VIA, Authorizing, Checked, Choice, SentBack
from portkey_mcp.oauth.redirects import host_of
from portkey_mcp.oauth.refusal import OAuthRefusal
from portkey_mcp.sealing import KeyRing, Unsealable
from portkey_mcp.trust import MCP_CALL
from portkey_mcp.wire import MalformedJson, dumps, loads

SEAL: Final = "consent"
TICKET_LIFE: Final = 1800
"""Seconds a person may look at the page."""

SHOWN: Final = "shown"
"""What a ticket says of the page: that this person saw it."""

AGREED: Final = "agreed"
"""Parameter of our own: a ticket of who said yes and then had to do something else first."""

DENIED: Final = OAuthRefusal("access_denied", "the person did not allow it")
NOTHING: Final = OAuthRefusal("access_denied", "the person has no access to this MCP endpoint")


def router(site: Site, signed_in: SignedIn, authorizing: Authorizing, keyring: KeyRing) -> APIRouter:
    """The routes of the page."""
    desk = _Desk(site, signed_in, authorizing, keyring)
    routes = APIRouter(include_in_schema=False)
    routes.add_api_route(AUTHORIZE, desk.show, methods=["GET"])
    routes.add_api_route(AUTHORIZE, desk.decide, methods=["POST"])
    return routes


class _Desk:
    """Answers the page's requests."""

    def __init__(self, site: Site, signed_in: SignedIn, authorizing: Authorizing, keyring: KeyRing) -> None:
        self._site = site
        self._signed_in = signed_in
        self._authorizing = authorizing
        self._keyring = keyring

    async def show(self, request: Request) -> Response:
        """The question; the way to sign in first; or the answer, where the person said yes before."""
        query, directory = request.url.query, self._site.directory()
        if (alias := alias_of(request.headers.get("host", ""), directory.hosts)) in directory.key_hosts:
            return self._site.message(404, "Nothing here", "At this address apps come with an API key.")
        if alias:
            return away(f"{self._site.addresses.base}{AUTHORIZE}?{query}&{urlencode({VIA: alias})}", 302)
        try:
            checked = await self._authorizing.check(query)
            return await self._next(request, checked, query)
        except Untrusted as refusal:
            return self._site.message(400, "This app cannot sign you in", str(refusal))
        except SentBack as refusal:
            return await self._sent_back(request, refusal)
        except OAuthRefusal as refusal:
            return self._site.message(403, "Nothing was allowed", f"{refusal}.".capitalize())
        except StoreDown:
            return self._site.store_down("Nothing was allowed")

    async def decide(self, request: Request) -> Response:
        """Take the decision."""
        if not is_ours(request.headers, self._site.origin):
            text = "Letting an app in counts only when it is done on this gateway's own page."
            return self._site.message(403, "Not from here", text)
        form = await fields(request)
        if form is None:
            return self._site.message(
                400, "Not understood", "That was not the form of this page. Go back and try again."
            )
        try:
            checked = await self._authorizing.check(form.get("query", ""))
            return await self._decided(request, checked, form)
        except (Untrusted, OAuthRefusal) as refusal:
            return self._site.message(400, "This app cannot sign you in", str(refusal))
        except StoreDown:
            return self._site.store_down("Nothing was allowed")

    async def _next(self, request: Request, checked: Checked, query: str) -> Response:
        asking = checked.asking
        who, silent = await self._signed_in.who(request), "none" in asking.prompt
        address = self._site.address_of(request.scope)
        if who is None:
            if silent:
                refusal = OAuthRefusal("login_required", "nobody is signed in")
                return away(self._authorizing.deny(checked, None, refusal, address), 302)
            return self._site.onward(f"{SIGN_IN}?next={quote(f'{AUTHORIZE}?{query}', safe='')}")
        choices = self._authorizing.choices(asking, who)
        if not choices:
            return self._nothing(checked, who, address)
        agreed = await self._agreed(checked, who, choices, query)
        if agreed is not None:
            return away(await self._authorizing.allow(checked, who, agreed, address), 302)
        if silent:
            refusal = OAuthRefusal("consent_required", "the person has to allow it first")
            return away(self._authorizing.deny(checked, who, refusal, address), 302)
        return self._page(checked, who, choices, query)

    async def _agreed(self, checked: Checked, who: Principal, choices: list[Choice], query: str) -> Choice | None:
        """What the person said yes to: a moment ago, or before and at an address that is only that app's."""
        asked, _, sealed = query.partition(f"&{AGREED}=")
        ticket = self._opened(sealed, who, asked) if sealed else None
        if ticket is not None:
            return next((one for one in choices if ticket == _agreed_to(one)), None)
        only = choices[0] if len(choices) == 1 else None
        remembered = only is not None and checked.asking.redirect_uri.startswith("https:")
        if not remembered or only is None or "consent" in checked.asking.prompt:
            return None
        return only if await self._authorizing.has_agreed(checked.asking, who, only) else None

    async def _decided(self, request: Request, checked: Checked, form: Mapping[str, str]) -> Response:
        who, query, address = await self._signed_in.who(request), form["query"], self._site.address_of(request.scope)
        if who is None or self._opened(form.get("ticket", ""), who, query) != SHOWN:
            text = "You were signed out meanwhile, or waited too long. Nothing was allowed; try again from the app."
            return self._site.message(403, "Once more, please", text)
        choices = self._authorizing.choices(checked.asking, who)
        chosen = form.get("choice", "") if len(choices) > 1 else choices[0].reach if choices else ""
        choice = next((one for one in choices if one.reach == chosen), None)
        if form.get("decision") == "deny":
            return away(self._authorizing.deny(checked, who, DENIED, address))
        if not choices:
            return self._nothing(checked, who, address)
        if form.get("decision") != "allow" or choice is None:
            return self._page(checked, who, choices, query, "Choose a workspace, and allow it or not.")
        await self._authorizing.remember(checked, who, choice)
        if step := await self._authorizing.next_step(who, choice.reach):
            onto = f"{AUTHORIZE}?{query}&{AGREED}={self._ticket(who, query, _agreed_to(choice))}"
            return self._site.onward(f"{step}?next={quote(onto, safe='')}")
        return away(await self._authorizing.allow(checked, who, choice, address))

    def _page(self, checked: Checked, who: Principal, choices: list[Choice], query: str, error: str = "") -> Response:
        asking, client = checked.asking, checked.asking.client
        return self._site.page(
            "consent.html",
            400 if error else 200,
            leads_away=True,
            error=error,
            app=named(client.name),
            kind=client.kind,
            host=client.host,
            to=host_of(asking.redirect_uri),
            is_local=not asking.redirect_uri.startswith("https:"),
            who=named(who.name),
            email=who.email,
            choices=choices,
            calls=MCP_CALL in asking.scopes,
            query=query,
            ticket=self._ticket(who, query, SHOWN),
            sign_in=f"{SIGN_IN}?next={quote(f'{AUTHORIZE}?{query}', safe='')}",
        )

    def _nothing(self, checked: Checked, who: Principal, address: str) -> Response:
        """The person is known, and what the app asks for does not exist for them."""
        back = self._authorizing.deny(checked, who, NOTHING, address)
        if "none" in checked.asking.prompt:
            return away(back, 302)
        return self._site.page("no_access.html", 403, who=named(who.name), back=back, to=host_of(back))

    async def _sent_back(self, request: Request, refusal: SentBack) -> Response:
        """Tell the client what is wrong; by a link, where a stranger made both the app and the way here.

        Else anybody could register an app, or put a document of one somewhere, and have this gateway send people
        wherever they like (RFC 9700, 4.11.2).
        """
        if refusal.client.kind == "declared" or await self._signed_in.who(request) is not None:
            return away(refusal.url, 302)
        return self._site.page("sent_back.html", 400, why=str(refusal), back=refusal.url, to=host_of(refusal.url))

    def _ticket(self, who: Principal, query: str, what: str) -> str:
        return self._keyring.seal(dumps([who.id, _digest(query), what, int(time.time()) + TICKET_LIFE]), SEAL)

    def _opened(self, ticket: str, who: Principal, query: str) -> str | None:
        """What a ticket says, where it is this person's, for this request, and still good."""
        try:
            person, digest, what, ends = loads(self._keyring.open(ticket, SEAL))
        except (Unsealable, MalformedJson, ValueError):
            return None
        return str(what) if (person, digest) == (who.id, _digest(query)) and ends > time.time() else None


def _agreed_to(choice: Choice) -> str:
    return f"agreed to {choice.reach}"


def _digest(query: str) -> str:
    return hashlib.sha256(query.encode()).hexdigest()
