"""A call that goes on is over once, and what was to be done then is done then."""

import pytest

from portkey_mcp.gateway.passage import Passage

pytestmark = pytest.mark.anyio


async def test_what_is_to_be_done_is_done_once_when_it_is_over() -> None:
    done: list[int] = []

    async def then() -> None:
        done.append(1)

    passage = Passage()
    passage.goes_on = True
    passage.when_over(then)
    assert done == []
    for _ in range(2):
        await passage.over()
    assert done == [1]
    assert not passage.goes_on
