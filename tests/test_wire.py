import contextlib
import json
import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portkey_mcp import wire

# Every character there is, lone surrogates too, and those that somebody might take for structure or for a line's end.
strings = st.text(
    st.characters() | st.characters(categories=["Cs"]) | st.sampled_from('{}[]:,"\\\n\u2028\u2029\x85')
) | st.sampled_from(['a":1,"a":2', "\\", '\\"', '":', "a: b", "\\u003a", "1e999", "NaN"])
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**63, max_value=2**200)
    | st.floats(allow_nan=False, allow_infinity=False)
    | strings
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(strings, inner), max_leaves=20)


def read_by_the_rules(data: bytes) -> Any:
    """The rules of `loads` as plainly as they can be written; the reference for whatever is quicker."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if any(times > 1 for times in Counter(name for name, _ in pairs).values()):
            raise ValueError("duplicate")
        return dict(pairs)

    def number(text: str) -> float:
        if math.isinf(float(text)):
            raise ValueError("overflow")
        return float(text)

    def constant(_: str) -> Any:
        raise ValueError("constant")

    return json.loads(data.decode("utf-8"), object_pairs_hook=members, parse_float=number, parse_constant=constant)


def check_against_the_rules(data: bytes) -> None:
    """`repr` tells 1 from 1.0 and from True, and 0.0 from -0.0."""
    try:
        expected = repr(read_by_the_rules(data))
    except ValueError:
        with pytest.raises(wire.MalformedJson):
            wire.loads(data)
    else:
        assert repr(wire.loads(data)) == expected


@st.composite
def texts(draw: st.DrawFn, depth: int = 0) -> bytes:
    """JSON in all the ways that it can be written, with members twice under one spelling or two."""
    space = draw(st.sampled_from([b"", b"", b"", b" ", b"\n\t"]))
    kind = draw(st.sampled_from("sssao" if depth < 4 else "s"))
    if kind == "a":
        return b"[" + space + (space + b",").join(draw(st.lists(texts(depth + 1), max_size=3))) + b"]"
    if kind == "o":
        names = st.sampled_from(
            [
                b"a",
                b"\\u0061",
                b"\\u0041",
                b"A",
                b"b",
                b"a:",
                b"a\\u003a",
                b":",
                b'\\"',
                b"\\\\",
                b'\\":1,\\"a',
                b"",
                b"\xc3\xa9",
            ]
        )
        pairs = draw(st.lists(st.tuples(names, texts(depth + 1)), max_size=4))
        return b"{" + b",".join(b'"%b"%b:%b%b' % (name, space, space, value) for name, value in pairs) + space + b"}"
    written = draw(
        scalars.map(lambda value: json.dumps(value, ensure_ascii=draw(st.booleans())).encode(errors="ignore"))
    )
    return draw(
        st.just(written)
        | st.sampled_from(
            [
                b"1e999",
                b"-1E999",
                b"NaN",
                b"-Infinity",
                b"-0",
                b"-0.0",
                b"1.50",
                b"1e5",
                b"01",
                b'"\\u003a"',
                b'"\\/"',
                b'"\xff"',
            ]
        )
    )


@given(values)
def test_what_is_written_is_read_back_the_same(value: Any) -> None:
    assert repr(wire.loads(wire.dumps(value))) == repr(value)


@given(values)
def test_any_reader_reads_what_is_written(value: Any) -> None:
    assert repr(json.loads(wire.dumps(value))) == repr(value)


@given(values)
def test_what_is_written_is_one_line_whatever_a_reader_takes_for_the_end_of_one(value: Any) -> None:
    assert len(wire.dumps({"": value}).decode().splitlines()) == 1


@settings(max_examples=500)
@given(texts())
def test_every_text_is_read_or_refused_by_the_rules(data: bytes) -> None:
    check_against_the_rules(data)


@settings(max_examples=500)
@given(values, st.data())
def test_every_text_with_a_fault_in_it_is_read_or_refused_by_the_rules(value: Any, data: st.DataObject) -> None:
    text = bytearray(wire.dumps(value))
    at = data.draw(st.integers(0, len(text)))
    fault = data.draw(
        st.sampled_from(
            [b'"', b":", b",", b"}", b"{", b"]", b"\\", b"0", b"-", b"e9999", b'"a":1,', b"\x00", b"\xed\xa0\x80"]
        )
    )
    text[at : at + data.draw(st.integers(0, 2))] = fault

    check_against_the_rules(bytes(text))


@pytest.mark.parametrize(
    "data",
    [
        rb'{"a":1,"\u0061":2}',
        rb'{"\u0061":1,"a":2}',
        b'{"a":1,"b":{"a":2,"a":2}}',
        rb'{"\\":1,"\\":1}',
        rb'{"a:":1,"a\u003a":"::"}',
        b'[{"a":{"x":":::"},"a":1}]',
        b'{"a":"%s","a":1}' % (b":" * 1000),
        b'{"a": 1, "a": 1}',
    ],
)
def test_a_name_twice_is_found_however_it_is_spelled(data: bytes) -> None:
    with pytest.raises(wire.MalformedJson, match="duplicate member name"):
        wire.loads(data)


def test_integers_beyond_64_bits_survive() -> None:
    assert wire.dumps(wire.loads(b'{"n":9223372036854775809}')) == b'{"n":9223372036854775809}'


def test_a_lone_surrogate_survives_as_an_escape() -> None:
    assert wire.dumps(wire.loads(rb'"\ud800"')) == rb'"\ud800"'


def test_a_character_beside_a_lone_surrogate_survives_as_an_escape_too() -> None:
    assert wire.dumps(["\ud800", "ä"]) == rb'["\ud800","\u00e4"]'


def test_text_is_written_in_utf_8_but_what_ends_a_line_is_escaped() -> None:
    assert wire.dumps("ä\u2028中\u2029\x85“") == '"ä\\u2028中\\u2029\\u0085“"'.encode()


def test_what_is_no_number_in_json_is_null() -> None:
    assert wire.dumps([math.nan, -math.inf]) == b"[null,null]"


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


def an_object_as_it_came(members: dict[str, Any], style: int) -> wire.Raw:
    """Compact, as Python writes it, indented, or not written yet."""
    written = (
        wire.dumps(members),
        json.dumps(members).encode(),
        b" " + json.dumps(members, indent=1).encode() + b"\n",
        None,
    )
    return wire.Raw(members, written[style])


AROUND = {
    "resultType": "complete",
    "ttlMs": 0,
    "_meta": {"a": {"b": ',"ttlMs":0}'}},
    ',"': '{"',
    "cacheScope": "private",
}
TRICKY = strings | st.sampled_from(list(AROUND))


@given(
    st.dictionaries(TRICKY, values, max_size=4),
    st.lists(st.sampled_from(list(AROUND)), unique=True),
    st.lists(st.sampled_from(list(AROUND)), unique=True),
    st.sets(TRICKY),
    st.integers(0, 3),
)
def test_members_taken_out_by_text_are_those_taken_out_of_the_object(
    own: dict[str, Any], before: list[str], after: list[str], more: set[str], style: int
) -> None:
    members = {name: AROUND[name] for name in before} | own
    members |= {name: AROUND[name] for name in after if name not in members}
    raw = an_object_as_it_came(members, style)
    gone = {*before, *after, *more}

    for names in (gone, {*before}, {*after}):
        less = raw.minus(names)
        if less is not None:
            expected = {name: value for name, value in members.items() if name not in names}
            assert repr(dict(less)) == repr(expected)
            assert repr(wire.loads(less.text)) == repr(expected)


@given(st.dictionaries(TRICKY, values, max_size=4), st.dictionaries(TRICKY, values, max_size=3), st.integers(0, 3))
def test_members_put_in_front_by_text_are_those_put_in_front_of_the_object(
    own: dict[str, Any], front: dict[str, Any], style: int
) -> None:
    more = an_object_as_it_came(own, style).plus(front)

    assert (more is None) == bool(own.keys() & front.keys())
    if more is not None:
        assert repr(dict(more)) == repr({**front, **own})
        assert repr(wire.loads(more.text)) == repr({**front, **own})


@pytest.mark.parametrize(
    ("text", "names", "left"),
    [
        (b'{"resultType":"complete","a":1.50}', ["resultType"], b'{"a":1.50}'),
        (b'{"a":1.50,"resultType":"complete"}', ["resultType"], b'{"a":1.50}'),
        (b' {"ttlMs":0,"a":1.50,"b":"x","resultType":"complete"} ', ["resultType", "b", "ttlMs"], b'{"a":1.50}'),
        (b'{"resultType":"complete"}', ["resultType"], b"{}"),
        (b'{"a":1.50,"resultType":"complete","b":2}', ["resultType"], None),
        (b'{"a":1.50, "resultType": "complete"}', ["resultType"], None),
        (b'{"a":1.50,"resultType":"compl\\u0065te"}', ["resultType"], None),
        (b'{"a":1.50,"b":{"c":0},"c":0}', ["b"], None),
        (b'{"a":1.50}', ["b"], b'{"a":1.50}'),
    ],
)
def test_members_at_either_end_are_taken_out_and_the_rest_stays_as_it_came(
    text: bytes, names: list[str], left: bytes | None
) -> None:
    less = wire.Raw(wire.loads(text), text).minus(names)

    assert (None if less is None else less.text) == left


def test_what_loses_or_gains_nothing_is_the_same_object() -> None:
    raw = wire.Raw({"a": 1})

    assert raw.minus(["b"]) is raw
    assert raw.plus({}) is raw
    assert raw.plus({"a": 1}) is None
    assert wire.Raw({"a": 1.5}, b' {"a":1.50}').plus({"b": None}).text == b'{"b":null,"a":1.50}'  # type: ignore[union-attr]
    assert wire.Raw({}, b"{ }").plus({"b": 1}).text == b'{"b":1}'  # type: ignore[union-attr]
