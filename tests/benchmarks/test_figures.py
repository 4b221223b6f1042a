"""Figures are what was counted, and are found again."""

import pytest

from benchmarks.figures import Cost, Figures, Report, Row, figures_of, middle
from benchmarks.load import Tally


def test_figures_are_nearest_rank_percentiles_in_milliseconds() -> None:
    tally = Tally(latencies=[number / 1000 for number in range(100, 0, -1)], wrong=2, elapsed=4.0)
    figures = figures_of(tally, cpu=0.5)
    assert (figures.rate, figures.cpu_us, figures.wrong) == (25.0, 5000.0, 2)
    assert (figures.p50, figures.p95, figures.p99) == pytest.approx((50.0, 95.0, 99.0))


def test_where_nothing_was_measured_there_is_no_cost() -> None:
    figures = figures_of(Tally(), cpu=0.5)
    assert (figures.rate, figures.cpu_us) == (0.0, None)


def test_rounds_come_to_their_median_and_wrong_replies_add_up() -> None:
    rounds = [Figures(rate, 1, 2, 3, cpu, 1) for rate, cpu in ((10.0, 5.0), (30.0, 1.0), (20.0, 9.0))]
    found = middle(rounds)
    assert (found.rate, found.cpu_us, found.wrong) == (20.0, 5.0, 3)
    assert middle([Figures(1, 1, 1, 1, None, 0)]).cpu_us is None


def test_a_report_is_asked_by_what_was_measured() -> None:
    figures = Figures(1, 1, 1, 1, 0.0, 2)
    report = Report([Row("echo", "legacy", "modern", 16, "gateway", figures)], [Cost("idle_rss", "Memory", 7.0, "MiB")])
    assert report.find("echo", "legacy", "modern", 16, "gateway") is figures
    assert report.find("echo", "legacy", "legacy", 16, "gateway") is None
    assert report.cpu("echo", "legacy", "modern", 16, "gateway") is None
    assert (report.cost("idle_rss"), report.cost("other"), report.wrong) == (7.0, None, 2)
