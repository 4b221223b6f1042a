"""The incremental parser of server-sent events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.upstream.sse import Event, OversizedEventError, SseParser

STREAM = (
    b"\xef\xbb\xbf: a comment\r\n"
    b"id: 7\r\nretry: 250\r\ndata: one\r\ndata:two\r\n\r\n"
    b"event: endpoint\ndata: /messages\n\n"
    b"data\n\n"
    b"id: bad\0id\nretry: soon\ndata: \xc3\xa4\r\r"
    b"unknown: x\n\nid: 8\n\ndata: cut off"
)
EVENTS = [Event(b"one\ntwo"), Event(b"/messages", "endpoint"), Event(b""), Event("ä".encode())]


def parsed(chunks: list[bytes]) -> tuple[list[Event], SseParser]:
    parser = SseParser()
    return [event for chunk in chunks for event in parser.feed(chunk)], parser


def test_a_whole_stream_is_read_as_the_standard_says() -> None:
    events, parser = parsed([STREAM])

    assert events == EVENTS
    assert parser.last_id == "8"
    assert parser.retry_ms == 250


def test_it_does_not_matter_where_the_bytes_are_cut() -> None:
    assert parsed([bytes([byte]) for byte in STREAM])[0] == EVENTS
    for cut in range(len(STREAM)):
        assert parsed([STREAM[:cut], STREAM[cut:]])[0] == EVENTS


@given(st.lists(st.binary(max_size=8)), st.sampled_from([b"\n", b"\r", b"\r\n"]))
def test_cutting_never_changes_anything(pieces: list[bytes], end: bytes) -> None:
    stream = end.join([b"data: " + piece for piece in pieces]) + end + end

    assert parsed([bytes([byte]) for byte in stream])[0] == parsed([stream])[0]


def test_an_event_of_two_mebibytes_is_one_event() -> None:
    data = b"x" * (2 * 1024 * 1024)
    stream = b"data: " + data + b"\n\n"

    events, _ = parsed([stream[start : start + 4096] for start in range(0, len(stream), 4096)])

    assert events == [Event(data)]


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 100, b"data: xxxxxxxxxx\n" * 10, b"data\n" * 51])
def test_an_event_that_grows_too_large_is_refused_before_it_is_complete(stream: bytes) -> None:
    parser = SseParser(max_event=50)

    with pytest.raises(OversizedEventError, match="larger than 50 bytes"):
        parser.feed(stream)


@pytest.mark.parametrize(("asked", "kept"), [(b"0", 10), (b"250", 250), (b"9" * 5000, 1_000_000)])
def test_the_pause_that_a_stream_asks_for_is_kept_within_reason(asked: bytes, kept: int) -> None:
    parser = SseParser()

    parser.feed(b"retry: " + asked + b"\n")

    assert parser.retry_ms == kept


def test_a_parser_may_start_with_what_an_earlier_stream_left() -> None:
    parser = SseParser(last_id="3", retry_ms=10)

    assert (parser.last_id, parser.retry_ms) == ("3", 10)
