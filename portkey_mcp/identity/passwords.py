"""Passwords of people: hashed with Argon2id as RFC 9106 advises, compared in threads, and guessing them is slowed.

A comparison takes some 50 ms and 64 MB on purpose, so at most two run at once. It is made for an e-mail address that
nobody has, too: how long an answer takes tells nobody who has an account. Every failure has the same words, for the
same reason. Fails closed: a hash that cannot be read fits no password.
"""

import ipaddress
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio
import anyio.to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError

from portkey_mcp.errors import Mistake, StoreDown, Unauthenticated
from portkey_mcp.identity import members
from portkey_mcp.identity.people import People
from portkey_mcp.identity.tables import PersonRow
from portkey_mcp.model import LONGEST_EMAIL, Principal, folded_email
from portkey_mcp.storage.database import Database

SHORTEST: Final = 12
"""Characters of a password."""
LONGEST: Final = 1024
"""Characters of a password; more is no password of anybody, and only costs."""

AT_ONCE: Final = 2
"""Comparisons at the same time, each on a core and with 64 MB."""

FREE_FOR_AN_ACCOUNT: Final = 3
FREE_FOR_AN_ADDRESS: Final = 20
"""Failures before the first pause; a whole office may have one address."""
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds. Each further failure doubles the pause."""
FORGOTTEN_AFTER: Final = 900.0
"""Seconds without a failure after which earlier ones count no more."""
MOST_REMEMBERED: Final = 10_000
"""Accounts, and addresses, of which failures are remembered; of more, those with the fewest are forgotten."""

WRONG: Final = (
    "The e-mail address or the password is wrong, or there were too many attempts. "
    "Check both; after several failures wait a minute before the next attempt."
)


class WrongPassword(Unauthenticated):
    """Nobody's e-mail address and password. `str()` is always the same; `why` is for the audit, and for nobody else."""

    def __init__(self, why: str) -> None:
        super().__init__(WRONG)
        self.why = why


@dataclass(slots=True)
class _Failures:
    number: int
    opens: float


class Guesses:
    """Failures of late, by account or by address. An attempt counts as failed until it is known not to have.

    So attempts made at the same time gain nothing. An attempt during a pause counts for nothing: it is refused unread,
    and makes the pause no longer.
    """

    def __init__(self, free: int, clock: Callable[[], float] = time.monotonic, most: int = MOST_REMEMBERED) -> None:
        self._free = free
        self._clock = clock
        self._most = most
        self._of: dict[str, _Failures] = {}

    def is_open(self, key: str) -> bool:
        """Whether an attempt may be made now."""
        found = self._of.get(key)
        return found is None or found.opens <= self._clock()

    def begin(self, key: str) -> None:
        """Count an attempt, and begin the pause after it."""
        now = self._clock()
        found = self._of.get(key)
        if found is None or found.opens + FORGOTTEN_AFTER <= now:
            self._make_room(now)
            found = self._of[key] = _Failures(0, now)
        found.number += 1
        over = found.number - self._free
        found.opens = now + (min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(over, 10)) if over >= 0 else 0.0)

    def forget(self, key: str) -> None:
        """It was no guess, and whoever made it proved to be the account's owner: earlier failures were theirs."""
        self._of.pop(key, None)

    def take_back(self, key: str) -> None:
        """It was no guess, but earlier ones may have been: a guesser can have an account of their own."""
        found = self._of.get(key)
        if found is not None:
            found.number -= 1
            found.opens = self._clock()
            if found.number <= 0:
                del self._of[key]

    def _make_room(self, now: float) -> None:
        if len(self._of) < self._most:
            return
        self._of = {key: one for key, one in self._of.items() if one.opens + FORGOTTEN_AFTER > now}
        while len(self._of) >= self._most:
            del self._of[min(self._of, key=lambda key: (self._of[key].number, self._of[key].opens))]


class Passwords:
    """Hashes and checks passwords of `people`. `hasher` and `clock` are other ones in tests."""

    def __init__(
        self,
        database: Database,
        people: People,
        hasher: PasswordHasher | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._people = people
        self._hasher = hasher or PasswordHasher()
        self._threads = anyio.CapacityLimiter(AT_ONCE)
        self._accounts = Guesses(FREE_FOR_AN_ACCOUNT, clock)
        self._addresses = Guesses(FREE_FOR_AN_ADDRESS, clock)
        self._nobodys = ""

    async def hashed(self, password: str) -> str:
        """The hash of a new password.

        Raises:
            Mistake: it is too short, or too long.
        """
        if not SHORTEST <= len(password) <= LONGEST:
            raise Mistake(f"the password has {len(password)} characters; expected {SHORTEST} to {LONGEST}")
        return await anyio.to_thread.run_sync(self._hasher.hash, _bytes(password), limiter=self._threads)

    async def set(self, email: str, password: str) -> str:
        """Give a person a new password; returns the person's id.

        Raises:
            Mistake: there is no such person, or the password is too short or too long.
        """
        made = await self.hashed(password)
        async with self._database.write() as session:
            row = await members.known(session, email)
            row.password = made
        return row.id

    async def check(self, email: str, password: str, address: str) -> Principal:
        """Whose e-mail address and password these are; `address` is where they come from, an IP address or empty.

        Raises:
            WrongPassword: nobody's, or there were too many failures; always in the same words.
            StoreDown: nobody can say.
        """
        account, network = folded_email(email[:LONGEST_EMAIL]), _network(address)
        if not (self._accounts.is_open(account) and self._addresses.is_open(network)):
            raise WrongPassword("too many attempts; not looked at")
        self._accounts.begin(account)
        self._addresses.begin(network)
        try:
            principal = await self._checked(email, password)
        except SQLAlchemyError as error:
            self._accounts.take_back(account)
            self._addresses.take_back(network)
            raise StoreDown(f"people cannot be read: {type(error).__name__}") from None
        self._accounts.forget(account)
        self._addresses.take_back(network)
        return principal

    async def _checked(self, email: str, password: str) -> Principal:
        if not self._nobodys:
            self._nobodys = await anyio.to_thread.run_sync(self._hasher.hash, b"nobody's", limiter=self._threads)
        row = None
        if len(email) <= LONGEST_EMAIL:
            async with self._database.read() as session:
                row = await members.find(session, email)
        has_one = row is not None and row.password != ""
        against = row.password if row is not None and has_one else self._nobodys
        fits = len(password) <= LONGEST and await self._fits(against, password)
        if row is None or not has_one or not fits or row.disabled is not None:
            raise WrongPassword(_why(row, fits))
        if self._hasher.check_needs_rehash(row.password):
            await self._rehash(row, password)
        await self._people.refresh()
        principal = self._people.principal(row.id)
        if principal is None:
            raise WrongPassword(_why(None, fits))
        return principal

    async def _fits(self, made: str, password: str) -> bool:
        return await anyio.to_thread.run_sync(self._verify, made, _bytes(password), limiter=self._threads)

    def _verify(self, made: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(made, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _rehash(self, row: PersonRow, password: str) -> None:
        """Keep the password under today's parameters, unless it was changed meanwhile."""
        made = await anyio.to_thread.run_sync(self._hasher.hash, _bytes(password), limiter=self._threads)
        async with self._database.write(announce=False) as session:
            same = update(PersonRow).filter_by(id=row.id, password=row.password)
            await session.execute(same.values(password=made))


def _why(row: PersonRow | None, fits: bool) -> str:
    if row is None:
        return "nobody has this address"
    if row.password == "":
        return "has no password"
    return "is disabled" if fits else "wrong password"


def _bytes(password: str) -> bytes:
    """The same bytes for the same characters, however a keyboard composes them (NIST SP 800-63B, section 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


def _network(address: str) -> str:
    """Whose failures count together: of IPv6 the /64 that one subscriber has at least."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped or ipaddress.IPv6Network((found.packed[:8] + bytes(8), 64)))
    return str(found)
