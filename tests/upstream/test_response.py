"""An answer's body between the connection that brings it and whoever reads it."""

import gzip

import anyio
import pytest

from portkey_mcp.upstream.inflating import BadEncoding
from portkey_mcp.upstream.response import HIGH_WATER, Broken, Response

pytestmark = pytest.mark.anyio


class Line:
    """A connection that writes down what is asked of it."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def pause(self) -> None:
        self.said.append("pause")

    def resume(self) -> None:
        self.said.append("resume")

    def abort(self) -> None:
        self.said.append("abort")


def response(line: Line, **fields: str) -> Response:
    return Response(line, 200, "OK", {name.replace("_", "-").encode(): text.encode() for name, text in fields.items()})


async def test_pieces_come_together_and_then_the_end() -> None:
    one = response(Line())
    one.feed(b"a")
    one.feed(b"b")
    assert await one.piece() == b"ab"
    one.feed(b"c")
    one.finish()
    assert one.ended
    assert [await one.piece(), await one.piece(), await one.piece()] == [b"c", b"", b""]


async def test_who_waits_is_woken_by_the_next_piece() -> None:
    one, found = response(Line()), []

    async def read() -> None:
        found.append(await one.read(3))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            one.feed(b"ab")
            await anyio.wait_all_tasks_blocked()
            assert found == []
            one.feed(b"cd")

    assert found == [b"abcd"]


async def test_what_came_before_a_break_is_read_first() -> None:
    one = response(Line())
    one.feed(b"a")
    one.finish(Broken("torn"))

    assert await one.piece() == b"a"
    with pytest.raises(Broken, match="torn"):
        await one.piece()


async def test_the_connection_is_held_back_while_nobody_reads() -> None:
    line = Line()
    one = response(line)
    one.feed(bytes(HIGH_WATER))
    assert line.said == []
    one.feed(b"x")
    assert line.said == ["pause"]
    await one.piece()
    assert line.said == ["pause", "resume"]


async def test_closing_ends_the_connection_only_before_the_end() -> None:
    line = Line()
    done, torn = response(line), response(line)
    done.finish()
    done.close()
    assert line.said == []
    torn.close()
    torn.close()

    assert line.said == ["abort"]
    with pytest.raises(Broken, match="closed"):
        await torn.piece()


async def test_a_compressed_body_is_read_as_it_was_and_a_torn_one_is_not() -> None:
    packed = gzip.compress(b"hello" * 100)
    whole, torn = response(Line(), content_encoding="GZIP"), response(Line(), content_encoding="gzip")
    for byte in packed:
        whole.feed(bytes([byte]))
    torn.feed(packed[:-4])
    whole.finish()
    torn.finish()

    assert await whole.read(2**20) == b"hello" * 100
    with pytest.raises(BadEncoding):
        await torn.read(2**20)


async def test_a_body_that_has_ended_is_there_at_once() -> None:
    one = response(Line())
    one.feed(b"a")
    assert one.at_once() == b""
    one.feed(b"b")
    one.finish()

    assert [one.at_once(), one.at_once(), await one.piece()] == [b"ab", b"", b""]


async def test_a_body_that_broke_or_is_compressed_is_never_there_at_once() -> None:
    torn, packed = response(Line()), response(Line(), content_encoding="gzip")
    for one, error in ((torn, Broken("torn")), (packed, None)):
        one.feed(gzip.compress(b"a"))
        one.finish(error)
        assert one.at_once() == b""

    assert await torn.piece() == gzip.compress(b"a")
    assert await packed.piece() == b"a"


async def test_who_wants_more_is_not_woken_for_less_unless_it_is_the_end() -> None:
    one, found = response(Line()), []

    async def read() -> None:
        found.extend([await one.piece(4), await one.piece(4), await one.piece(4)])

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(read)
            for data in (b"ab", b"cd", b"e"):
                await anyio.wait_all_tasks_blocked()
                one.feed(data)
            await anyio.wait_all_tasks_blocked()
            one.finish()

    assert found == [b"abcd", b"e", b""]


async def test_whoever_waits_for_all_the_connection_may_hold_is_woken_before_it_is_held_back_for_good() -> None:
    line = Line()
    one, found = response(line), []

    async def read() -> None:
        found.append(await one.piece(HIGH_WATER))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            one.feed(bytes(HIGH_WATER - 1))
            one.feed(bytes(2))

    assert (len(found[0]), line.said) == (HIGH_WATER + 1, ["pause", "resume"])
