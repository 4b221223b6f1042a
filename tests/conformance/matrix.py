"""The conformance matrix as it stands in the README: `python -m tests.conformance.matrix [--write README.md]`.

It comes from a real run of the official suite, which takes a minute or two.
"""

import argparse
import re
import sys
from pathlib import Path

from tests.conformance import processes, suite
from tests.conformance.everything.eras import Era
from tests.conformance.suite import LEGACY, MODERN
from tests.conformance.test_client_suite import DRIVER

BEGIN, END = "<!-- conformance-matrix -->", "<!-- /conformance-matrix -->"


def cell(revision: str, era: Era) -> str:
    """One cell: what passes directly in the same era is what is asked for here; tasks where both ends know them."""
    wanted = suite.required(revision, "server")
    with processes.upstream(era) as server, processes.gateway(server) as url:
        report = suite.run_server(url, revision)
    tasks = f", tasks {report.score(suite.task_scenarios())}" if (revision, era) == (MODERN, "modern") else ""
    print(f"{revision} client, {era} upstream: {report.table(wanted)}", file=sys.stderr)
    return report.score(wanted) + tasks


def client_leg(revision: str) -> str:
    """What passes with the gateway as the suite's client."""
    wanted = suite.client_scenarios(revision)
    return suite.run_client(DRIVER, revision, wanted).score(wanted)


def matrix() -> str:
    """The Markdown table."""
    rows = [
        f"| client {revision} | {cell(revision, 'legacy')} | {cell(revision, 'modern')} | {client_leg(revision)} |"
        for revision in (LEGACY, MODERN)
    ]
    head = f"| | upstream {LEGACY} | upstream {MODERN} | the gateway as a client (without sign-in) |"
    return "\n".join([head, "| --- | --- | --- | --- |", *rows])


def replaced(page: str, table: str) -> str:
    """The page with the table between its two markers.

    Raises:
        ValueError: the markers are not there.
    """
    between = re.compile(f"({re.escape(BEGIN)}\n).*?(\n?{re.escape(END)})", re.DOTALL)
    if not between.search(page):
        raise ValueError(f"{BEGIN} and {END} are not in the page")
    return between.sub(lambda found: f"{found[1]}{table}\n{END}", page)


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the conformance suite through the gateway and show the matrix.")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table between its markers in this file")
    chosen = parser.parse_args()
    table = matrix()
    if chosen.write is not None:
        chosen.write.write_text(replaced(chosen.write.read_text(), table))
    print(table)


if __name__ == "__main__":
    main()
