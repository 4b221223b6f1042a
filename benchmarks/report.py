"""The figures as Markdown and as JSON, with what a reader must know of the machine, and their place in the README."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

from benchmarks.figures import Report, Row
from benchmarks.goals import GOALS
from benchmarks.measure import Wanted, legs
from benchmarks.messages import CYCLE, ERAS, OPERATIONS
from benchmarks.targets import TITLES, VARIANTS

README = Path(__file__).with_name("README.md")
RESULTS = Path(__file__).with_name("results.json")
SECTIONS = ("machine", "goals", "calls", "features", "costs", "programs")
"""What the README has a place for, between `<!-- name -->` and `<!-- /name -->`."""

COLUMNS = (
    *("what", "era", "in flight", "target", "per second", "p50 ms", "p95 ms", "p99 ms"),
    *("CPU µs", "proxy : target", "wrong"),
)
LIBRARIES = ("mcp", "uvicorn", "uvloop", "httptools", "aiohttp")
NAMES = {operation.name: operation.title for operation in (*OPERATIONS, CYCLE)}


def sections(report: Report, wanted: Wanted, pinned: bool) -> dict[str, str]:
    """The parts of the report by name; a part without figures is left out."""
    parts = {
        "machine": f"{machine()}{peers(report)}\n\n{how(wanted, pinned)}",
        "goals": goals(report),
        "calls": calls(report.rows),
        "features": features(report),
        "costs": costs(report),
        "programs": programs(report),
    }
    return {name: text for name, text in parts.items() if text}


def machine() -> str:
    """The machine and the versions, in a sentence each; no name and no path of it."""
    cpus = os.cpu_count() or 0
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"Machine: {cpus} x {_processor()}, {gib:.0f} GiB, {platform.system()} {platform.release()}, loopback.\n"
        f"Python {platform.python_version()}, {versions}."
    )


def peers(report: Report) -> str:
    """The versions of the peers, as one more sentence."""
    return (
        f" Peers: {', '.join(f'{name} {number}' for name, number in report.versions.items())}."
        if report.versions
        else ""
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def how(wanted: Wanted, pinned: bool) -> str:
    """How it was measured."""
    where = (
        "Gateway, proxy and peers on core 0, upstream, receiver and load on core 1"
        if pinned
        else "No program pinned to a core"
    )
    rounds = f"{wanted.rounds} rounds of" if wanted.rounds > 1 else "one round of"
    return f"{where}; {rounds} {wanted.seconds:g} s a point after {wanted.warm_up:g} s of warming up; medians."


def goals(report: Report) -> str:
    """What was promised, what was measured, and whether the one is the other."""
    found = [(goal, goal.measured(report)) for goal in GOALS]
    lines = []
    for goal, value in found:
        if value is not None:
            bound = f"{'at most' if goal.at_most else 'at least'} {goal.goal:,g} {goal.unit}"
            lines.append((goal.title, bound, f"{_short(value)} {goal.unit}", "yes" if goal.met(value) else "no"))
    return _table(("goal", "wanted", "measured", "met"), lines)


def calls(rows: list[Row]) -> str:
    """The table of all points, a block of targets for each."""
    proxies = {(row.operation, row.client, row.clients): row.figures.cpu_us for row in rows if row.target == "proxy"}
    lines = []
    for _, block in groupby(rows, key=lambda row: (row.operation, row.client, row.upstream, row.clients)):
        lines += [_cells(row, proxies.get((row.operation, row.client, row.clients))) for row in block]
    return _table(COLUMNS, lines)


def _cells(row: Row, proxy: float | None) -> tuple[str, ...]:
    found = row.figures
    cpu = found.cpu_us
    return (
        NAMES[row.operation],
        legs(row.client, row.upstream),
        str(row.clients),
        TITLES.get(row.target, row.target),
        f"{found.rate:,.0f}",
        *(f"{time:.2f}" for time in (found.p50, found.p95, found.p99)),
        "-" if cpu is None else f"{cpu:,.0f}",
        f"{proxy / cpu:.2f}" if cpu and proxy else "-",
        str(found.wrong),
    )


def features(report: Report) -> str:
    """What each feature costs: CPU of an echo at 16 in flight, beyond the bare gateway's."""
    lines = []
    for name, variant in VARIANTS.items():
        costs = []
        for era in ERAS:
            mine, bare = (report.cpu("echo", era, era, 16, target) for target in (name, "bare"))
            costs.append(f"{mine - bare:+.0f}" if mine and bare else "")
        if variant.feature and all(costs):
            lines.append((variant.feature, *costs))
    return _table(("feature", *(f"CPU µs a call, {era}" for era in ERAS)), lines)


def costs(report: Report) -> str:
    """Everything that is no rate of calls."""
    return _table(("what", "", ""), [(cost.title, _short(cost.value), cost.unit) for cost in report.costs])


def programs(report: Report) -> str:
    """Peak memory over the whole run, and time until a program listens."""
    lines = [
        (TITLES.get(name, name), f"{peak:.0f}", f"{report.start[name]:.2f}") for name, peak in report.memory.items()
    ]
    return _table(("target", "peak MiB", "start s"), lines)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def _table(columns: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> str:
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(cells)} |" for cells in (columns, ("---",) * len(columns), *lines)])


def write(parts: Mapping[str, str], file: Path = README) -> None:
    """Put each part between its markers; what the run did not measure keeps the figures that stand there.

    Raises:
        ValueError: a part has no place.
    """
    text = file.read_text()
    for name, part in parts.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"{file.name} has no {begin} … {end}")
        text = f"{before}{begin}\n{part}\n{end}{after}"
    file.write_text(text)


def save(report: Report, wanted: Wanted, file: Path = RESULTS) -> None:
    """Write every figure, unrounded, with the machine it was measured on."""
    judged = [
        {"title": goal.title, "goal": goal.goal, "unit": goal.unit, "measured": value, "met": goal.met(value)}
        for goal in GOALS
        if (value := goal.measured(report)) is not None
    ]
    whole = {"machine": machine().splitlines(), "wanted": asdict(wanted), **asdict(report), "goals": judged}
    file.write_text(json.dumps(whole, indent=1) + "\n")
