"""Credentials that are good now: from memory, from the store, or renewed, by one token request however many ask.

In one process those who need the same credential wait for one flight, which belongs to the task group of the gateway:
whoever leaves meanwhile leaves the others theirs. Between processes the row's lease decides who asks; the others look
at the row until it has another generation, or the lease is over (its holder died).

A request is shielded until its answer is stored, also from the end of the gateway: a refresh token that nobody wrote
down would be lost, and with many authorization servers the account with it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import anyio
from anyio.abc import TaskGroup

from portkey_mcp.errors import NotFetched, PortkeyError, ProviderDown
from portkey_mcp.vault.connection import Connection, Place
from portkey_mcp.vault.connections import Connections
from portkey_mcp.vault.lasting import is_good, is_renewable, is_soon, is_valid
from portkey_mcp.vault.renewing import Renew, Renewing

__all__ = ["Refreshing", "Renew"]

log = logging.getLogger(__name__)

LEASE: Final = 75.0
"""Seconds that one process may take to renew, before another one tries."""

PATIENCE: Final = 10.0
"""Seconds that callers wait for a renewal. What was asked is awaited for longer, as long as the lease allows: an answer
that comes late may bring the only refresh token that is good from then on."""

PAUSE: Final = 3.0
"""Seconds after a renewal that failed before this process tries again: a server that comes back is noticed soon, and
one that is down is not flooded."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(eq=False)
class _Flight:
    """One renewal under way, for all who wait for it. `error` says how it failed, or that it was never done."""

    began: datetime
    done: anyio.Event = field(default_factory=anyio.Event)
    found: Connection | None = None
    error: PortkeyError | None = field(default_factory=lambda: ProviderDown("the gateway is stopping"))


@dataclass(frozen=True, slots=True)
class _Failure:
    at: datetime
    error: ProviderDown


class Refreshing:
    """Good credentials of every place. `tasks` owns the renewals; it must outlive everyone who asks.

    `lease` is in seconds, and longer than a token request may take: what takes four fifths of it is given up.
    """

    def __init__(
        self,
        connections: Connections,
        tasks: TaskGroup,
        now: Callable[[], datetime] = _now,
        *,
        lease: float = LEASE,
    ) -> None:
        self._connections = connections
        self._tasks = tasks
        self._now = now
        self._renewing = Renewing(connections, now, lease)
        self._memory: dict[Place, Connection] = {}
        self._flights: dict[Place, _Flight] = {}
        self._failures: dict[Place, _Failure] = {}
        self._epoch = 0
        connections.changed = self._changed

    def ready(self, place: Place) -> Connection | None:
        """A good connection from memory, while it needs no renewal soon; None: `current` knows more."""
        found = self._memory.get(place)
        return found if found is not None and not is_soon(found, self._now()) else None

    def forget(self) -> None:
        """Another process wrote: everything is read anew. Renewals under way go on."""
        self._epoch += 1
        self._memory.clear()

    async def current(
        self, place: Place, renew: Renew | None, *, after: int = -1, makes: bool = False
    ) -> Connection | None:
        """A connection that is good now, of a later generation than `after` (one that the server refused).

        While the one there is still valid nobody waits: it is renewed beside, ahead of its end. `makes` says that
        `renew(None)` makes a credential by itself, as for the gateway's own accounts: where there is none, or it
        ended. Without, only one with a refresh token is renewed, and any other ends when it is refused or expires.

        None: nothing is connected, or it has ended; `Connections.find` says why.

        Raises:
            ProviderDown: it has to be renewed, and that is not possible just now.
            StoreDown: nobody can say.
            PortkeyError: whatever else `renew` raised.
        """
        while True:
            found = await self._known(place)
            can = renew is not None and (makes or (is_good(found) and is_renewable(found)))
            if is_good(found):
                if found.generation > after and is_valid(found, self._now()):
                    if renew is not None and can and is_soon(found, self._now()):
                        self._ahead(place, renew, after, makes=makes)
                    return found
                if not makes and not is_renewable(found):
                    return await self._over(found, refused=found.generation <= after)
            if renew is None or not can:
                return None
            flight = self._flight(place, renew, after, makes=makes)
            await self._landed(flight)
            if flight.error is not None:
                raise flight.error.with_traceback(None)  # several raise the same one
            if not is_good(flight.found):
                return None
            if flight.found.generation > after:
                return flight.found

    async def _landed(self, flight: _Flight) -> None:
        """Wait for a flight, though not without end: it goes on for itself, and its answer is kept for whoever asks
        later.

        Raises:
            ProviderDown: there is no answer yet.
        """
        left = flight.began + timedelta(seconds=PATIENCE) - self._now()
        if left > timedelta():
            with anyio.move_on_after(left.total_seconds()):
                await flight.done.wait()
        if not flight.done.is_set():
            raise ProviderDown("the authorization server has not answered yet")

    def _changed(self, place: Place) -> None:
        self._epoch += 1
        self._memory.pop(place, None)
        self._failures.pop(place, None)

    async def _known(self, place: Place) -> Connection | None:
        """From memory, else from the store. Only what is good is remembered: the rest may change any moment."""
        if (remembered := self._memory.get(place)) is not None:
            return remembered
        epoch = self._epoch
        found = await self._connections.find(place)
        self._remember(found, epoch)
        return found

    def _remember(self, found: Connection | None, epoch: int) -> None:
        """Unless something changed while it was read; never an older one in the place of a newer one."""
        if found is None or found.state != "good" or epoch != self._epoch:
            return
        known = self._memory.get(found.place)
        if known is None or known.generation < found.generation:
            self._memory[found.place] = found

    async def _over(self, found: Connection, *, refused: bool) -> Connection | None:
        """A credential that nothing renews, and that was refused or expired, has ended.

        None, unless another one was connected meanwhile.
        """
        what = "was refused by the server" if refused else "has expired, and came without a way to renew it"
        await self._connections.end(found.place, found.generation, f"the credential {what}; connect it again")
        now = await self._connections.find(found.place)
        return now if is_good(now) and is_valid(now, self._now()) else None

    def _ahead(self, place: Place, renew: Renew, after: int, *, makes: bool) -> None:
        if self._failed(place) is None:
            self._flight(place, renew, after, makes=makes)

    def _failed(self, place: Place) -> ProviderDown | None:
        """Why renewing failed, during the pause after it."""
        failure = self._failures.get(place)
        if failure is None or not timedelta() <= self._now() - failure.at < timedelta(seconds=PAUSE):
            return None
        return failure.error

    def _flight(self, place: Place, renew: Renew, after: int, *, makes: bool) -> _Flight:
        """The one under way, or a new one. One that must fail, since the last one just did, takes no task."""
        if (flight := self._flights.get(place)) is not None:
            return flight
        flight = _Flight(self._now())
        if (error := self._failed(place)) is not None:
            flight.error = error
            flight.done.set()
            return flight
        self._tasks.start_soon(
            self._fly, flight, place, renew, after, makes
        )  # first: where it fails, nobody shall wait
        self._flights[place] = flight
        return flight

    async def _fly(self, flight: _Flight, place: Place, renew: Renew, after: int, makes: bool) -> None:
        epoch = self._epoch
        try:
            flight.found, flight.error = await self._renewing.renewed(place, renew, after, makes=makes), None
            self._failures.pop(place, None)
            self._remember(flight.found, epoch)
        except (ProviderDown, NotFetched) as error:
            down = error if isinstance(error, ProviderDown) else ProviderDown(str(error))
            self._failures[place] = _Failure(self._now(), down)
            flight.error = down
        except PortkeyError as error:
            flight.error = error
        except Exception:
            log.exception("renewing the credential at %s/%s failed", place.workspace, place.server)
            flight.error = ProviderDown("the credential cannot be renewed just now")
            self._failures[place] = _Failure(self._now(), flight.error)
        finally:
            del self._flights[place]
            flight.done.set()
