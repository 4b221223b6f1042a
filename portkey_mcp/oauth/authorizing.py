"""The authorization endpoint without its pages: what is asked, what a person can say yes to, and what follows.

Nobody is sent on before the client and its redirect URI are known to belong together; whoever is sent on takes `iss`
along, also with an error (RFC 9207), so that a client is never mixed up about who answers.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from portkey_mcp.activity.acts import Act
from portkey_mcp.addresses import Place
from portkey_mcp.model import Directory, Principal, Role
from portkey_mcp.oauth.authorization_request import (
    AuthorizationRequest,
    Parameters,
    Untrusted,
    allows,
    asked_of,
    one,
    parameters,
    redirect_of,
)
from portkey_mcp.oauth.client import Client
from portkey_mcp.oauth.grants import Granted
from portkey_mcp.oauth.redirects import host_of, with_answer
from portkey_mcp.oauth.refusal import OAuthRefusal
from portkey_mcp.oauth.server import OAuthServer
from portkey_mcp.policy.access import may_use

VIA: Final = "via"
"""Parameter of our own: the host alias at which the client began, when people sign in at the public URL."""

NextStep = Callable[[Principal, str], Awaitable[str]]
"""What a person still has to do before a client can use an endpoint (`workspace/server`): a path of ours, or empty."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Something a person can say yes to: a workspace, or one endpoint of it."""

    workspace: str
    workspace_name: str
    name: str
    title: str
    role: Role

    @property
    def reach(self) -> str:
        """Where the grant is then good."""
        return f"{self.workspace}/{self.name}" if self.name else self.workspace


def choices(directory: Directory, place: Place, who: Principal) -> list[Choice]:
    """What there is for a person at a place, by the workspace's name; at the root hub, every workspace of theirs."""
    found = []
    for slug, workspace in directory.workspaces.items():
        role = who.role_in(slug)
        if role is None or (place and slug != place[0]):
            continue
        if len(place) < 2:
            found.append(Choice(slug, workspace.name, "", "", role))
        elif server := workspace.servers.get(place[1]):
            if server.enabled and may_use(who, slug, server):
                found.append(Choice(slug, workspace.name, server.name, server.title or server.name, role))
        elif bundle := workspace.bundles.get(place[1]):
            found.append(Choice(slug, workspace.name, bundle.name, bundle.title or bundle.name, role))
    return sorted(found, key=lambda one: (one.workspace_name.casefold(), one.workspace))


class SentBack(OAuthRefusal):
    """A refusal that the client learns of: `url` is its redirect URI with the error."""

    def __init__(self, refusal: OAuthRefusal, client: Client, url: str) -> None:
        super().__init__(refusal.error, str(refusal))
        self.client, self.url = client, url


@dataclass(frozen=True, slots=True)
class Checked:
    """A request that can be granted, and the issuer in whose name it is answered."""

    asking: AuthorizationRequest
    issuer: str


class Authorizing:
    """Answers authorization requests. `next_step` says what comes before a client can use what it is given."""

    def __init__(self, server: OAuthServer, next_step: NextStep) -> None:
        self._server = server
        self.next_step = next_step

    async def check(self, query: str) -> Checked:
        """Read a request.

        Raises:
            Untrusted: nobody may be sent anywhere; for the person.
            SentBack: it cannot be granted; for the client.
            StoreDown: nobody can say.
        """
        try:
            given = parameters(query)
            ident = one(given, "client_id")
        except OAuthRefusal as refusal:
            raise Untrusted(f"The app asked in a way that cannot be read: {refusal}.") from None
        if ident is None:
            raise Untrusted("The app did not say which one it is (client_id is missing).")
        try:
            client = await self._server.clients.find(ident)
        except OAuthRefusal as refusal:
            raise Untrusted(f"The app is not known: {refusal}.") from None
        redirect_uri, issuer = redirect_of(client, given), self._issuer(given)
        try:
            addresses, aliases = self._server.addresses, self._server.directory().hosts
            return Checked(asked_of(client, redirect_uri, given, addresses, aliases), issuer)
        except OAuthRefusal as refusal:
            state = (given.get("state") or [""])[-1]
            raise SentBack(refusal, client, _error_url(redirect_uri, state, issuer, refusal)) from None

    def choices(self, asking: AuthorizationRequest, who: Principal) -> list[Choice]:
        """What a person can say yes to; none where there is nothing for them."""
        return choices(self._server.directory(), asking.place or (), who)

    async def has_agreed(self, asking: AuthorizationRequest, who: Principal, choice: Choice) -> bool:
        """Whether a person said yes to all of this before.

        Raises:
            StoreDown: nobody can say.
        """
        agreed = await self._server.grants.agreed(who.id, asking.client.id, asking.redirect_uri)
        before = agreed.get(choice.reach, ())
        return bool(before) and all(allows(before, scope) for scope in asking.scopes)

    async def remember(self, checked: Checked, who: Principal, choice: Choice) -> None:
        """Remember that a person said yes.

        Raises:
            StoreDown: it cannot be kept.
        """
        await self._server.grants.remember(self._granted(checked, who, choice, ""), checked.asking.redirect_uri)

    async def allow(self, checked: Checked, who: Principal, choice: Choice, address: str) -> str:
        """Grant what was asked; returns where the person is sent on to, with the code.

        Raises:
            OAuthRefusal: the person is no member any more.
            StoreDown: it cannot be kept.
        """
        asking, granted = checked.asking, self._granted(checked, who, choice, address)
        code = await self._server.grants.allow(granted, asking.redirect_uri, asking.challenge)
        self._note(granted, who, Act("grant"))
        answer = {"code": code, **({"state": asking.state} if asking.state else {}), "iss": checked.issuer}
        return with_answer(asking.redirect_uri, answer)

    def deny(self, checked: Checked, who: Principal | None, refusal: OAuthRefusal, address: str) -> str:
        """Refuse what was asked; returns where the person is sent on to, with the error."""
        asking = checked.asking
        self._server.note(
            Act(
                "grant",
                who=who,
                address=address,
                subject=asking.client.name,
                outcome="refused",
                why=str(refusal),
                client=asking.client.id,
            )
        )
        return _error_url(asking.redirect_uri, asking.state or "", checked.issuer, refusal)

    def _granted(self, checked: Checked, who: Principal, choice: Choice, address: str) -> Granted:
        asking = checked.asking
        return Granted(
            person=who.id,
            workspace=choice.workspace,
            client=asking.client.id,
            client_name=asking.client.name,
            redirect_host=host_of(asking.redirect_uri),
            reach=choice.reach,
            resource=asking.resource,
            scopes=asking.scopes,
            issuer=checked.issuer,
            address=address,
        )

    def _note(self, granted: Granted, who: Principal, act: Act) -> None:
        self._server.note(
            Act(
                act.act,
                who=who,
                address=granted.address,
                workspace=granted.workspace,
                subject=granted.client_name,
                client=granted.client,
                detail={"reach": granted.reach, "scopes": " ".join(granted.scopes), "to": granted.redirect_host},
            )
        )

    def _issuer(self, given: Parameters) -> str:
        """The issuer in whose name is answered: of the public URL, or of the alias at which the client began."""
        alias = (given.get(VIA) or [""])[-1].lower()
        return self._server.addresses.issuer(alias if alias in self._server.directory().hosts else "")


def _error_url(redirect_uri: str, state: str, issuer: str, refusal: OAuthRefusal) -> str:
    answer = {"error": refusal.error, "error_description": str(refusal)}
    return with_answer(redirect_uri, {**answer, **({"state": state} if state else {}), "iss": issuer})
