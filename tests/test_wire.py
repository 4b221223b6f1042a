import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp import wire

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(values)
def test_what_is_written_is_read_back_the_same(value: Any) -> None:
    assert wire.loads(wire.dumps(value)) == value


@given(values)
def test_any_reader_reads_what_is_written(value: Any) -> None:
    assert json.loads(wire.dumps(value)) == value


def test_integers_beyond_64_bits_survive() -> None:
    assert wire.dumps(wire.loads(b'{"n":9223372036854775809}')) == b'{"n":9223372036854775809}'


def test_a_lone_surrogate_survives_as_an_escape() -> None:
    assert wire.dumps(wire.loads(rb'"\ud800"')) == rb'"\ud800"'


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"a":1,"a":2}', "duplicate member name 'a'"),
        (b'{"x":{"b":1,"b":1}}', "duplicate member name 'b'"),
        (b"[NaN]", "NaN is not JSON"),
        (b"-Infinity", "-Infinity is not JSON"),
        (b"1e999", "number 1e999 is out of range"),
        (b'"\xff"', "not UTF-8 at byte 1"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 501 + b"]" * 501, "nested too deeply"),
        (b'{"a":' * 501 + b"0" + b"}" * 501, "nested too deeply"),
        (b'{"a":1} {"b":2}', "Extra data"),
        (b"", "Expecting value"),
    ],
)
def test_what_readers_could_read_differently_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(wire.MalformedJson, match=reason):
        wire.loads(data)


def test_a_duplicate_among_very_many_names_is_found_in_one_pass() -> None:
    """In a pass for each name, this would take an hour, and the whole gateway with it."""
    names = b",".join(b'"%d":0' % number for number in [*range(300_000), 299_999])

    with pytest.raises(wire.MalformedJson, match="duplicate member name '299999'"):
        wire.loads(b"{" + names + b"}")


@given(st.binary())
def test_any_bytes_are_read_or_refused_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(wire.MalformedJson):
        wire.dumps(wire.loads(data))


def test_what_is_nested_as_deeply_as_it_may_be_is_read_and_written() -> None:
    wide_and_deep = b"[" + b"[]," * 1000 + b"[" * 499 + b"]" * 500
    assert wire.dumps(wire.loads(wide_and_deep)) == wide_and_deep


def test_what_is_made_of_an_object_is_made_once_per_key() -> None:
    raw = wire.Raw({"a": 1}, b'{"a":1}')
    made = raw.once("b", lambda before: {**before, "b": 2})

    assert made.text == b'{"a":1,"b":2}'
    assert raw.once("b", lambda before: {}) is made
    assert raw.once("c", lambda before: {"c": 3}) == {"c": 3}
    assert raw.once("same", lambda before: before) is raw


def test_only_so_much_that_was_made_is_kept() -> None:
    raw = wire.Raw({}, b"{}")
    first = raw.once(0, lambda _: {"n": 0})
    for number in range(1, wire.Raw.MOST_MADE + 1):
        raw.once(number, lambda _: {})

    assert raw.once(0, lambda _: {"n": 0}) is not first
