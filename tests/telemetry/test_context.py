"""Trace context is read when it is well formed, and else as good as absent."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from portkey_mcp.telemetry.context import below, extract, inject

PARENT = "00-11111111111111111111111111111111-2222222222222222-01"
JSON = (
    st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.text())
)


HEX = st.text("0123456789abcdef", min_size=1, max_size=3)
PARENTS = st.one_of(
    st.builds("-".join, st.tuples(*(HEX.map(lambda text, n=n: (text * n)[:n]) for n in (2, 32, 16, 2)))),
    st.from_regex(r"\A[ \t]?(00|01|ff|cc)-[0-9a-f]{31,32}-[0-9a-f]{16}-[0-9a-f]{2,3}(-x?|[ \t]*)\n?\Z"),
    st.sampled_from(
        ["", " " * 458 + PARENT, " " * 457 + PARENT, f"01{PARENT[2:]}-{'x' * 500}", "0" * 55, f"{PARENT}-"]
    ),
    st.text(),
)
STATES = st.one_of(
    st.lists(st.from_regex(r"\A[ \t]?[a-z0-9][a-z0-9@_*/-]{0,9}=[ -~]{0,9}\Z"), max_size=40).map(",".join),
    st.sampled_from(["", "a=1", "a=1,a=2", ",".join(f"k{n}=1" for n in range(33)), "a=" + "x" * 257, "," * 8193]),
    st.text(),
    st.none(),
)


@given(PARENTS, STATES)
def test_a_context_is_read_exactly_as_opentelemetry_reads_it(parent: str, state: str | None) -> None:
    carrier = {"traceparent": parent} | ({} if state is None else {"tracestate": state})
    theirs = get_current_span(TraceContextTextMapPropagator().extract(carrier, Context())).get_span_context()
    ours = extract(carrier)
    assert ours == (theirs if theirs.is_valid else None)
    if ours is not None:
        theirs_sent: dict[str, Any] = {}
        TraceContextTextMapPropagator().inject(theirs_sent, below(ours))
        assert inject(dict(carrier), ours, frozenset()) == theirs_sent


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
