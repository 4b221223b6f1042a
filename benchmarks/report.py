"""The figures as Markdown, with what a reader must know of the machine, and their place in the README."""

import os
import platform
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

from benchmarks.measure import Report, Row, Wanted

BEGIN, END = "<!-- figures -->", "<!-- /figures -->"
README = Path(__file__).with_name("README.md")
COLUMNS = (
    *("what", "era", "in flight", "target", "calls/s", "p50 ms", "p95 ms", "p99 ms"),
    *("CPU s / 1,000", "proxy : target", "wrong"),
)
LIBRARIES = ("mcp", "uvicorn", "uvloop", "httptools", "aiohttp")


def markdown(report: Report, wanted: Wanted, pinned: bool) -> str:
    """The whole report."""
    parts = [machine(), how(wanted, pinned), calls(report.rows)]
    if report.memory:
        parts.append(memory(report))
    return "\n\n".join(parts)


def machine() -> str:
    """The machine and the versions, in a sentence each; no name and no path of it."""
    cpus = os.cpu_count() or 0
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"Machine: {cpus} x {_processor()}, {gib:.0f} GiB, {platform.system()} {platform.release()}, loopback.\n"
        f"Python {platform.python_version()}, {versions}."
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def how(wanted: Wanted, pinned: bool) -> str:
    """How it was measured."""
    where = "Gateway and proxy on core 0, upstream and load on core 1" if pinned else "No program pinned to a core"
    rounds = f"{wanted.rounds} rounds of" if wanted.rounds > 1 else "one round of"
    return f"{where}; {rounds} {wanted.seconds:g} s a point after {wanted.warm_up:g} s of warming up; medians."


def calls(rows: list[Row]) -> str:
    """The table of all points, a block of targets for each."""
    lines = [f"| {' | '.join(COLUMNS)} |", "| --- " * len(COLUMNS) + "|"]
    for _, group in groupby(rows, key=lambda row: (row.operation.name, row.era, row.clients)):
        block = list(group)
        proxy = next((row.figures.cpu_per_1000 for row in block if row.target == "proxy"), None)
        lines += [_line(row, proxy) for row in block]
    return "\n".join(lines)


def _line(row: Row, proxy: float | None) -> str:
    found = row.figures
    cpu = found.cpu_per_1000
    share = f"{proxy / cpu:.2f}" if cpu and proxy else "-"
    cells = [
        row.operation.title,
        row.era,
        str(row.clients),
        row.target,
        f"{found.rate:,.0f}",
        *(f"{time:.2f}" for time in (found.p50, found.p95, found.p99)),
        "-" if cpu is None else f"{cpu:.2f}",
        share,
        str(found.wrong),
    ]
    return f"| {' | '.join(cells)} |"


def memory(report: Report) -> str:
    """Peak memory and time to start."""
    lines = ["| target | peak MiB | start s |", "| --- | --- | --- |"]
    lines += [f"| {name} | {peak:.0f} | {report.start[name]:.2f} |" for name, peak in report.memory.items()]
    return "\n".join(lines)


def write(text: str, file: Path = README) -> None:
    """Put the report between the markers of a file.

    Raises:
        ValueError: the markers are not there.
    """
    before, begin, rest = file.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file.name} has no {BEGIN} … {END}")
    file.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
