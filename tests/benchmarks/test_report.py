"""The report says what was measured and on what, and finds its place in the README."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.measure import Figures, Report, Row, Wanted
from benchmarks.messages import ECHO
from benchmarks.report import BEGIN, END, README, markdown, write

FIGURES = Figures(1234.5, 1.0, 2.0, 3.0, 0.5, 0)
ROWS = [
    Row(ECHO, "legacy", 16, "direct", replace(FIGURES, cpu_per_1000=None)),
    Row(ECHO, "legacy", 16, "proxy", FIGURES),
    Row(ECHO, "legacy", 16, "gateway", replace(FIGURES, cpu_per_1000=2.0, wrong=4)),
]


def test_each_target_has_its_line_and_its_share_of_the_proxy() -> None:
    text = markdown(Report(ROWS, {"gateway": 80.4}, {"gateway": 1.234}), Wanted(), pinned=True)
    assert "| tools/call echo | legacy | 16 | direct | 1,234 | 1.00 | 2.00 | 3.00 | - | - | 0 |" in text
    assert "| tools/call echo | legacy | 16 | proxy | 1,234 | 1.00 | 2.00 | 3.00 | 0.50 | 1.00 | 0 |" in text
    assert "| tools/call echo | legacy | 16 | gateway | 1,234 | 1.00 | 2.00 | 3.00 | 2.00 | 0.25 | 4 |" in text
    assert "| gateway | 80 | 1.23 |" in text
    assert "core 0" in text
    assert "Python 3." in text


def test_it_is_written_between_the_markers_as_often_as_one_likes(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write("new", file)
    write("newer", file)
    assert file.read_text() == f"before\n{BEGIN}\nnewer\n{END}\nafter\n"


def test_without_markers_nothing_is_written(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text("mine")
    with pytest.raises(ValueError, match="figures"):
        write("new", file)
    assert file.read_text() == "mine"


def test_the_readme_has_the_place() -> None:
    assert README.read_text().count(BEGIN) == README.read_text().count(END) == 1
