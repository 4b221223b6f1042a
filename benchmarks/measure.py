"""One run: every target started side by side, every point measured on each of them in turn, round after round."""

import json
import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter

import uvloop

from benchmarks.load import Point, Tally, run
from benchmarks.messages import ECHO, ERAS, LIST, RESULT, VERSIONS, Era, Operation
from benchmarks.processes import Usage, free_port, pinned, python, running, usage

TARGETS = ("direct", "proxy", "gateway")
GATEWAY_CORE, LOAD_CORE = 0, 1

PLAN: tuple[tuple[Operation, Era, int], ...] = tuple(
    (operation, era, clients)
    for operation, clients in ((ECHO, 1), (ECHO, 16), (LIST, 16), (RESULT, 16))
    for era in ERAS
)
"""What is measured: operation, era of both legs, calls in flight."""


@dataclass(frozen=True)
class Wanted:
    """What a run was asked for. `seconds` of measuring for each point and target; `calls` ends it sooner (0: never)."""

    targets: tuple[str, ...] = TARGETS
    rounds: int = 2
    seconds: float = 1.5
    warm_up: float = 0.3
    calls: int = 0


@dataclass(frozen=True)
class Target:
    """A program under load. `pid` is None for the upstream itself, which is no target but the ceiling."""

    name: str
    ports: dict[Era, int]
    pid: int | None
    start: float


@dataclass(frozen=True)
class Figures:
    """What one point came to on one target; latencies in milliseconds, CPU None where there is no gateway."""

    rate: float
    p50: float
    p95: float
    p99: float
    cpu_per_1000: float | None
    wrong: int
    example: str = ""


@dataclass(frozen=True)
class Row:
    """One line of the report: a point on a target, medians over the rounds."""

    operation: Operation
    era: Era
    clients: int
    target: str
    figures: Figures


@dataclass(frozen=True)
class Report:
    """The whole run. `memory` is peak MiB and `start` seconds until the first answer, by target."""

    rows: list[Row]
    memory: dict[str, float]
    start: dict[str, float]


def measure(wanted: Wanted, cores: bool, say: Callable[[str], None]) -> Report:
    """Run everything that is wanted. `cores` pins programs to cores; `say` is told of every point.

    Raises:
        RuntimeError: a program did not start.
        benchmarks.load.LoadError: a target broke off.
    """
    with ExitStack() as stack:
        targets = _start(wanted.targets, cores, stack)
        found: dict[tuple[int, str], list[Figures]] = {}
        with pinned(LOAD_CORE if cores else None):
            for number, (index, point), target in product(range(wanted.rounds), enumerate(PLAN), targets):
                figures = _figures(target, *point, wanted)
                found.setdefault((index, target.name), []).append(figures)
                say(f"round {number + 1}: {_told(target, *point, figures)}")
        rows = [Row(*PLAN[index], name, _middle(rounds)) for (index, name), rounds in found.items()]
        memory = {target.name: usage(target.pid).peak for target in targets if target.pid is not None}
        return Report(rows, memory, {target.name: target.start for target in targets if target.pid is not None})


def _told(target: Target, operation: Operation, era: Era, clients: int, figures: Figures) -> str:
    what = f"{operation.title}, {era}, {clients} in flight"
    told = f"{what:45} {target.name:8} {figures.rate:9,.0f} calls/s"
    return f"{told}; {figures.wrong} wrong replies, one of them: {figures.example}" if figures.wrong else told


def _start(names: tuple[str, ...], cores: bool, stack: ExitStack) -> list[Target]:
    """Start the upstreams and the targets; all end with `stack`."""
    ports: dict[Era, int] = {era: free_port() for era in ERAS}
    for era, port in ports.items():
        command = python("-m", "benchmarks.upstream", str(port), era)
        stack.enter_context(running(command, port, "/", LOAD_CORE if cores else None))
    openers = {"direct": _nobody, "proxy": _proxy, "gateway": _gateway}
    return [stack.enter_context(openers[name](ports, GATEWAY_CORE if cores else None)) for name in names]


@contextmanager
def _nobody(upstreams: dict[Era, int], core: int | None) -> Iterator[Target]:
    yield Target("direct", upstreams, None, 0.0)


@contextmanager
def _proxy(upstreams: dict[Era, int], core: int | None) -> Iterator[Target]:
    port = free_port()
    urls = [f"http://127.0.0.1:{upstreams[era]}/mcp" for era in ERAS]
    began = perf_counter()
    with running(python("-m", "benchmarks.proxy", str(port), *urls), port, _path("modern"), core) as pid:
        yield Target("proxy", dict.fromkeys(ERAS, port), pid, perf_counter() - began)


@contextmanager
def _gateway(upstreams: dict[Era, int], core: int | None) -> Iterator[Target]:
    port = free_port()
    servers = {era: {"url": f"http://127.0.0.1:{upstreams[era]}/mcp", "protocol": VERSIONS[era]} for era in ERAS}
    document = {"version": 1, "gateway": {"auth": "none"}, "workspaces": {"bench": {"servers": servers}}}
    with tempfile.TemporaryDirectory(prefix="portkey-mcp-bench-") as folder:
        config = Path(folder, "portkey.yaml")
        config.write_text(json.dumps(document))
        serve = ["serve", "--config", str(config), "--data", str(Path(folder, "data")), "--port", str(port)]
        command = python("-c", "from portkey_mcp.cli import main; main()", *serve)
        began = perf_counter()
        with running(command, port, "/readyz", core) as pid:
            yield Target("gateway", dict.fromkeys(ERAS, port), pid, perf_counter() - began)


def _path(era: Era) -> str:
    return f"/bench/{era}/mcp"


def _figures(target: Target, operation: Operation, era: Era, clients: int, wanted: Wanted) -> Figures:
    point = Point(operation, era, clients, target.ports[era], _path(era))
    marks: list[Usage] = []

    def mark() -> None:
        if target.pid is not None:
            marks.append(usage(target.pid))

    tally = uvloop.run(run(point, warm_up=wanted.warm_up, seconds=wanted.seconds, calls=wanted.calls, mark=mark))
    cpu = marks[1].cpu - marks[0].cpu if marks else None
    return figures_of(tally, cpu)


def figures_of(tally: Tally, cpu: float | None) -> Figures:
    """A tally in figures; `cpu` are the processor seconds the target used meanwhile."""
    times = sorted(tally.latencies)
    done = len(times)
    return Figures(
        rate=done / tally.elapsed if tally.elapsed else 0.0,
        p50=_percentile(times, 50),
        p95=_percentile(times, 95),
        p99=_percentile(times, 99),
        cpu_per_1000=None if cpu is None or not done else cpu / done * 1000,
        wrong=tally.wrong,
        example=tally.example,
    )


def _percentile(times: list[float], percent: int) -> float:
    """The nearest-rank percentile in milliseconds; nan where nothing was measured."""
    return times[math.ceil(len(times) * percent / 100) - 1] * 1000 if times else math.nan


def _middle(rounds: list[Figures]) -> Figures:
    cpu = [figures.cpu_per_1000 for figures in rounds if figures.cpu_per_1000 is not None]
    return Figures(
        rate=median(figures.rate for figures in rounds),
        p50=median(figures.p50 for figures in rounds),
        p95=median(figures.p95 for figures in rounds),
        p99=median(figures.p99 for figures in rounds),
        cpu_per_1000=median(cpu) if cpu else None,
        wrong=sum(figures.wrong for figures in rounds),
    )
