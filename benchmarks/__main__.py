"""`python -m benchmarks`: measure, print the tables, and with `--write` put them into the README beside this file."""

import argparse
import os
import resource
import sys

from benchmarks.connection import LoadError
from benchmarks.measure import Wanted
from benchmarks.messages import ERAS
from benchmarks.profiling import PROFILED, profile
from benchmarks.report import save, sections, write
from benchmarks.session import PARTS, run_all
from benchmarks.standing import QUICK, Scale
from benchmarks.targets import TARGETS, VARIANTS


def main() -> int:
    """Run what the command line asks for; 1 when a target failed or gave a wrong answer."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a look in a minute or two: one round, small numbers")
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/README.md, and the JSON")
    parser.add_argument("--peers", action="store_true", help="other gateways too, installed into .tools/peers")
    parser.add_argument("--profile", metavar="WHAT", choices=PROFILED, help="instead: where the time goes; %(choices)s")
    parser.add_argument(
        "--era", default="legacy", choices=ERAS, help="of the profile's client and upstream (%(default)s)"
    )
    parser.add_argument("--parts", default=",".join(PARTS), help="which to measure (default: %(default)s)")
    parser.add_argument("--targets", default=",".join(TARGETS), help="which to measure (default: %(default)s)")
    parser.add_argument("--rounds", type=int, help="how often each point is measured (default: 3)")
    parser.add_argument("--seconds", type=float, help="of measuring, for each point and target (default: 1)")
    parser.add_argument("--calls", type=int, default=0, help="end each point after so many calls already")
    given = parser.parse_args()
    targets, parts = _chosen(parser, given.targets, TARGETS, "target"), _chosen(parser, given.parts, PARTS, "part")

    # Thousands of connections and streams are open at once; the programs that are started inherit the limit.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    cores = len(os.sched_getaffinity(0)) > 1
    seconds = given.seconds or (0.5 if given.quick else 1.0)
    wanted = Wanted(targets, given.rounds or (1 if given.quick else 3), seconds, min(0.25, seconds / 4), given.calls)
    try:
        if given.profile:
            variant = next((name for name in targets if name in VARIANTS), "gateway")
            print(profile(given.profile, given.era, variant, cores, _say, given.seconds or 10))
            return 0
        report = run_all(wanted, parts, QUICK if given.quick else Scale(), given.peers, cores, _say)
    except (RuntimeError, LoadError) as error:
        print(error, file=sys.stderr)
        return 1
    found = sections(report, wanted, cores)
    print("\n\n".join(found.values()))
    if given.write:
        write(found)
        save(report, wanted)
    return 1 if report.wrong else 0


def _chosen(parser: argparse.ArgumentParser, given: str, known: tuple[str, ...], what: str) -> tuple[str, ...]:
    chosen = tuple(given.split(","))
    if unknown := set(chosen) - set(known):
        parser.error(f"no such {what}: {', '.join(sorted(unknown))}")
    return chosen


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
