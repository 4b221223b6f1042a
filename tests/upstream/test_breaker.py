"""The circuit breaker, with time and chance in the test's hands."""

import pytest

from portkey_mcp.errors import UpstreamDown
from portkey_mcp.upstream.breaker import CEILING, THRESHOLD, TRIAL, Breaker, Gate, backoff


def opened() -> Breaker:
    breaker = Breaker()
    for _ in range(THRESHOLD):
        breaker.failed(100.0, 1.0)
    return breaker


def test_a_pause_doubles_up_to_a_ceiling_and_chance_scales_it() -> None:
    assert [backoff(attempt, 1.0) for attempt in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff(3, 0.25) == 2
    assert backoff(10**9, 1.0) == CEILING


def test_two_failures_are_forgiven_and_a_success_forgets_them() -> None:
    breaker = Breaker()
    breaker.failed(0, 1.0)
    breaker.failed(0, 1.0)

    assert breaker.enter(0) is None

    breaker.succeeded()
    breaker.failed(0, 1.0)
    assert not breaker.is_open


def test_the_third_failure_in_a_row_opens_it_until_the_pause_is_over() -> None:
    breaker = opened()

    assert breaker.enter(100.25) == 0.75
    assert breaker.enter(101.0) is None


def test_half_open_it_lets_one_through_and_not_the_next() -> None:
    breaker = opened()

    assert breaker.enter(101.0) is None
    assert breaker.enter(101.0) == TRIAL
    assert breaker.enter(101.0 + TRIAL) is None


def test_a_failed_trial_makes_the_pause_longer_and_a_good_one_closes_it() -> None:
    breaker = opened()
    breaker.enter(101.0)
    breaker.failed(101.0, 1.0)

    assert breaker.enter(102.0) == 1.0

    breaker.enter(103.0)
    breaker.succeeded()
    assert breaker.enter(103.0) is None
    assert breaker.enter(103.0) is None


def test_the_gate_says_why_and_when_again_and_calls_for_help_once() -> None:
    calls: list[str] = []
    now = [10.0]
    gate = Gate("up", clock=lambda: now[0], chance=lambda: 1.0, on_open=lambda: calls.append("open"))
    for _ in range(THRESHOLD + 1):
        gate.failed("it is on fire")

    with pytest.raises(UpstreamDown, match="on fire") as raised:
        gate.enter()

    assert raised.value.retry_after == 2.0
    assert not raised.value.sent
    assert gate.pause == 2.0
    assert calls == ["open"]

    now[0] = 12.0
    gate.enter()
    gate.succeeded()
    assert not gate.is_open
    assert gate.pause == 0.0
