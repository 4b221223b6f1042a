"""The conformance matrix as it stands in the README: `python -m tests.conformance.matrix [--write README.md]`.

It comes from a real run of the official suite, which takes a minute or two.
"""

import argparse
import re
import sys
from pathlib import Path

from tests.conformance import driver, processes, suite
from tests.conformance.everything.eras import Era
from tests.conformance.suite import LEGACY, MODERN

WHY = {
    "input-required-result-basic-elicitation": (
        "it wants the question under the key `user_name`, and the question of a 2025-11-25 server has no key."
    )
}
"""Why a scenario cannot pass where it does not."""

BEGIN, END = "<!-- conformance-matrix -->", "<!-- /conformance-matrix -->"


def cell(revision: str, era: Era) -> tuple[str, list[str]]:
    """The score of one cell, with that of the tasks extension where both ends know it, and what was missed."""
    wanted = suite.required(revision, "server")
    with processes.upstream(era) as server, processes.gateway(server) as url:
        report = suite.run_server(url, revision)
    tasks = f", tasks {report.score(suite.task_scenarios())}" if (revision, era) == (MODERN, "modern") else ""
    print(f"{revision} client, {era} upstream: {report.table(wanted)}", file=sys.stderr)
    return report.score(wanted) + tasks, report.missed(wanted)


def client_leg(revision: str) -> str:
    """What passes with the gateway as the suite's client."""
    wanted = suite.client_scenarios(revision)
    return suite.run_client(driver.COMMAND, revision, wanted).score(wanted)


def matrix() -> str:
    """The Markdown table, and under it the scenarios that were missed."""
    head = f"| | upstream {LEGACY} | upstream {MODERN} | the gateway as a client (without sign-in) |"
    lines, missed = [head, "| --- | --- | --- | --- |"], []
    for revision in (LEGACY, MODERN):
        (on_legacy, missed_on_legacy), (on_modern, missed_on_modern) = (
            cell(revision, "legacy"),
            cell(revision, "modern"),
        )
        lines.append(f"| client {revision} | {on_legacy} | {on_modern} | {client_leg(revision)} |")
        missed += [*missed_on_legacy, *missed_on_modern]
    notes = [f"`{name}`: {WHY.get(name, 'to be looked into')}" for name in dict.fromkeys(missed)]
    return "\n".join([*lines, *(f"\nNot passed: {note}" for note in notes)])


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
