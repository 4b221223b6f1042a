"""Equal objects are one."""

from portkey_mcp.upstream.alike import LARGEST, MOST, Alike
from portkey_mcp.wire import Json


def test_what_is_written_alike_is_the_same_object() -> None:
    alike = Alike()
    first: Json = {"name": "client", "version": "1"}
    assert alike.one(first) is first
    assert alike.one({"name": "client", "version": "1"}) is first


def test_what_json_tells_apart_stays_apart() -> None:
    alike = Alike()
    alike.one({"a": 1, "b": True})
    for other in ({"b": True, "a": 1}, {"a": 1.0, "b": True}, {"a": 1, "b": 1}):
        assert alike.one(other) is other


def test_what_is_large_is_not_shared() -> None:
    alike = Alike()
    large: Json = {"name": "x" * LARGEST}
    assert alike.one(dict(large)) is not alike.one(large)


def test_only_the_latest_are_known() -> None:
    alike = Alike()
    first = alike.one({"n": 0})
    for n in range(1, MOST + 1):
        alike.one({"n": n})
    again: Json = {"n": 0}
    assert alike.one(again) is again
    assert first == again
