"""Calls of others, under way and later, that must not notice what happens meanwhile."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from tests.stories.raw_client import Heard, Json, RawClient
from tests.stories.raw_upstream_house import RawHouse

_numbers = itertools.count()


@dataclass(frozen=True)
class Others:
    """A raw house and one client of each era in it."""

    house: RawHouse
    clients: dict[str, RawClient]

    @asynccontextmanager
    async def undisturbed(self) -> AsyncIterator[None]:
        """A call of each era is under way during the block; after it they, and one more of each, are answered."""
        heard: list[tuple[str, Heard]] = []

        async def one(era: str, say: Json) -> None:
            heard.append((era, await self.clients[era].call("vendor/hold", {"say": say})))

        names = {era: f"other {next(_numbers)}" for era in self.clients}
        async with anyio.create_task_group() as group:
            for era, name in names.items():
                group.start_soon(one, era, {"hold": name, "result": {"resultType": "complete", "name": name}})
                upstream = self.house.upstream(era)
                await upstream.until(lambda upstream=upstream, name=name: name in upstream.held)
            yield
            for era, name in names.items():
                self.house.upstream(era).release(name)
        assert {era: answer.answer["result"]["name"] for era, answer in heard} == names
        for era in self.clients:
            await one(era, {"result": {"resultType": "complete", "later": era}})
            assert heard[-1][1].answer["result"]["later"] == era


async def others(house: RawHouse) -> Others:
    """A client of each era in a house."""
    return Others(house, {era: await house.through(era, era) for era in ("legacy", "modern")})
