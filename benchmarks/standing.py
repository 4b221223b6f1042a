"""What the gateway costs by standing there: memory, sessions, slow calls, streams that say nothing.

Each function measures one thing on a gateway of its own with everything on, and returns its figures.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from time import perf_counter

import uvloop

from benchmarks.connection import LoadError, Place, connect, greet, head_of
from benchmarks.figures import Cost
from benchmarks.load import Caller, Point, Tally, run
from benchmarks.messages import ECHO, ERAS, Era, right, slow, template
from benchmarks.streams import hold_open
from benchmarks.targets import Target

Open = Callable[[], AbstractContextManager[Target]]
"""Starts a gateway."""

AT_ONCE = 16
"""Connections by which sessions are opened, and calls in flight where their number is not the point."""
PATIENCE = 300.0
"""Calls a second that a gateway must at least bear; slower is given up."""
SETTLE = 3.0
"""Seconds between the opening of the last stream and the measuring."""


@dataclass(frozen=True)
class Scale:
    """How many of everything."""

    sessions: int = 10_000
    calls: int = 500_000
    waiting: int = 1_000
    streams: int = 2_000
    idle_seconds: float = 20.0
    slow_seconds: float = 2.0


QUICK = Scale(200, 4_000, 100, 50, 2.0, 0.5)


def at_rest(start: Open, bare: Open) -> list[Cost]:
    """Start a gateway and call once: the time to that answer, and the memory after it (now, not at its peak).

    `bare` starts one with nothing on, for comparison.
    """
    seconds, idle = _first_call(start)
    _, lean = _first_call(bare)
    return [
        Cost("start_seconds", "start to the first call's answer", seconds, "s"),
        Cost("idle_rss", "memory after the first call", idle, "MiB"),
        Cost("idle_rss_bare", "memory after the first call, gateway bare", lean, "MiB"),
    ]


def _first_call(start: Open) -> tuple[float, float]:
    began = perf_counter()
    with start() as target:
        call_some(target.places["legacy"], "legacy", 1)
        return perf_counter() - began, target.used().rss


def sessions(start: Open, scale: Scale) -> list[Cost]:
    """Legacy sessions, each opened, used once and left; on a gateway of its own for each era of the upstream."""
    found = []
    for upstream in ERAS:
        with start() as target:
            place = target.places[upstream]
            uvloop.run(_open_sessions(place, max(scale.sessions // 50, AT_ONCE)))
            before = target.used().rss
            uvloop.run(_open_sessions(place, scale.sessions))
            grown = target.used().rss - before
        title = f"{scale.sessions:,} live legacy sessions, {upstream} upstream: memory grows by"
        found.append(Cost(f"sessions_{upstream}", title, grown, "MiB"))
    return found


async def _open_sessions(place: Place, count: int) -> None:
    numbers = iter(range(count))
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(_some_sessions(place, numbers))


async def _some_sessions(place: Place, numbers: Iterator[int]) -> None:
    connection = await connect(place)
    text = template(ECHO, "legacy")
    for ident in numbers:
        mine = place.seen_by(ident)
        session = await greet(connection, mine, "legacy")
        reply = await connection.post(head_of(mine, ECHO, "legacy", session), text % (ident, ident))
        if not right(ECHO, ident, reply.message, True):
            raise LoadError(f"the call of a new session got {reply.status}: {reply.body[:200]!r}")
    connection.close()


def growth(start: Open, scale: Scale) -> list[Cost]:
    """Memory before and after very many calls, half of them in each era; what the second half adds is the trend."""
    half = scale.calls // 2
    with start() as target:
        for era in ERAS:
            call_some(target.places[era], era, max(half // 25, AT_ONCE))
        marks = [target.used().rss]
        for era in ERAS:
            call_some(target.places[era], era, half)
            marks.append(target.used().rss)
    return [
        Cost("growth", f"{scale.calls:,} calls: memory grows by", marks[2] - marks[0], "MiB"),
        Cost("growth_late", "of it in the second half", marks[2] - marks[1], "MiB"),
    ]


def waiting(start: Open, scale: Scale) -> list[Cost]:
    """Very many slow calls in flight at once: CPU of each, compared with that of an echo at 16 in flight.

    The first wave pays for its connections, to the gateway and from there; the second finds them open.
    """
    with start() as target:
        place = target.places["modern"]
        call_some(place, "modern", scale.waiting)
        before = target.used().cpu
        calls = call_some(place, "modern", 5 * scale.waiting).answered
        echo = (target.used().cpu - before) / calls
        waves = uvloop.run(_waves(target, Point(slow(scale.slow_seconds), "modern", scale.waiting, place)))
    said = f"{scale.waiting:,} calls of {scale.slow_seconds:g} s at once"
    return [
        Cost("slow_first", f"{said}, new connections: CPU of one", waves[0] * 1e6, "µs"),
        Cost("slow", f"{said}, open connections: CPU of one", waves[1] * 1e6, "µs"),
        Cost("slow_echo", f"an echo on the same gateway, {AT_ONCE} at once: CPU of one", echo * 1e6, "µs"),
        Cost("slow_ratio", "slow call, open connections : echo", waves[1] / echo if echo else 0.0, "x"),
    ]


async def _waves(target: Target, point: Point) -> list[float]:
    before = target.used().cpu
    callers = [await Caller.enter(point) for _ in range(point.clients)]
    found = []
    for wave in (1, 2):
        replies = await asyncio.gather(*(caller.once(wave) for caller in callers))
        bad = [
            reply for reply in replies if reply.status != 200 or not right(point.operation, wave, reply.message, True)
        ]
        if bad:
            raise LoadError(f"{len(bad)} slow calls were not answered right: {bad[0].status} {bad[0].body[:200]!r}")
        found.append((target.used().cpu - before) / point.clients)
        before = target.used().cpu
    for caller in callers:
        caller.connection.close()
    return found


def idle_streams(start: Open, scale: Scale) -> list[Cost]:
    """Streams that are open and say nothing: CPU of the gateway meanwhile, a gateway for each kind of stream."""
    with start() as modern, start() as legacy:
        kinds: dict[Era, Target] = {"modern": modern, "legacy": legacy}
        found = uvloop.run(_idle(kinds, scale))
    titles = {"modern": "listen streams (modern)", "legacy": "GET streams (legacy)"}
    return [
        Cost(f"streams_{era}", f"{scale.streams:,} idle {titles[era]}: CPU of the gateway", share, "%")
        for era, share in found.items()
    ]


async def _idle(kinds: dict[Era, Target], scale: Scale) -> dict[Era, float]:
    held = [await hold_open(target.places[era], era, scale.streams) for era, target in kinds.items()]
    await asyncio.sleep(min(SETTLE, scale.idle_seconds))
    began, before = perf_counter(), {era: target.used().cpu for era, target in kinds.items()}
    await asyncio.sleep(scale.idle_seconds)
    took = perf_counter() - began
    shares = {era: (target.used().cpu - before[era]) / took * 100 for era, target in kinds.items()}
    for streams in held:
        for stream in streams:
            stream.check()
            stream.close()
    return shares


def call_some(place: Place, era: Era, calls: int) -> Tally:
    """Echo so often, right every time.

    Raises:
        LoadError: a reply was wrong, or they did not come in time.
    """
    point = Point(ECHO, era, min(AT_ONCE, calls), place)
    tally = uvloop.run(run(point, warm_up=0, seconds=calls / PATIENCE + 10, calls=calls))
    if tally.wrong or len(tally.latencies) < calls:
        raise LoadError(f"{len(tally.latencies)} of {calls} calls were right; one that was not: {tally.example}")
    return tally
