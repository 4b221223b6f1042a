"""`python -m benchmarks`: measure, print a table, and with `--write` put it into the README beside this file."""

import argparse
import os
import sys

from benchmarks.load import LoadError
from benchmarks.measure import TARGETS, Wanted, measure
from benchmarks.report import markdown, write


def main() -> int:
    """Run what the command line asks for; 1 when a target failed or gave a wrong answer."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--targets", default=",".join(TARGETS), help="which to measure (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="how often each point is measured (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=1.5, help="of measuring, for each point and target (%(default)s)"
    )
    parser.add_argument("--calls", type=int, default=0, help="end each point after so many calls already")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    given = parser.parse_args()
    targets = tuple(given.targets.split(","))
    if unknown := set(targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")

    wanted = Wanted(targets, given.rounds, given.seconds, min(0.3, given.seconds / 4), given.calls)
    pinned = len(os.sched_getaffinity(0)) > 1
    try:
        report = measure(wanted, pinned, lambda line: print(line, file=sys.stderr, flush=True))
    except (RuntimeError, LoadError) as error:
        print(error, file=sys.stderr)
        return 1
    text = markdown(report, wanted, pinned)
    print(text)
    if given.write:
        write(text)
    return 1 if any(row.figures.wrong for row in report.rows) else 0


if __name__ == "__main__":
    sys.exit(main())
