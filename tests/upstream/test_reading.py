import json
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.upstream.reading import Recall, read, split
from portkey_mcp.wire import Json, MalformedJson, Raw, loads

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
TRAP = {"a": ',"jsonrpc":"2.0","id":1}', "jsonrpc": "2.0", "id": 7, "result": {"}": "{"}}


def written(result: Json, order: tuple[str, ...], space: str, ident: Any = 5) -> bytes:
    members = {"jsonrpc": "2.0", "id": ident, "result": result}
    separators = (f",{space}", f":{space}")
    return (space + json.dumps({name: members[name] for name in order}, separators=separators) + space).encode()


@pytest.mark.parametrize("order", list(permutations(("jsonrpc", "id", "result"))))
@given(result=st.dictionaries(st.text(), VALUES, max_size=4), ident=st.integers() | st.text())
def test_a_result_and_its_text_say_the_same(order: tuple[str, ...], result: Json, ident: Any) -> None:
    for space in ("", " ", "\n  "):
        for one in (result, {**result, **TRAP}):
            message = read(written(one, order, space, ident))
            assert message == {"jsonrpc": "2.0", "id": ident, "result": one}
            if isinstance(message["result"], Raw):
                assert loads(message["result"].text) == one


@pytest.mark.parametrize("order", list(permutations(("jsonrpc", "id", "result"))))
@given(result=st.dictionaries(st.text(), VALUES, max_size=4), ident=st.integers() | st.text())
def test_what_came_before_is_the_same_object_again(order: tuple[str, ...], result: Json, ident: Any) -> None:
    last = read(written({**result, **TRAP}, order, "", 1))["result"]
    again = read(written({**result, **TRAP}, order, "", ident), last if isinstance(last, Raw) else None)

    assert again == {"jsonrpc": "2.0", "id": ident, "result": {**result, **TRAP}}
    if isinstance(last, Raw) and isinstance(again["result"], Raw):
        assert again["result"] is last


@pytest.mark.parametrize("order", ["jsonrpc id result", "id jsonrpc result", "result jsonrpc id", "result id jsonrpc"])
def test_the_forms_that_servers_write_keep_their_text(order: str) -> None:
    message = written({"x": 1.50, "y": TRAP}, tuple(order.split()), "").replace(b"1.5", b"1.50")

    assert b"1.50" in read(message)["result"].text


@pytest.mark.parametrize(
    "text",
    [
        b'{"jsonrpc":"2.0","id":1,"result":{"a":1},"more":2}',
        b'{"more":2,"jsonrpc":"2.0","id":1,"result":{"a":1}}',
        b'{"result":{"a":1},"more":2,"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1,"result":{"a":1},"result":{"a":1}}',
        b'{"jsonrpc":"2.0","id":1,"result":{"a":1}]',
        b'{"jsonrpc":"2.0","id":01,"result":{"a":1}}',
        b'{"jsonrpc":"2.0","id":,"result":{"a":1}}',
        b'{"jsonrpc":"2.0","id":1,"x":2,"result":{"a":1}}',
        b'{"jsonrpc":"2.0","id":1,"result":{"a":1}} {}',
    ],
)
def test_other_messages_give_no_text_even_where_the_result_is_known(text: bytes) -> None:
    last = Raw({"a": 1}, b'{"a":1}')
    for known in (None, last):
        try:
            message = read(text, known)
        except MalformedJson:
            continue
        assert not isinstance(message["result"], Raw)


def test_a_result_that_somebody_changed_is_no_longer_raw() -> None:
    raw = read(b'{"jsonrpc":"2.0","id":1,"result":{"a":1}}')["result"]

    assert isinstance(raw, Raw)
    assert type({**raw, "b": 2}) is dict


def test_what_is_no_message_is_read_all_the_same() -> None:
    assert read(b"[1]") == [1]
    assert read(b'"x"') == "x"
    assert split(b"[1]") is None


def test_only_lists_are_recalled_each_page_by_itself() -> None:
    recall = Recall()
    first, second = Raw({"tools": []}, b'{"tools":[]}'), Raw({"tools": [1]}, b'{"tools":[1]}')
    recall.keep("tools/list", None, first)
    recall.keep("tools/list", {"cursor": "b"}, second)
    recall.keep("tools/call", None, first)
    recall.keep("prompts/list", None, {"prompts": []})

    assert recall.last("tools/list", {}) is first
    assert recall.last("tools/list", {"cursor": "b"}) is second
    assert recall.last("tools/call", None) is None
    assert recall.last("prompts/list", None) is None


def test_pages_that_were_not_asked_for_lately_are_forgotten() -> None:
    recall = Recall()
    for number in range(Recall.MOST + 1):
        recall.keep("tools/list", {"cursor": str(number)}, Raw({}, b"{}"))

    assert recall.last("tools/list", {"cursor": "0"}) is None
    assert recall.last("tools/list", {"cursor": "1"}) is not None


def test_a_page_that_is_too_large_is_read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recall, "LARGEST", 3)
    recall = Recall()
    recall.keep("tools/list", None, Raw({"tools": []}, b'{"tools":[]}'))

    assert recall.last("tools/list", None) is None
