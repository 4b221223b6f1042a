import asyncio

import anyio
import anyio.lowlevel
import pytest

from portkey_mcp.cut import Cuttable, WasCut

pytestmark = pytest.mark.anyio


async def test_what_is_awaited_inside_ends_when_it_is_cut() -> None:
    block = Cuttable()
    asyncio.get_running_loop().call_soon(block.cut)
    with pytest.raises(WasCut), block:
        await asyncio.Event().wait()

    await anyio.lowlevel.checkpoint()  # the task itself is not cancelled


async def test_a_block_that_nobody_cuts_is_not_touched() -> None:
    with Cuttable() as block:
        await anyio.lowlevel.checkpoint()
    block.cut()
    await anyio.lowlevel.checkpoint()

    assert not block.was_cut


async def test_cutting_twice_is_cutting_once() -> None:
    block = Cuttable()

    def twice() -> None:
        block.cut()
        block.cut()

    asyncio.get_running_loop().call_soon(twice)
    with pytest.raises(WasCut), block:
        await asyncio.Event().wait()
    await anyio.lowlevel.checkpoint()


async def test_the_outer_of_two_blocks_is_told_from_the_inner() -> None:
    outer, inner = Cuttable(), Cuttable()
    asyncio.get_running_loop().call_soon(outer.cut)
    with pytest.raises(WasCut), outer, inner:
        await asyncio.Event().wait()
    assert not inner.was_cut


async def test_both_cut_at_once_end_as_the_outer_one() -> None:
    outer, inner = Cuttable(), Cuttable()

    def both() -> None:
        inner.cut()
        outer.cut()

    asyncio.get_running_loop().call_soon(both)
    with pytest.raises(WasCut), outer, inner:
        await asyncio.Event().wait()
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    block = Cuttable()
    with anyio.CancelScope() as scope:
        scope.cancel()
        with block:
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert not block.was_cut


async def test_another_exception_that_comes_first_goes_out() -> None:
    async def fails() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ZeroDivisionError from None

    block = Cuttable()
    asyncio.get_running_loop().call_soon(block.cut)
    with pytest.raises(ZeroDivisionError), block:
        await fails()
    await anyio.lowlevel.checkpoint()
