"""How long Claude would have waited (K10)."""

import pytest

from portkey_mcp.doctor.budget import Spent, judged


@pytest.mark.parametrize(
    ("seconds", "verdict"), [([0.1, 0.2], "good"), ([3.0, 2.5], "doubtful"), ([9.0, 0.5, 0.6], "bad"), ([], "skipped")]
)
def test_k10_all_requests_together_fit_into_ten_seconds(seconds: list[float], verdict: str) -> None:
    assert judged([Spent(f"request {n}", one) for n, one in enumerate(seconds)]).verdict == verdict


def test_the_slowest_is_named() -> None:
    finding = judged([Spent("metadata", 1.0), Spent("registration", 9.5)])

    assert "the slowest was registration with 9.5" in finding.what
    assert "make registration faster" in finding.mend
