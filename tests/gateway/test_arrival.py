from typing import Any

import pytest

from portkey_mcp.gateway.arrival import Arrival, TooLarge, accepted, duplicates_of, headers_of
from tests.gateway.asgi import Exchanged

pytestmark = pytest.mark.anyio


def arrival(exchanged: Exchanged, **headers: str) -> Arrival:
    nobody: Any = None
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Arrival("POST", nobody, nobody, named, (), exchanged.receive, exchanged.send)


async def test_a_body_is_read_to_its_end_and_up_to_the_limit() -> None:
    assert await arrival(Exchanged([b"ab", b"", b"cd"])).body(4) == b"abcd"


@pytest.mark.parametrize("headers", [{}, {"content_length": "5"}, {"content_length": "five"}])
async def test_a_body_over_the_limit_is_refused_as_soon_as_that_is_certain(headers: dict[str, str]) -> None:
    exchanged = Exchanged([b"abc", b"de", b"never asked for"])

    with pytest.raises(TooLarge, match="4 bytes"):
        await arrival(exchanged, **headers).body(4)
    assert exchanged._chunks[-1] == b"never asked for"


async def test_who_leaves_before_the_end_of_a_body_has_sent_none() -> None:
    exchanged = Exchanged([])
    exchanged.hang_up()

    assert await arrival(exchanged).body(4) == b""


def test_headers_are_read_by_name_without_the_spaces_around_them_and_lines_are_kept_where_a_name_came_twice() -> None:
    lines = [(b"mcp-name", b" a b\t"), (b"accept", b"x")]
    twice = [*lines, (b"mcp-name", b"other")]

    assert headers_of({"headers": lines}) == {"mcp-name": "a b", "accept": "x"}
    assert duplicates_of({"headers": lines}, headers_of({"headers": lines})) == ()
    assert ("mcp-name", "other") in duplicates_of({"headers": twice}, headers_of({"headers": twice}))


def test_what_a_client_takes_is_read_from_its_accept_header() -> None:
    assert accepted("application/json, text/event-stream") == (True, True)
    assert accepted("Application/JSON") == (False, True)
    assert accepted("*/*") == (True, True)
    assert accepted("text/html") == (False, False)
