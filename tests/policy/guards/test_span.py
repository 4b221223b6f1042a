"""Several finds in one text become few that do not overlap."""

from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.policy.guards.span import Span, merged

SPANS = st.lists(st.builds(Span, st.integers(0, 30), st.integers(0, 30), st.sampled_from("abc")), max_size=12)


def test_the_first_names_what_overlaps_and_of_those_the_longest() -> None:
    assert merged([Span(4, 9, "late"), Span(0, 3, "short"), Span(0, 5, "long")]) == [Span(0, 9, "long")]


def test_neighbours_stay_apart() -> None:
    assert merged([Span(3, 5, "b"), Span(0, 3, "a")]) == [Span(0, 3, "a"), Span(3, 5, "b")]


@given(SPANS)
def test_what_is_covered_is_exactly_what_was_found_and_nothing_twice(spans: list[Span]) -> None:
    found = merged(spans)
    covered = [place for span in found for place in range(span.start, span.end)]
    assert covered == sorted({place for span in spans for place in range(span.start, span.end)})
    assert merged(found) == found
