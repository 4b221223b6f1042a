"""The benchmark measures right answers: a tiny run against the upstream and the bare proxy. No figure is judged."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.load import Tally
from benchmarks.measure import PLAN, figures_of

ROOT = Path(__file__).parent.parent.parent


def test_every_point_is_measured_on_every_target_and_every_reply_is_right() -> None:
    command = [sys.executable, "-m", "benchmarks", "--targets", "direct,proxy", "--rounds", "1"]
    done = subprocess.run([*command, "--seconds", "20", "--calls", "3"], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if " | " in line]
    points = [row for row in rows if len(row) == 11 and row[0] not in ("what", "---")]
    assert [row[:4] for row in points] == [
        [operation.title, era, str(clients), target]
        for operation, era, clients in PLAN
        for target in ("direct", "proxy")
    ]
    assert {row[-1] for row in points} == {"0"}
    assert all(float(row[4].replace(",", "")) > 0 for row in points)
    [memory] = [row for row in rows if row[0] == "proxy"]
    assert float(memory[1]) > 0


def test_an_unknown_target_is_wrong_use() -> None:
    command = [sys.executable, "-m", "benchmarks", "--targets", "direct,nobody"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert re.search("no such target: nobody", done.stderr)


def test_figures_are_nearest_rank_percentiles_in_milliseconds() -> None:
    tally = Tally(latencies=[number / 1000 for number in range(100, 0, -1)], wrong=2, elapsed=4.0)
    figures = figures_of(tally, cpu=0.5)
    assert (figures.rate, figures.cpu_per_1000, figures.wrong) == (25.0, 5.0, 2)
    assert (figures.p50, figures.p95, figures.p99) == pytest.approx((50.0, 95.0, 99.0))


def test_where_nothing_was_measured_there_is_no_cost() -> None:
    figures = figures_of(Tally(), cpu=0.5)
    assert (figures.rate, figures.cpu_per_1000) == (0.0, None)
