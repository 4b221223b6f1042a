"""The report says what was measured and on what, and finds its place in the README."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.figures import Cost, Figures, Report, Row
from benchmarks.measure import Wanted
from benchmarks.report import README, SECTIONS, save, sections, write

FIGURES = Figures(1234.5, 1.0, 2.0, 3.0, 500.0, 0)
SAME = ("echo", "legacy", "legacy", 16)
REPORT = Report(
    [
        Row("echo", "legacy", "legacy", 16, "direct", replace(FIGURES, cpu_us=None)),
        Row("echo", "legacy", "legacy", 16, "proxy", FIGURES),
        Row("echo", "legacy", "legacy", 16, "gateway", replace(FIGURES, cpu_us=2000.0, wrong=4)),
        Row("echo", "legacy", "modern", 16, "gateway", replace(FIGURES, cpu_us=1000.0)),
        Row("echo", "legacy", "legacy", 16, "bare", replace(FIGURES, cpu_us=600.0)),
        Row("echo", "modern", "modern", 16, "gateway", replace(FIGURES, cpu_us=700.0)),
        Row("echo", "modern", "modern", 16, "bare", replace(FIGURES, cpu_us=650.0)),
    ],
    [Cost("idle_rss", "memory after the first call", 130.4, "MiB")],
    {"gateway": 80.4},
    {"gateway": 1.234},
    {"fastmcp": "4.1"},
)


def test_each_target_has_its_line_and_its_share_of_the_proxy() -> None:
    text = sections(REPORT, Wanted(), pinned=True)["calls"]
    assert "| tools/call echo | legacy | 16 | direct | 1,234 | 1.00 | 2.00 | 3.00 | - | - | 0 |" in text
    assert "| tools/call echo | legacy | 16 | proxy | 1,234 | 1.00 | 2.00 | 3.00 | 500 | 1.00 | 0 |" in text
    assert "| tools/call echo | legacy | 16 | gateway | 1,234 | 1.00 | 2.00 | 3.00 | 2,000 | 0.25 | 4 |" in text
    assert (
        "| tools/call echo | legacy on modern | 16 | gateway | 1,234 | 1.00 | 2.00 | 3.00 | 1,000 | 0.50 | 0 |" in text
    )


def test_a_feature_costs_what_the_bare_gateway_does_not() -> None:
    assert "| everything | +1400 | +50 |" in sections(REPORT, Wanted(), pinned=True)["features"]


def test_a_goal_says_whether_it_is_met() -> None:
    text = sections(REPORT, Wanted(), pinned=True)["goals"]
    assert "| memory after the first call | at most 120 MiB | 130 MiB | no |" in text


def test_programs_and_the_machine_have_their_parts() -> None:
    parts = sections(REPORT, Wanted(), pinned=True)
    assert "| gateway | 80 | 1.23 |" in parts["programs"]
    assert "core 0" in parts["machine"]
    assert "Python 3." in parts["machine"]
    assert "Peers: fastmcp 4.1." in parts["machine"]


def test_what_was_not_measured_has_no_part() -> None:
    assert [*sections(Report(), Wanted(), pinned=False)] == ["machine"]


def test_each_part_is_written_between_its_markers_and_the_others_stay(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text("before\n<!-- calls -->\nold\n<!-- /calls -->\n<!-- costs -->\nkept\n<!-- /costs -->\n")
    write({"calls": "new"}, file)
    write({"calls": "newer"}, file)
    assert file.read_text() == (
        "before\n<!-- calls -->\nnewer\n<!-- /calls -->\n<!-- costs -->\nkept\n<!-- /costs -->\n"
    )


def test_without_markers_nothing_is_written(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text("mine")
    with pytest.raises(ValueError, match="calls"):
        write({"calls": "new"}, file)
    assert file.read_text() == "mine"


def test_the_readme_has_the_places() -> None:
    text = README.read_text()
    for name in SECTIONS:
        assert text.count(f"<!-- {name} -->") == text.count(f"<!-- /{name} -->") == 1


def test_the_json_has_the_whole_figures_and_the_verdicts(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    save(REPORT, Wanted(), file)
    found = json.loads(file.read_text())
    assert found["rows"][0]["figures"]["rate"] == 1234.5
    assert found["costs"][0]["value"] == 130.4
    assert {
        "title": "memory after the first call",
        "goal": 120,
        "unit": "MiB",
        "measured": 130.4,
        "met": False,
    } in found["goals"]
