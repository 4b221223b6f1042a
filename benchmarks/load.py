"""The load: virtual clients, each with one kept-alive connection and one call in flight. Every reply is checked.

A closed loop: a client sends its next request when it has its reply, so the rate is what the target bears.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter

from benchmarks.connection import Connection, LoadError, Place, Reply, connect, greet, head_of
from benchmarks.messages import HUB, Era, Operation, right, template

PARSED_EVERY = 16
"""One of so many long replies is parsed; the others are searched for what they must contain."""

GRACE = 20.0
"""Seconds that a point may take beyond its time before it is given up."""


@dataclass(frozen=True)
class Point:
    """What is asked of whom: one operation in the client's era with so many calls in flight."""

    operation: Operation
    era: Era
    clients: int
    place: Place


@dataclass
class Tally:
    """What came of it. `latencies` are in seconds, of right replies within the measured time only.

    `answered` counts all replies, right or wrong, those of the warming up included.
    """

    latencies: list[float] = field(default_factory=list)
    wrong: int = 0
    answered: int = 0
    example: str = ""
    """The beginning of one of the wrong replies."""
    elapsed: float = 0.0
    most: int = 0
    """The calls after which it is enough; 0: never."""
    counting: bool = False
    stopped: bool = False
    full: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, operation: Operation, ident: int, reply: Reply, took: float) -> None:
        """Check one reply and count it, if it is time to count."""
        self.answered += 1
        if not self.counting:
            return
        if reply.status == 200 and right(operation, ident, reply.message, ident % PARSED_EVERY == 0):
            self.latencies.append(took)
        else:
            self._wrong(f"{reply.status} {reply.body[:300]!r}")
        self._enough()

    def note_cycle(self, wrong: str, took: float) -> None:
        """Count a whole cycle; `wrong` is the reply that was not right, if any."""
        self.answered += 1
        if not self.counting:
            return
        if wrong:
            self._wrong(wrong)
        else:
            self.latencies.append(took)
        self._enough()

    def _wrong(self, example: str) -> None:
        self.wrong += 1
        self.example = example

    def _enough(self) -> None:
        if self.most and len(self.latencies) + self.wrong >= self.most:
            self.full.set()


async def run(
    point: Point, *, warm_up: float, seconds: float, calls: int, mark: Callable[[], None] = lambda: None
) -> Tally:
    """Load one target for `warm_up` + `seconds`, or until `calls` replies (0: any number).

    `mark` is called when counting begins and again when it ends.

    Raises:
        LoadError: the target broke off or did not answer in time.
    """
    tally = Tally(most=calls)
    try:
        async with asyncio.timeout(warm_up + seconds + GRACE), asyncio.TaskGroup() as group:
            if point.operation.steps:
                clients = [_cycle(point, tally) for _ in range(point.clients)]
            else:
                clients = [(await Caller.enter(point)).call(tally) for _ in range(point.clients)]
            for client in clients:
                group.create_task(client)
            await asyncio.sleep(warm_up)
            mark()
            await _count(tally, seconds)
            mark()
            tally.stopped = True
    except TimeoutError:
        raise LoadError(f"{point.operation.title} did not end in time") from None
    except ExceptionGroup as failures:
        raise LoadError(f"{point.operation.title}: {failures.exceptions[0]}") from failures
    return tally


async def _count(tally: Tally, seconds: float) -> None:
    began = perf_counter()
    tally.counting = True
    try:
        async with asyncio.timeout(seconds):
            await tally.full.wait()
    except TimeoutError:
        pass
    tally.counting = False
    tally.elapsed = perf_counter() - began


class Caller:
    """One virtual client after its greeting."""

    def __init__(self, connection: Connection, point: Point, session: str) -> None:
        self.connection, self.session = connection, session
        self._operation = point.operation
        self._head = head_of(point.place, point.operation, point.era, session)
        self._template = template(point.operation, point.era)
        self._ids = self._template.count(b"%d")

    @classmethod
    async def enter(cls, point: Point) -> "Caller":
        """Connect and, in the legacy era, shake hands."""
        connection = await connect(point.place)
        session = await greet(connection, point.place, point.era) if point.era == "legacy" else ""
        return cls(connection, point, session)

    async def once(self, ident: int) -> Reply:
        """One call."""
        return await self.connection.post(self._head, self._template % ((ident,) * self._ids))

    async def call(self, tally: Tally) -> None:
        """Call until told to stop."""
        for ident in count(1):
            if tally.stopped:
                break
            began = perf_counter()
            reply = await self.once(ident)
            tally.note(self._operation, ident, reply, perf_counter() - began)
        self.connection.close()


async def _cycle(point: Point, tally: Tally) -> None:
    """Connect, introduce oneself, take every step once and close; again and again until told to stop."""
    place, era = point.place, point.era
    while not tally.stopped:
        began, wrong = perf_counter(), ""
        connection = await connect(place)
        try:
            session = await greet(connection, place, era)
            for ident, step in enumerate(point.operation.steps, 1):
                text = template(step, era)
                reply = await connection.post(head_of(place, step, era, session), text % ((ident,) * text.count(b"%d")))
                if reply.status != 200 or not right(step, ident, reply.message, tally.answered % PARSED_EVERY == 0):
                    wrong = f"{reply.status} {reply.body[:300]!r}"
        finally:
            connection.close()
        tally.note_cycle(wrong, perf_counter() - began)


async def whole_hub(place: Place, era: Era) -> tuple[int, int]:
    """Follow the hub's cursors to the end; how many different tools that were, on how many pages.

    Raises:
        LoadError: a page is no list.
    """
    point = Point(HUB, era, 1, place)
    caller = await Caller.enter(point)
    names: set[str] = set()
    cursor: str | None = None
    for page in count(1):
        params = {"cursor": cursor} if cursor else {}
        asked = json.loads(template(HUB, era) % page)
        asked["params"].update(params)
        reply = await caller.connection.post(head_of(place, HUB, era, caller.session), json.dumps(asked).encode())
        result = json.loads(reply.message or b"{}").get("result")
        if result is None:
            raise LoadError(f"page {page} of the hub's tools got {reply.status}: {reply.body[:200]!r}")
        names |= {tool["name"] for tool in result["tools"]}
        cursor = result.get("nextCursor")
        if not cursor:
            break
    caller.connection.close()
    return len(names), page
