"""A goal is judged by the worse era, and only where everything it needs was measured."""

import pytest

from benchmarks.figures import Cost, Figures, Report, Row
from benchmarks.goals import GOALS, Goal, added_p50, against_peer, against_proxy, cost, rate, tail
from benchmarks.messages import ERAS, Era


def row(
    target: str,
    client: Era,
    upstream: Era,
    cpu: float | None,
    *,
    clients: int = 16,
    p50: float = 1.0,
    what: str = "echo",
) -> Row:
    return Row(what, client, upstream, clients, target, Figures(100.0, p50, 2.0, 3.0, cpu, 0))


BOTH = [row("proxy", era, era, 100.0) for era in ERAS]


def test_the_worse_era_counts_against_the_proxy() -> None:
    report = Report([*BOTH, row("gateway", "legacy", "legacy", 125.0), row("gateway", "modern", "modern", 200.0)])
    assert against_proxy("echo", "gateway", across=False)(report) == 0.5
    assert against_proxy("echo", "gateway", across=True)(report) is None


def test_across_eras_the_proxy_serves_the_same_client() -> None:
    report = Report([*BOTH, row("gateway", "legacy", "modern", 100.0), row("gateway", "modern", "legacy", 400.0)])
    assert against_proxy("echo", "gateway", across=True)(report) == 0.25


def test_the_fastest_peer_is_the_one_to_beat() -> None:
    mine = row("gateway", "legacy", "legacy", 100.0)
    report = Report([mine, row("slow", "legacy", "legacy", 9_000.0), row("fast", "legacy", "legacy", 300.0)])
    assert against_peer(("slow", "fast"))(report) == 3.0
    assert against_peer(("slow",))(report) == 90.0
    assert against_peer(("other",))(report) is None


def test_latency_is_added_to_the_upstreams_own_and_the_tail_is_a_ratio() -> None:
    single = [
        row(name, era, era, 1.0, clients=1, p50=p50)
        for era in ERAS
        for name, p50 in (("direct", 0.1), ("gateway", 0.6))
    ]
    report = Report([*single, *(row("gateway", era, era, 1.0, clients=64, p50=1.5) for era in ERAS)])
    assert added_p50(report) == pytest.approx(0.5)
    assert tail(report) == 2.0
    assert added_p50(Report()) is None


def test_rates_and_single_figures_are_the_worst_of_their_kind() -> None:
    report = Report(
        [row("gateway", era, era, 1.0, what="list") for era in ERAS],
        [Cost("a", "", 1.0, ""), Cost("b", "", 2.0, "")],
    )
    assert rate("list")(report) == 100.0
    assert (cost("a", "b")(report), cost("a", "c")(report)) == (2.0, None)


def test_a_goal_is_a_bound_from_below_or_from_above() -> None:
    assert Goal("", 2, "x", cost("a")).met(2.0)
    assert not Goal("", 2, "x", cost("a")).met(1.9)
    assert Goal("", 2, "x", cost("a"), at_most=True).met(2.0)
    assert not Goal("", 2, "x", cost("a"), at_most=True).met(2.1)


def test_without_figures_no_goal_is_judged() -> None:
    assert [goal.measured(Report()) for goal in GOALS] == [None] * len(GOALS)
