"""The plan covers what the goals are about, and what is measured are right answers. No figure is judged."""

from contextlib import ExitStack

from benchmarks.measure import PLAN, Planned, Wanted, legs, measure
from benchmarks.messages import ECHO, LIST
from benchmarks.targets import TARGETS, Target, Upstreams, open_target


def test_the_plan_names_targets_that_exist_and_no_point_twice() -> None:
    points = [(planned.operation.name, planned.client, planned.upstream, planned.clients) for planned in PLAN]
    assert len(set(points)) == len(points)
    assert {target for planned in PLAN for target in planned.targets} == set(TARGETS)


def test_proxy_and_upstream_are_only_asked_in_one_era() -> None:
    across = [planned for planned in PLAN if planned.client != planned.upstream]
    assert across
    assert not {"direct", "proxy"} & {target for planned in across for target in planned.targets}


def test_every_round_measures_every_point_on_its_targets(upstreams: Upstreams) -> None:
    with ExitStack() as stack:
        direct = open_target("direct", upstreams, False, stack)
    other = Target("gateway", direct.places, None)
    plan = [
        Planned(ECHO, "legacy", "legacy", 2, ("direct", "gateway")),
        Planned(LIST, "modern", "modern", 1, ("direct",)),
    ]
    told: list[str] = []
    rows = measure(Wanted(rounds=2, seconds=20, warm_up=0, calls=3), [direct, other], plan, told.append)
    assert [(row.operation, row.client, row.target) for row in rows] == [
        ("echo", "legacy", "direct"),
        ("echo", "legacy", "gateway"),
        ("list", "modern", "direct"),
    ]
    assert all(row.figures.wrong == 0 and row.figures.rate > 0 for row in rows)
    assert len(told) == 6


def test_both_legs_are_named_where_they_differ() -> None:
    assert legs("legacy", "legacy") == "legacy"
    assert legs("legacy", "modern") == "legacy on modern"
