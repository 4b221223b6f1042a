"""The calls: every point of the plan measured on its targets in turn, round after round, all side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import uvloop

from benchmarks.figures import Figures, Row, figures_of, middle
from benchmarks.load import Point, run
from benchmarks.messages import CYCLE, ECHO, ERAS, HUB, LIST, RESULT, Era, Operation
from benchmarks.targets import TITLES, VARIANTS, Target

Say = Callable[[str], None]

SIDE_BY_SIDE = ("direct", "proxy", "gateway")
TRACED_OR_NOT = ("gateway", "untraced")


@dataclass(frozen=True)
class Planned:
    """A point of the plan: what is asked, in the client's era, of an upstream of its era, by how many, on whom."""

    operation: Operation
    client: Era
    upstream: Era
    clients: int
    targets: tuple[str, ...]


def _same(operation: Operation, clients: int, *targets: str) -> list[Planned]:
    return [Planned(operation, era, era, clients, targets) for era in ERAS]


def _across(operation: Operation, clients: int, *targets: str) -> list[Planned]:
    return [Planned(operation, era, ERAS[1 - place], clients, targets) for place, era in enumerate(ERAS)]


PLAN = (
    *_same(ECHO, 1, *SIDE_BY_SIDE),
    *_same(ECHO, 16, "direct", "proxy", *VARIANTS),
    *_across(ECHO, 16, *TRACED_OR_NOT),
    *_same(ECHO, 64, *SIDE_BY_SIDE),
    *_same(RESULT, 16, *SIDE_BY_SIDE, "untraced"),
    *_across(RESULT, 16, "gateway"),
    *_same(LIST, 16, *SIDE_BY_SIDE),
    *_same(HUB, 16, "gateway"),
    *_same(CYCLE, 16, *SIDE_BY_SIDE),
)


@dataclass(frozen=True)
class Wanted:
    """What a run was asked for. `seconds` of measuring for each point and target; `calls` ends it sooner (0: never)."""

    targets: tuple[str, ...] = SIDE_BY_SIDE
    rounds: int = 3
    seconds: float = 1.0
    warm_up: float = 0.25
    calls: int = 0


def measure(wanted: Wanted, targets: Sequence[Target], plan: Sequence[Planned], say: Say) -> list[Row]:
    """Measure what is planned on the targets that run. `say` is told of every point.

    Raises:
        benchmarks.connection.LoadError: a target broke off.
    """
    found: dict[tuple[int, str], list[Figures]] = {}
    for number, (index, planned), target in product(range(wanted.rounds), enumerate(plan), targets):
        if target.name in planned.targets:
            figures = measure_one(planned, target, wanted)
            found.setdefault((index, target.name), []).append(figures)
            say(f"round {number + 1}: {_told(planned, target, figures)}")
    return [_row(plan[index], name, rounds) for (index, name), rounds in found.items()]


def _row(planned: Planned, target: str, rounds: list[Figures]) -> Row:
    return Row(planned.operation.name, planned.client, planned.upstream, planned.clients, target, middle(rounds))


def measure_one(planned: Planned, target: Target, wanted: Wanted) -> Figures:
    """One point on one target, once."""
    place = target.places[f"hub-{planned.upstream}" if planned.operation.hub else planned.upstream]
    point = Point(planned.operation, planned.client, planned.clients, place)
    marks: list[float] = []
    seconds = max(wanted.seconds, target.least_seconds)
    tally = uvloop.run(
        run(
            point,
            warm_up=wanted.warm_up,
            seconds=seconds,
            calls=wanted.calls,
            mark=lambda: marks.append(target.used().cpu),
        )
    )
    return figures_of(tally, marks[1] - marks[0] if target.pid is not None else None)


def legs(client: Era, upstream: Era) -> str:
    """The eras of both legs in a word or three."""
    return client if client == upstream else f"{client} on {upstream}"


def _told(planned: Planned, target: Target, figures: Figures) -> str:
    what = f"{planned.operation.title}, {legs(planned.client, planned.upstream)}, {planned.clients} in flight"
    told = f"{what:52} {TITLES.get(target.name, target.name):22} {figures.rate:9,.0f}/s"
    return f"{told}; {figures.wrong} wrong replies, one of them: {figures.example}" if figures.wrong else told
