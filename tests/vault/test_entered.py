"""Headers that a person entered: filled in, theirs alone, and asked for again when they are refused."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import anyio
import pytest

from portkey_mcp.addresses import canonical
from portkey_mcp.errors import ConnectNeeded
from portkey_mcp.model import McpServer, Principal
from portkey_mcp.proof import OwnHeadersAuth
from portkey_mcp.vault.bearer import Means
from portkey_mcp.vault.connection import Credential
from portkey_mcp.vault.entered import Entered, filled
from portkey_mcp.vault.refreshing import Refreshing
from tests.vault.conftest import ADA, Keeping

pytestmark = pytest.mark.anyio

URL = "https://notes.example/mcp"
PAGE = "https://gateway.example/connect/here"
WHO = Principal(ADA.subject, "Ada", "person", {ADA.workspace: "member"})


@dataclass
class Desk:
    keeping: Keeping
    means: Means
    server: McpServer

    def entered(self) -> Entered:
        return Entered(self.means, self.server, ADA, WHO)

    async def keep(self, **entered: str) -> None:
        await self.keeping.connections.keep(ADA, Credential(canonical(URL), entered=entered), "ada")


@pytest.fixture
async def desk(keeping: Keeping) -> AsyncIterator[Desk]:
    auth = OwnHeadersAuth({"Authorization": "Bearer ${person:token}", "X-Team": "${person:team}-${person:token}"})
    server = McpServer(ADA.workspace, ADA.server, "http", url=URL, auth=auth)

    async def resolved(one: McpServer) -> tuple[str, Any]:
        return one.url, one.auth

    nothing: Any = None  # neither tokens nor machines are asked for here
    async with anyio.create_task_group() as tasks:
        refreshing = Refreshing(keeping.connections, tasks, keeping.clock)
        page = lambda server, who: PAGE  # noqa: E731
        yield Desk(
            keeping,
            Means(keeping.connections, refreshing, nothing, nothing, nothing, resolved, page, lambda provider: ""),
            server,
        )


async def test_what_was_entered_stands_in_its_places(desk: Desk) -> None:
    await desk.keep(token="t-1", team="blue")
    entered = desk.entered()
    assert entered.ready("POST", URL) is None
    lines = await entered.lines("POST", URL)
    assert lines == b"Authorization: Bearer t-1\r\nX-Team: blue-t-1\r\n"
    assert entered.ready("POST", URL) == lines


async def test_who_entered_nothing_or_too_little_is_told_where_to(desk: Desk) -> None:
    with pytest.raises(ConnectNeeded, match="needs an account of yours") as needed:
        await desk.entered().lines("POST", URL)
    assert needed.value.url == PAGE
    await desk.keep(token="t-1")
    with pytest.raises(ConnectNeeded, match="What is to be entered has changed: team"):
        await desk.entered().lines("POST", URL)


async def test_what_is_refused_is_asked_for_again_and_what_is_forbidden_is_not(desk: Desk) -> None:
    await desk.keep(token="t-1", team="blue")
    entered = desk.entered()
    lines = await entered.lines("POST", URL)
    assert not await entered.refused(lines, 403, {})
    with pytest.raises(ConnectNeeded, match="It refuses what was entered"):
        await entered.refused(lines, 401, {})
    await desk.keep(token="t-2", team="blue")
    assert await entered.refused(lines, 401, {}), "they entered another one meanwhile"
    assert b"t-2" in await entered.lines("POST", URL)


async def test_what_only_looks_like_a_place_is_sent_as_it_is(desk: Desk) -> None:
    """`$${person:x}` in the file stands for that very text, and nobody is asked for it."""
    desk.server = replace(desk.server, auth=OwnHeadersAuth({"X": "${person:token} $${person:x}"}))

    async def resolved(one: McpServer) -> tuple[str, Any]:
        return one.url, OwnHeadersAuth({"X": "${person:token} ${person:x}"})

    desk.means = replace(desk.means, resolved=resolved)
    await desk.keep(token="t-1")
    assert await desk.entered().lines("POST", URL) == b"X: t-1 ${person:x}\r\n"


def test_what_was_entered_is_not_searched_for_places_again() -> None:
    assert filled("${person:a}", {"a": "${person:b}", "b": "x"}) == "${person:b}"
