"""Findings, and what of a stranger's text gets into them."""

from typing import get_args

import pytest

from portkey_mcp.doctor.finding import QUOTED, TITLES, Finding, Step, bad, doubtful, good, quoted, skipped


def test_every_step_has_a_title() -> None:
    assert set(TITLES) == set(get_args(Step))


def test_each_verdict_has_its_maker() -> None:
    assert good("url", "it is", 1.5) == Finding("url", "good", "it is", seconds=1.5)
    assert doubtful("url", "it may", "do this") == Finding("url", "doubtful", "it may", "do this")
    assert bad("url", "it is not", "do that", 2.0) == Finding("url", "bad", "it is not", "do that", 2.0)
    assert skipped("url", "why") == Finding("url", "skipped", "why")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("\x1b[2J\r\nred", "\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}red"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}x", "\N{REPLACEMENT CHARACTER}x"),
        (["a", 1], "['a', 1]"),
        ("x" * QUOTED, "x" * QUOTED),
        ("x" * 1000, "x" * QUOTED + "…"),
    ],
)
def test_a_stranger_s_text_is_short_and_cannot_steer_a_terminal(value: object, text: str) -> None:
    assert quoted(value) == text
