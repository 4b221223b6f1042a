"""Who is signed in: reads the cookie of a browser session, hands it out, and takes it back.

The cookie carries nothing but a random value. Over https its name begins with `__Host-`, so that browsers take it from
this very origin only (RFC 6265bis, section 4.1.3.2); that prefix needs https, so a gateway on plain http has another.
Fails closed: no cookie, a wrong one, or a person who is gone is nobody.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from fastapi import Request, Response

from portkey_mcp.identity.sessions import LIFE, BrowserSession, BrowserSessions
from portkey_mcp.model import Principal

SECURE_COOKIE: Final = "__Host-portkey"
PLAIN_COOKIE: Final = "portkey"


class People(Protocol):
    """What pages ask about people."""

    async def check_password(self, email: str, password: str, address: str) -> Principal:
        """Whose e-mail address and password these are, sent from an IP address; slows guessing.

        Raises:
            Unauthenticated: nobody's, or for any other reason; it is not told which.
            StoreDown: nobody can say.
        """
        ...

    async def principal(self, person: str) -> Principal | None:
        """The person with this id as they are now; None for one who is gone."""
        ...

    async def is_empty(self) -> bool:
        """Whether there is no person at all yet.

        Raises:
            StoreDown: nobody can say.
        """
        ...


class SignedIn:
    """Browsers and the people behind them. `origin` is the gateway's public one.

    `forget` forgets what else came of a person's sign-ins, when they sign out everywhere.
    """

    def __init__(
        self,
        sessions: BrowserSessions,
        people: People,
        origin: str,
        forget: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self._sessions = sessions
        self._people = people
        self._forget = forget
        self._secure = origin.lower().startswith("https://")
        self._name = SECURE_COOKIE if self._secure else PLAIN_COOKIE

    async def who(self, request: Request) -> Principal | None:
        """The person whose browser sends this, or None.

        Raises:
            StoreDown: nobody can say.
        """
        person = await self._sessions.find(self._value(request))
        return None if person is None else await self._people.principal(person)

    async def sessions(self, request: Request, principal: Principal) -> Sequence[BrowserSession]:
        """Where a person is signed in, this browser first.

        Raises:
            StoreDown: they cannot be read.
        """
        return await self._sessions.all(principal.id, self._value(request))

    async def begin(self, request: Request, response: Response, principal: Principal, address: str) -> None:
        """Sign this browser in, with a value it never had before; whoever was signed in with it until now is not.

        Raises:
            StoreDown: it cannot be kept.
        """
        value = await self._sessions.begin(principal.id, request.headers.get("user-agent", ""), address)
        await self._sessions.end(self._value(request))
        self._set(response, value, int(LIFE.total_seconds()))

    async def end(self, request: Request, response: Response, *, everywhere: bool = False) -> None:
        """Sign this browser out, or every browser of the person who is signed in with it.

        Raises:
            StoreDown: it cannot be written, and the session goes on.
        """
        value = self._value(request)
        person = await self._sessions.find(value) if everywhere else None
        if person is not None and self._forget is not None:
            await self._forget(person)
        await (self._sessions.end(value) if person is None else self._sessions.end_all(person))
        self._set(response, "", 0)

    def _value(self, request: Request) -> str:
        return request.cookies.get(self._name, "")

    def _set(self, response: Response, value: str, seconds: int) -> None:
        response.set_cookie(
            self._name, value, max_age=seconds, path="/", secure=self._secure, httponly=True, samesite="lax"
        )
