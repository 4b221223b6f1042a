"""Runs the official conformance suite (npm `@modelcontextprotocol/conformance`) and reads what it found.

What a revision requires is read from the package's own frozen sets, so that nothing here has to be kept in step. A
scenario passes when it made at least one check and none of its checks is a FAILURE, as the suite itself scores it; a
client must also have ended well.
"""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml

ROOT = Path(__file__).parent.parent.parent
TOOLS = Path(os.environ.get("PORTKEY_MCP_TOOLS", ROOT / ".tools"))
"""Where `make tools` installs; the variable is for a checkout that has its tools elsewhere."""

PACKAGE = TOOLS / "node_modules" / "@modelcontextprotocol" / "conformance"
NODE = TOOLS / "node_modules" / ".bin" / "node"

LEGACY, MODERN = "2025-11-25", "2026-07-28"
Leg = Literal["server", "client"]

SUITE_TIME = 900
"""Seconds for one run of a whole requirement set; a direct run takes ten, and busy cores are slow."""

SCENARIO_TIME = 120
"""Seconds the suite gives one client scenario: it starts two programs, which on busy cores takes a while."""

AT_ONCE = 2
"""Client scenarios run side by side: one for each core of a small machine."""

SIGN_IN = "auth/"
"""What the names of sign-in scenarios begin with; their results are in a folder of that name."""

RESULT_FOLDER = re.compile(r"(?:authorization-server-|server-)?(?P<scenario>.+)-\d{4}-\d\d-\d\dT[\d-]+Z")
SIGN_IN_FOLDER = re.compile(r"(?P<scenario>.+)-\d{4}-\d\d-\d\dT[\d-]+Z")


@dataclass(frozen=True)
class Outcome:
    """What one scenario found: how many checks succeeded, and what failed, one line each.

    `warnings` are what a specification only says SHOULD of; the suite lets them pass.
    """

    scenario: str
    succeeded: int
    failures: tuple[str, ...]
    checks: int
    warnings: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return self.checks > 0 and not self.failures


@dataclass(frozen=True)
class Report:
    """The outcomes of a run by scenario, and the suite's own words for when it broke down."""

    outcomes: Mapping[str, Outcome]
    output: str

    def missed(self, required: Iterable[str]) -> list[str]:
        """Required scenarios that failed or did not run."""
        return [name for name in required if name not in self.outcomes or not self.outcomes[name].passed]

    def score(self, required: Iterable[str]) -> str:
        """`passed/required`, as the matrix has it."""
        wanted = list(required)
        return f"{len(wanted) - len(self.missed(wanted))}/{len(wanted)}"

    def with_failure(self, scenario: str, failure: str) -> "Report":
        """The same report with one more thing that failed in a scenario."""
        outcome = self.outcomes.get(scenario, Outcome(scenario, 0, (), 0))
        worse = replace(outcome, failures=(failure, *outcome.failures))
        return replace(self, outcomes={**self.outcomes, scenario: worse})

    def table(self, required: Iterable[str]) -> str:
        """One line a scenario, with every failure under it; the suite's last words when it ran nothing."""
        wanted = list(required)
        lines = [f"{self.score(wanted)} passed"]
        for name in wanted:
            outcome = self.outcomes.get(name, Outcome(name, 0, ("did not run",), 0))
            lines.append(f"  {'pass' if outcome.passed else 'MISS'}  {name} ({outcome.succeeded}/{outcome.checks})")
            lines += [f"          {failure}" for failure in outcome.failures]
            lines += [f"          (warning) {warning}" for warning in outcome.warnings]
        return "\n".join([*lines, *([] if self.outcomes else [self.output[-3000:]])])


def required(revision: str, leg: Leg) -> list[str]:
    """The frozen set of a revision, in the suite's order."""
    return list(_requirements(revision)[leg])


def task_scenarios() -> list[str]:
    """The scenarios of the tasks extension; the modern set runs them without scoring them."""
    unscored = (str(entry["scenario"]) for entry in _requirements(MODERN)["not_scored"])
    return [name for name in unscored if name.startswith("tasks-")]


def client_scenarios(revision: str) -> list[str]:
    """The client's required scenarios, and the unscored one that looks at schemas, without the sign-in ones."""
    names = [*required(revision, "client"), "json-schema-2020-12-preservation"]
    return [name for name in names if not name.startswith(SIGN_IN)]


def sign_in_scenarios(revision: str) -> list[str]:
    """The client's required scenarios of signing in to a server, and the unscored ones of every extension there is."""
    unscored = [str(entry["scenario"]) for entry in _requirements(revision)["not_scored"]]
    return [name for name in [*required(revision, "client"), *unscored] if name.startswith(SIGN_IN)]


def _requirements(revision: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((PACKAGE / "requirements" / f"{revision}.yaml").read_text())
    return found


def run_server(url: str, revision: str) -> Report:
    """Run a revision's server scenarios, the unscored ones included, against the server at `url`."""
    return _run("server", "--url", url, "--requirements", revision)


def run_client(command: str, revision: str, scenarios: Iterable[str]) -> Report:
    """Run client scenarios against `command`, which the suite starts with its server's URL as the last argument."""

    def run_one(scenario: str) -> Report:
        timeout = str(SCENARIO_TIME * 1000)
        options = ["--scenario", scenario, "--spec-version", revision, "--force", "--timeout", timeout]
        report = _run("client", "--command", command, *options)
        broken = re.search(r"Client (exited with code|timed out).*", report.output)
        return report.with_failure(scenario, broken[0]) if broken else report

    with ThreadPoolExecutor(AT_ONCE) as pool:
        reports = list(pool.map(run_one, scenarios))
    outcomes = {name: outcome for report in reports for name, outcome in report.outcomes.items()}
    return Report(outcomes, "\n".join(report.output for report in reports))


def _run(leg: Leg, *options: str) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        command = [str(NODE), str(PACKAGE / "dist" / "index.js"), leg, *options, "--output-dir", folder]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SUITE_TIME, check=False)
        found = [read(file) for file in sorted(Path(folder).rglob("checks.json"))]
        return Report({outcome.scenario: outcome for outcome in found}, done.stdout + done.stderr)


def read(file: Path) -> Outcome:
    """Read one scenario's `checks.json`, and beside it what a client driver wrote to stderr."""
    folder, signs_in = file.parent.name, file.parent.parent.name == SIGN_IN.rstrip("/")
    match = (SIGN_IN_FOLDER if signs_in else RESULT_FOLDER).fullmatch(folder)
    checks = json.loads(file.read_text())
    failures = [check for check in checks if check["status"] == "FAILURE"]
    said = file.with_name("stderr.txt")
    warnings = [check for check in checks if check["status"] == "WARNING"]
    lines = [_line(check) for check in failures]
    if failures and said.exists() and said.read_text().strip():
        lines.append(f"driver: {said.read_text().strip()[-1500:]}")
    name = match["scenario"] if match else folder
    return Outcome(
        scenario=f"{SIGN_IN}{name}" if signs_in else name,
        succeeded=sum(check["status"] == "SUCCESS" for check in checks),
        failures=tuple(lines),
        checks=len(checks),
        warnings=tuple(_line(check) for check in warnings),
    )


def _line(check: dict[str, Any]) -> str:
    return f"{check['id']}: {check.get('errorMessage') or check.get('details')}"[:600]
