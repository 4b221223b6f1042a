"""Standing costs are measured on a real gateway, a few of each. No figure is judged."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import pytest

from benchmarks import standing
from benchmarks.connection import LoadError, Place
from benchmarks.messages import ECHO
from benchmarks.standing import Scale
from benchmarks.targets import Target, Upstreams

FEW = Scale(sessions=20, calls=50, waiting=8, streams=6, idle_seconds=0.1, slow_seconds=0.05)


def test_every_cost_is_measured(whole_gateway: Target) -> None:
    def start() -> AbstractContextManager[Target]:
        return nullcontext(whole_gateway)

    costs = [
        *standing.at_rest(start, start),
        *standing.sessions(start, FEW),
        *standing.growth(start, FEW),
        *standing.waiting(start, FEW),
        *standing.idle_streams(start, FEW),
    ]
    found = {cost.name: cost.value for cost in costs}
    assert len(found) == len(costs)
    assert found["idle_rss"] > 1
    assert found["start_seconds"] > 0
    assert {"sessions_modern", "growth", "slow_ratio", "streams_modern", "streams_legacy"} <= found.keys()


def test_a_wrong_reply_ends_the_measuring(upstreams: Upstreams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "ECHO", replace(ECHO, needle="never said"))
    with pytest.raises(LoadError, match="0 of 3 calls were right"):
        standing.call_some(Place(upstreams.ports["modern"]), "modern", 3)
