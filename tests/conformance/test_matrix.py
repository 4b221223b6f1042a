"""How the suite's findings are read and written down, without running it."""

import json
from pathlib import Path

import pytest

from tests.conformance.matrix import BEGIN, END, replaced
from tests.conformance.suite import Outcome, Report, read

FOUND = Report({"ping": Outcome("ping", 2, (), 2), "caching": Outcome("caching", 1, ("no ttlMs",), 2)}, "")


def test_a_scenario_that_failed_and_one_that_did_not_run_are_missed() -> None:
    wanted = ["ping", "caching", "tools-list"]

    assert FOUND.missed(wanted) == ["caching", "tools-list"]
    assert FOUND.score(wanted) == "1/3"
    assert "MISS  caching (1/2)\n          no ttlMs" in FOUND.table(wanted)
    assert "did not run" in FOUND.table(wanted)


def test_a_scenario_without_checks_is_not_passed() -> None:
    assert not Outcome("ping", 0, (), 0).passed


def test_a_client_that_ends_badly_fails_its_scenario() -> None:
    worse = FOUND.with_failure("ping", "Client exited with code 1")

    assert worse.missed(["ping"]) == ["ping"]
    assert FOUND.missed(["ping"]) == []


@pytest.mark.parametrize(
    ("folder", "scenario"),
    [
        ("server-ping-2026-11-22T20-21-39-389Z", "ping"),
        ("authorization-server-authorization-code-grant-2026-11-22T20-21-39-389Z", "authorization-code-grant"),
        ("json-schema-2020-12-preservation-2026-11-22T20-21-39-389Z", "json-schema-2020-12-preservation"),
    ],
)
def test_a_result_folder_is_read(tmp_path: Path, folder: str, scenario: str) -> None:
    checks = [
        {"id": "good", "status": "SUCCESS"},
        {"id": "bad", "status": "FAILURE", "errorMessage": "why"},
        {"id": "other", "status": "SKIPPED"},
    ]
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "checks.json").write_text(json.dumps(checks))

    assert read(tmp_path / folder / "checks.json") == Outcome(scenario, 1, ("bad: why",), 3)


def test_the_table_goes_between_its_markers_again_and_again() -> None:
    page = f"# Title\n\n{BEGIN}\n{END}\n\nThe end.\n"

    once = replaced(page, "| a |")

    assert once == f"# Title\n\n{BEGIN}\n| a |\n{END}\n\nThe end.\n"
    assert replaced(once, "| b |") == once.replace("| a |", "| b |")


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="are not in the page"):
        replaced("# Title\n", "| a |")
