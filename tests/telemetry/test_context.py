"""Trace context is read when it is well formed, and else as good as absent."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.telemetry.context import below, extract, inject

PARENT = "00-11111111111111111111111111111111-2222222222222222-01"
JSON = (
    st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.text())
)


def test_a_context_comes_back_as_it_went() -> None:
    context = extract({"traceparent": PARENT, "tracestate": "a=1"})
    assert context is not None
    assert inject({"x": 1}, context, frozenset()) == {"x": 1, "traceparent": PARENT, "tracestate": "a=1"}


@pytest.mark.parametrize(
    "parent",
    [
        None,
        5,
        "",
        "00-" + "0" * 32 + "-2222222222222222-01",
        "ff" + PARENT[2:],
        PARENT.upper().replace("1", "A"),
        PARENT + "-x",
        [PARENT],
    ],
)
def test_a_malformed_parent_is_none(parent: Any) -> None:
    assert extract({"traceparent": parent}) is None


@given(st.dictionaries(st.sampled_from(["traceparent", "tracestate", "baggage"]), JSON | st.just(PARENT)))
def test_whatever_stands_there_reading_and_writing_do_not_fail(carrier: dict[str, Any]) -> None:
    context = extract(carrier)
    below(context)
    known = extract({"traceparent": PARENT})
    assert known is not None
    assert inject(carrier, known, frozenset({"a"}))["traceparent"] == PARENT
