"""A virtual client's connection reads what it needs of a reply, and says who it is as its era wants it."""

from benchmarks.connection import Place, Reply, head_of
from benchmarks.messages import ECHO


def test_the_message_of_a_stream_is_its_last_event() -> None:
    stream = b'event: message\ndata: {"method":"x"}\n\ndata: {"id":1}\n\n: bye\n\n'
    assert Reply(200, {"content-type": "text/event-stream"}, stream).message == b'{"id":1}'
    assert Reply(200, {"content-type": "application/json"}, b"{}").message == b"{}"


def test_a_head_carries_the_place_the_key_and_the_session() -> None:
    head = head_of(Place(80, "/team/files/mcp", "pk_1"), ECHO, "legacy", "s1")
    assert head.startswith(b"POST /team/files/mcp HTTP/1.1\r\nhost: 127.0.0.1:80\r\n")
    assert b"authorization: Bearer pk_1\r\n" in head
    assert b"mcp-session-id: s1\r\n" in head
    assert b"authorization" not in head_of(Place(80), ECHO, "modern")


def test_a_place_is_seen_by_one_account_after_the_other() -> None:
    place = Place(80, key="a", others=("a", "b"))
    assert [place.seen_by(number).key for number in range(3)] == ["a", "b", "a"]
    assert Place(80).seen_by(5) == Place(80)
