"""One tiny run from the command line, the gateway included. No figure is judged."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measure import PLAN
from benchmarks.session import with_peers

ROOT = Path(__file__).parent.parent.parent


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_point_is_measured_on_every_target_and_every_reply_is_right() -> None:
    done = bench(*("--targets", "proxy,bare", "--parts", "calls", "--rounds", "1", "--seconds", "20", "--calls", "3"))

    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if " | " in line]
    points = [row for row in rows if len(row) == 11 and row[0] not in ("what", "---")]
    assert len(points) == sum(target in planned.targets for planned in PLAN for target in ("proxy", "bare"))
    assert {row[-1] for row in points} == {"0"}
    assert all(float(row[4].replace(",", "")) > 0 for row in points)
    [memory] = [row for row in rows if row[0] == "gateway, bare" and len(row) == 3]
    assert float(memory[1]) > 0


@pytest.mark.parametrize(
    ("option", "says"), [("--targets", "no such target: nobody"), ("--parts", "no such part: nobody")]
)
def test_what_is_unknown_is_wrong_use(option: str, says: str) -> None:
    done = bench(option, "nobody")
    assert done.returncode == 2
    assert re.search(says, done.stderr)


def test_peers_join_at_one_point_only() -> None:
    plan = with_peers(PLAN, ["fastmcp"])
    [point] = [planned for planned in plan if "fastmcp" in planned.targets]
    assert (point.operation.name, point.client, point.upstream, point.clients) == ("echo", "legacy", "legacy", 16)
    assert len(plan) == len(PLAN)
