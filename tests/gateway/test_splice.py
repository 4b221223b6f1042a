import json
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.gateway.splice import result_text, spliced
from portkey_mcp.upstream.messages import result_of
from portkey_mcp.wire import Json, Raw, loads

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
TRAP = {"a": ',"jsonrpc":"2.0","id":1}', "jsonrpc": "2.0", "id": 7, "result": {"}": "{"}}


def received(text: bytes) -> Any:
    """The result of a message as a link gives it."""
    return result_of(Raw(loads(text), text), "server")


def written(result: Json, order: tuple[str, ...], space: str, ident: Any = 5) -> bytes:
    members = {"jsonrpc": "2.0", "id": ident, "result": result}
    separators = (f",{space}", f":{space}")
    return (space + json.dumps({name: members[name] for name in order}, separators=separators) + space).encode()


@pytest.mark.parametrize("order", list(permutations(("jsonrpc", "id", "result"))))
@given(result=st.dictionaries(st.text(), VALUES, max_size=4), ident=st.integers() | st.text())
def test_an_answer_around_the_bytes_that_came_says_the_same(order: tuple[str, ...], result: Json, ident: Any) -> None:
    for space in ("", " ", "\n  "):
        for one in (result, {**result, **TRAP}):
            raw = received(written(one, order, space))
            whole = spliced(ident, raw)
            if whole is not None:
                assert loads(whole) == {"jsonrpc": "2.0", "id": ident, "result": one}


@pytest.mark.parametrize("order", ["jsonrpc id result", "id jsonrpc result", "result jsonrpc id", "result id jsonrpc"])
def test_the_forms_that_servers_write_are_not_written_again(order: str) -> None:
    raw = received(written({"x": 1.50, "y": TRAP}, tuple(order.split()), "").replace(b"1.5", b"1.50"))

    assert result_text(raw) is not None
    assert b"1.50" in (spliced("a", raw) or b"")


@pytest.mark.parametrize(
    "text",
    [
        b'{"jsonrpc":"2.0","id":1,"result":{"a":1},"more":2}',
        b'{"more":2,"jsonrpc":"2.0","id":1,"result":{"a":1}}',
        b'{"result":{"a":1},"more":2,"jsonrpc":"2.0","id":1}',
    ],
)
def test_a_message_with_further_members_gives_no_text(text: bytes) -> None:
    assert not isinstance(received(text), Raw)


def test_a_result_that_somebody_changed_is_no_longer_raw() -> None:
    raw = received(b'{"jsonrpc":"2.0","id":1,"result":{"a":1}}')

    assert isinstance(raw, Raw)
    assert type({**raw, "b": 2}) is dict
