"""What every story may count on."""

from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest
from argon2 import PasswordHasher

from portkey_mcp.identity import passwords
from tests.stories.browser import kept


@pytest.fixture(scope="module", autouse=True)
def cheap_passwords() -> Iterator[None]:
    """Hash as quickly as can be: a story signs people in all the time. `tests/identity` has what passwords cost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "PasswordHasher", partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1))
        yield


@pytest.fixture(scope="module")
async def one_chromium() -> AsyncIterator[None]:
    """For modules with `usefixtures`: their browsers are windows of one program."""
    async with kept():
        yield
