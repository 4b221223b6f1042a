"""What a run came to, in plain values: the tables and the JSON file are made of these."""

import math
from dataclasses import dataclass, field
from statistics import median

from benchmarks.load import Tally
from benchmarks.messages import Era


@dataclass(frozen=True)
class Figures:
    """What one point came to on one target; latencies in milliseconds, CPU in microseconds (None: no gateway)."""

    rate: float
    p50: float
    p95: float
    p99: float
    cpu_us: float | None
    wrong: int
    example: str = ""


@dataclass(frozen=True)
class Row:
    """One line of the report: a point on a target, medians over the rounds.

    `operation` is an operation's name, `client` and `upstream` are the eras of the two legs.
    """

    operation: str
    client: Era
    upstream: Era
    clients: int
    target: str
    figures: Figures

    @property
    def key(self) -> tuple[str, Era, Era, int, str]:
        """What tells this line from the others."""
        return self.operation, self.client, self.upstream, self.clients, self.target


@dataclass(frozen=True)
class Cost:
    """One figure that is no rate: memory, a ratio, a share. `name` is for finding it, `title` for reading it."""

    name: str
    title: str
    value: float
    unit: str


@dataclass(frozen=True)
class Report:
    """The whole run. By target: `memory` is peak MiB, `start` seconds until it listens, `versions` the peers'."""

    rows: list[Row] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)
    memory: dict[str, float] = field(default_factory=dict)
    start: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def find(self, operation: str, client: Era, upstream: Era, clients: int, target: str) -> Figures | None:
        """The figures of one line; None where it was not measured."""
        wanted = (operation, client, upstream, clients, target)
        return next((row.figures for row in self.rows if row.key == wanted), None)

    def cpu(self, operation: str, client: Era, upstream: Era, clients: int, target: str) -> float | None:
        """CPU of one call in microseconds; None where it was not measured, or was too little to be."""
        figures = self.find(operation, client, upstream, clients, target)
        return (figures.cpu_us or None) if figures is not None else None

    def cost(self, name: str) -> float | None:
        """One of the other figures; None where it was not measured."""
        return next((cost.value for cost in self.costs if cost.name == name), None)

    @property
    def wrong(self) -> int:
        """How many replies were wrong."""
        return sum(row.figures.wrong for row in self.rows)


def figures_of(tally: Tally, cpu: float | None) -> Figures:
    """A tally in figures; `cpu` are the processor seconds the target used meanwhile."""
    times = sorted(tally.latencies)
    done = len(times)
    return Figures(
        rate=done / tally.elapsed if tally.elapsed else 0.0,
        p50=_percentile(times, 50),
        p95=_percentile(times, 95),
        p99=_percentile(times, 99),
        cpu_us=None if cpu is None or not done else cpu / done * 1e6,
        wrong=tally.wrong,
        example=tally.example,
    )


def _percentile(times: list[float], percent: int) -> float:
    """The nearest-rank percentile in milliseconds; nan where nothing was measured."""
    return times[math.ceil(len(times) * percent / 100) - 1] * 1000 if times else math.nan


def middle(rounds: list[Figures]) -> Figures:
    """The medians of several rounds; wrong replies are added up."""
    cpu = [figures.cpu_us for figures in rounds if figures.cpu_us is not None]
    return Figures(
        rate=median(figures.rate for figures in rounds),
        p50=median(figures.p50 for figures in rounds),
        p95=median(figures.p95 for figures in rounds),
        p99=median(figures.p99 for figures in rounds),
        cpu_us=median(cpu) if cpu else None,
        wrong=sum(figures.wrong for figures in rounds),
        example=next((figures.example for figures in rounds if figures.example), ""),
    )
