"""Where the gateway's time goes: py-spy on it for ten seconds under load, and the frames that hold most of it.

Only a thread that holds the interpreter is seen: that is what calls wait for. py-spy is taken from PATH or from
`.tools/py-spy`, where it is installed when it is nowhere.
"""

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import uvloop

from benchmarks.load import Point, run
from benchmarks.measure import Say
from benchmarks.messages import CYCLE, ECHO, HUB, LIST, RESULT, Era
from benchmarks.processes import ROOT, pinned, python
from benchmarks.targets import LOAD_CORE, open_target, open_upstreams

FOLDER = ROOT / ".tools/py-spy"
PROFILED = {operation.name: operation for operation in (ECHO, RESULT, LIST, HUB, CYCLE)}
SECONDS = 10.0
WARM_UP = 1.0
SHOWN = 30
PER_SECOND = 500
IN_FLIGHT = 16
LOOP = "Runner.run (asyncio/runners.py)"
"""The frame that stands for the event loop and, being C, for all it does by itself: sockets, timers, callbacks."""


def profile(name: str, era: Era, target: str, cores: bool, say: Say, seconds: float = SECONDS) -> str:
    """Profile one operation on one gateway; returns the tables. The folded stacks are kept in a temporary folder.

    Raises:
        RuntimeError: py-spy cannot be installed, or may not look into another process.
        benchmarks.connection.LoadError: the gateway broke off.
    """
    spy = _py_spy()
    file = Path(tempfile.mkdtemp(prefix="portkey-mcp-profile-"), f"{name}-{era}-{target}.folded.txt")
    with ExitStack() as stack:
        gateway = open_target(target, open_upstreams(cores, stack), cores, stack)
        place = gateway.places[f"hub-{era}" if PROFILED[name].hub else era]
        point = Point(PROFILED[name], era, IN_FLIGHT, place)
        say(f"profiling {PROFILED[name].title}, {era}, for {seconds:g} s")
        given = ["--gil", "--format", "raw", "--rate", str(PER_SECOND), "--duration", f"{seconds:.0f}"]
        with pinned(LOAD_CORE if cores else None):
            uvloop.run(run(point, warm_up=0, seconds=WARM_UP, calls=0))
            command = [spy, "record", *given, "--output", str(file), "--pid", str(gateway.pid)]
            spying = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            tally = uvloop.run(run(point, warm_up=0, seconds=seconds + WARM_UP, calls=0))
        said, _ = spying.communicate(timeout=60)
    if spying.returncode or not file.exists():
        raise RuntimeError(f"py-spy: {said.decode(errors='replace').strip()[-500:]}")
    rate = len(tally.latencies) / tally.elapsed
    return (
        f"{rate:,.0f}/s while watched.\n\n{tables(file.read_text())}\n\nStacks for speedscope or a flame graph: {file}"
    )


def _py_spy() -> str:
    if found := shutil.which("py-spy") or shutil.which("py-spy", path=str(FOLDER / "bin")):
        return found
    pip = [str(FOLDER / "bin/python"), "-m", "pip", "install", "--quiet", "py-spy"]
    for command in (python("-m", "venv", str(FOLDER)), pip):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"py-spy is not installed and cannot be: {done.stdout.strip()[-300:]}")
    return str(FOLDER / "bin/py-spy")


def tables(folded: str) -> str:
    """The frames that hold most, by the time in them and all they call, and by the time in themselves alone."""
    inclusive, own, total = summary(folded)
    parts = [f"{total:,} samples."]
    for title, counted in (("with all it calls", inclusive), ("itself", own)):
        lines = [f"| % | frame, {title} |", "| --- | --- |"]
        lines += [f"| {count / total * 100:.1f} | {frame} |" for frame, count in counted.most_common(SHOWN)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def summary(folded: str) -> tuple[Counter[str], Counter[str], int]:
    """Samples by function, inclusive and own, and how many there are.

    A line is `outer (file:1);inner (file:2) 7`: the stack, outermost first, and how often it was seen. A function that
    is several times in one stack counts once.
    """
    inclusive: Counter[str] = Counter()
    own: Counter[str] = Counter()
    for line in folded.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = _below_the_loop([_function(frame) for frame in stack.split(";")])
        for frame in set(frames):
            inclusive[frame] += int(count)
        own[frames[-1]] += int(count)
    return inclusive, own, sum(own.values())


def _below_the_loop(frames: list[str]) -> list[str]:
    """A stack without what only leads to the event loop, which is the same in every sample."""
    return frames[frames.index(LOOP) + 1 :] or [LOOP] if LOOP in frames else frames


def _function(frame: str) -> str:
    """A frame without its line, so that the lines of one function count together."""
    return re.sub(r":\d+\)$", ")", frame)
