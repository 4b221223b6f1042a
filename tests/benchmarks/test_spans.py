"""Spans that do not arrive end the run: without them the cost of tracing means nothing."""

from contextlib import nullcontext

import pytest

from benchmarks import spans
from benchmarks.connection import LoadError, Place
from benchmarks.targets import Target, Upstreams


def test_two_spans_arrive_for_each_call(
    whole_gateway: Target, upstreams: Upstreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "LAG", 1.5)
    spans.settled(upstreams.receiver, 2**62)  # what other tests called has arrived
    calm, loaded = spans.arriving(nullcontext(whole_gateway), upstreams.receiver, 0.1)
    assert calm.value == pytest.approx(spans.PER_CALL, rel=spans.TOLERANCE)
    assert 0 < loaded.value <= 100


def test_a_gateway_without_spans_is_found_out(upstreams: Upstreams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "LAG", 0.0)
    silent = Target("direct", {"modern": Place(upstreams.ports["modern"])}, None)
    with pytest.raises(LoadError, match=r"0\.00 spans for each call arrived, not 2"):
        spans.arriving(nullcontext(silent), upstreams.receiver, 0.1)
