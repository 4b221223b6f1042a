"""Durations and sizes as people write them; everything else is refused with an example."""

import pytest

from portkey_mcp.policy.measures import seconds, size


@pytest.mark.parametrize(
    ("text", "length"), [("500ms", 0.5), ("60s", 60), ("1.5m", 90), ("2h", 7200), ("1d", 86400), (" 5 s ", 5)]
)
def test_durations(text: str, length: float) -> None:
    assert seconds(text) == length


@pytest.mark.parametrize("wrong", [60, "60", "", "s", "-5s", "5 years", "1m30s", None, True, "0s"])
def test_what_is_no_duration(wrong: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        seconds(wrong)


@pytest.mark.parametrize(
    ("text", "length"), [("500B", 500), ("150KB", 150_000), ("64KiB", 65_536), ("2MB", 2_000_000), ("1.5kb", 1500)]
)
def test_sizes(text: str, length: int) -> None:
    assert size(text) == length


@pytest.mark.parametrize("wrong", [150, "150", "", "KB", "-1KB", "5GB", None, "0B", "0.1B"])
def test_what_is_no_size(wrong: object) -> None:
    with pytest.raises(ValueError, match="size"):
        size(wrong)
