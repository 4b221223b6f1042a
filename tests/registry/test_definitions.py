"""Definitions are noted as they are seen, decided by people, and never admitted before, by whatever process."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from portkey_mcp.errors import Mistake
from portkey_mcp.model import McpServer
from portkey_mcp.policy.decide import Thing
from portkey_mcp.policy.document import ServerPolicy
from portkey_mcp.registry import definitions as module
from portkey_mcp.registry.definitions import Definitions, digest_of
from portkey_mcp.registry.known import LARGEST, MOST, MOST_VERSIONS
from portkey_mcp.registry.registry import Registry
from portkey_mcp.registry.tables import WorkspaceRow
from portkey_mcp.storage.database import Database
from portkey_mcp.wire import Json

pytestmark = pytest.mark.anyio

FREE, PIN = ServerPolicy(), ServerPolicy(pin=True)
REVIEW, BOTH = ServerPolicy(new_tools="review"), ServerPolicy(pin=True, new_tools="review")
FILES = McpServer("demo", "files", "http", "http://127.0.0.1:1/mcp")


def clock() -> Callable[[], datetime]:
    """A clock on which each moment is a second after the one before."""
    seconds = count()
    return lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(seconds))


def tool(description: str, name: str = "read") -> Json:
    return {"name": name, "description": description}


def offer(to: Definitions, held: ServerPolicy, *tools: Json, server: McpServer = FILES) -> None:
    to.seen(server, held, {one["name"]: (digest_of(one), one) for one in tools})


def admitted(by: Definitions, held: ServerPolicy, one: Json, server: McpServer = FILES) -> bool:
    return by.admits(server.key, held, one["name"], digest_of(one))


@pytest.fixture
async def database(database: Database, registry: Registry) -> Database:
    await registry.add_server(FILES)
    return database


@pytest.fixture
def definitions(database: Database) -> Definitions:
    return Definitions(database, clock())


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[Definitions]:
    """Another process on the same database."""
    opened = await Database.open(tmp_path)
    yield Definitions(opened, clock())
    await opened.close()


async def states(of: Definitions, name: str = "read") -> dict[str, str]:
    return {str(one.definition["description"]): one.state for one in await of.versions("demo", "files", name)}


async def test_what_a_pinned_server_offers_first_is_let_through_and_what_it_makes_of_it_is_not(
    definitions: Definitions,
) -> None:
    offer(definitions, PIN, tool("one"))
    offer(definitions, PIN, tool("two"))

    assert admitted(definitions, PIN, tool("one"))
    assert not admitted(definitions, PIN, tool("two"))
    assert not admitted(definitions, PIN, tool("never seen"))
    await definitions.flush()
    assert await states(definitions) == {"one": "allowed", "two": "pending"}


async def test_a_new_tool_waits_where_new_ones_are_reviewed_however_often_it_changes(definitions: Definitions) -> None:
    offer(definitions, REVIEW, tool("one"))
    offer(definitions, REVIEW, tool("two"))
    await definitions.flush()
    offer(definitions, REVIEW, tool("three"))

    assert not any(admitted(definitions, REVIEW, tool(each)) for each in ("one", "two", "three"))


async def test_what_was_seen_before_the_pin_is_the_baseline(definitions: Definitions) -> None:
    offer(definitions, FREE, tool("one"))
    offer(definitions, FREE, tool("two"))
    await definitions.flush()
    offer(definitions, PIN, tool("three"))

    assert [admitted(definitions, PIN, tool(each)) for each in ("one", "two", "three")] == [True, True, False]


async def test_what_is_decided_holds_here_at_once_and_elsewhere_with_the_revision(
    definitions: Definitions, other: Definitions, database: Database
) -> None:
    offer(definitions, BOTH, tool("one"))
    await definitions.flush()
    await other.refresh()
    revision, version = await database.revision(), definitions.version
    [decided] = await other.decide("demo", "files", "read", None, True, "cli:ada")

    assert (decided.state, decided.decided_by) == ("allowed", "cli:ada")
    assert admitted(other, BOTH, tool("one"))
    assert not admitted(definitions, BOTH, tool("one"))
    assert await database.revision() == revision + 1
    await definitions.refresh()
    assert admitted(definitions, BOTH, tool("one"))
    assert definitions.version != version
    version = definitions.version
    await definitions.refresh()
    assert definitions.version == version


async def test_what_was_refused_stays_out_whatever_the_policy_says(definitions: Definitions) -> None:
    offer(definitions, PIN, tool("one"))
    await definitions.flush()
    assert not definitions.restricts(FILES.key)
    await definitions.decide("demo", "files", "read", digest_of(tool("one")), False, "cli:ada")
    offer(definitions, FREE, tool("one"))

    assert definitions.restricts(FILES.key)
    assert not any(admitted(definitions, held, tool("one")) for held in (FREE, PIN, REVIEW, BOTH))


async def test_an_approval_leaves_the_older_one_and_can_be_taken_back(definitions: Definitions) -> None:
    offer(definitions, PIN, tool("one"))
    offer(definitions, PIN, tool("two"))
    await definitions.flush()
    await definitions.decide("demo", "files", "read", None, True, "cli:ada")
    assert await states(definitions) == {"two": "allowed", "one": "allowed"}
    await definitions.decide("demo", "files", "read", digest_of(tool("two"))[:8], False, "cli:ada")

    assert await states(definitions) == {"two": "refused", "one": "allowed"}


async def test_a_mistake_changes_and_announces_nothing(definitions: Definitions, database: Database) -> None:
    offer(definitions, BOTH, tool("one"))
    offer(definitions, BOTH, tool("two"))
    await definitions.flush()
    revision = await database.revision()
    for name, what in (("raed", "'files/raed'"), ("read", "several")):
        with pytest.raises(Mistake, match=what):
            await definitions.decide("demo", "files", name, None, True, "cli:ada")

    assert await states(definitions) == {"two": "pending", "one": "pending"}
    assert await database.revision() == revision


async def test_a_decision_is_not_written_over_by_what_was_queued_before(
    definitions: Definitions, other: Definitions
) -> None:
    for process in (definitions, other):
        offer(process, BOTH, tool("one"))
    await other.flush()
    await other.decide("demo", "files", "read", None, True, "cli:ada")
    await definitions.flush()

    assert await states(definitions) == {"one": "allowed"}
    assert admitted(definitions, BOTH, tool("one"))


async def test_of_two_first_definitions_only_the_one_written_first_is_let_through(
    definitions: Definitions, other: Definitions
) -> None:
    offer(definitions, PIN, tool("one"))
    offer(other, PIN, tool("two"))
    await definitions.flush()
    await other.flush()

    assert not admitted(other, PIN, tool("two"))
    assert await states(definitions) == {"one": "allowed", "two": "pending"}


async def test_what_is_not_written_yet_survives_a_refresh(definitions: Definitions) -> None:
    offer(definitions, PIN, tool("one"))
    await definitions.refresh()
    offer(definitions, PIN, tool("two"))

    assert admitted(definitions, PIN, tool("one"))
    assert not admitted(definitions, PIN, tool("two"))


async def test_what_waits_is_listed_with_what_it_is(definitions: Definitions) -> None:
    offer(definitions, PIN, tool("one"))
    offer(definitions, BOTH, tool("two"), tool("x", "list"))
    await definitions.flush()
    waiting = await definitions.pending("demo")

    assert [(one.server, one.name, one.what) for one in waiting] == [
        ("files", "list", "new"),
        ("files", "read", "changed"),
    ]
    assert await definitions.pending("demo", "other") == await definitions.pending("elsewhere") == []
    assert await definitions.things("demo") == [Thing("tool", "files", "list"), Thing("tool", "files", "read")]


async def test_all_that_was_listed_is_decided_at_once_and_nothing_else(definitions: Definitions) -> None:
    offer(definitions, BOTH, tool("one"), tool("x", "list"), tool("y", "stat"))
    await definitions.flush()
    listed = await definitions.pending("demo")
    offer(definitions, BOTH, tool("two"))
    await definitions.flush()
    await definitions.decide("demo", "files", "list", None, False, "cli:bob")

    assert [one.name for one in await definitions.decide_all("demo", listed, True, "cli:ada")] == ["read", "stat"]
    assert await states(definitions) == {"two": "pending", "one": "allowed"}
    assert await states(definitions, "list") == {"x": "refused"}
    assert admitted(definitions, BOTH, tool("y", "stat"))


async def test_definitions_of_a_removed_server_rest_until_it_comes_back(
    definitions: Definitions, registry: Registry
) -> None:
    offer(definitions, BOTH, tool("one"))
    await definitions.flush()
    await registry.remove_server("demo", "files")
    assert await definitions.pending("demo") == await definitions.things("demo") == []
    await registry.add_server(FILES)

    assert len(await definitions.pending("demo")) == 1


async def test_writing_goes_on_behind_and_after_a_failure(definitions: Definitions, database: Database) -> None:
    async with database.write(announce=False) as session:
        await session.execute(text("ALTER TABLE definitions RENAME TO away"))
    offer(definitions, PIN, tool("one"))
    with pytest.raises(Exception, match="no such table"):
        await definitions.run()
    assert admitted(definitions, PIN, tool("one"))
    async with database.write(announce=False) as session:
        await session.execute(text("ALTER TABLE away RENAME TO definitions"))
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(definitions.run)
            while await states(definitions) != {"one": "allowed"}:
                await anyio.lowlevel.checkpoint()
            offer(definitions, PIN, tool("two"))
            while await states(definitions) != {"one": "allowed", "two": "pending"}:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()


async def test_what_a_workspace_that_is_gone_offered_is_dropped(definitions: Definitions, database: Database) -> None:
    gone = McpServer("gone", "files", "http")
    offer(definitions, PIN, tool("one"), server=gone)
    offer(definitions, PIN, tool("one"))
    await definitions.flush()

    assert await states(definitions) == {"one": "allowed"}
    assert not admitted(definitions, PIN, tool("one"), gone)
    async with database.write() as session:
        await session.delete(await session.get(WorkspaceRow, "demo"))
    await definitions.refresh()
    assert not admitted(definitions, PIN, tool("one"))


@pytest.mark.parametrize("name", ["read", "\ud800", "x" * 2000])
async def test_what_cannot_be_stored_passes_only_where_nothing_is_asked_for(
    definitions: Definitions, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    large = tool("x" * LARGEST if name == "read" else "", name)
    offer(definitions, PIN, large)
    offer(definitions, PIN, large)
    await definitions.flush()

    assert not admitted(definitions, PIN, large)
    assert admitted(definitions, FREE, large)
    assert len(caplog.records) == 1
    assert "'demo/files'" in caplog.text


async def test_the_oldest_versions_that_wait_are_forgotten_and_never_admitted(definitions: Definitions) -> None:
    offer(definitions, PIN, tool("baseline"))
    for number in range(MOST_VERSIONS + 20):
        offer(definitions, PIN, tool(str(number)))
    await definitions.flush()
    found = await states(definitions)

    assert len(found) == MOST_VERSIONS + 1
    assert found["baseline"] == "allowed"
    assert "19" not in found
    assert not admitted(definitions, PIN, tool("19"))
    offer(definitions, PIN, tool("19"))
    assert not admitted(definitions, PIN, tool("19"))


async def test_a_server_that_offers_without_end_is_not_followed(definitions: Definitions) -> None:
    for number in range(MOST + 10):
        offer(definitions, FREE, tool("x", str(number)))
    await definitions.flush()

    assert len(await definitions.things("demo")) == MOST
    assert admitted(definitions, PIN, tool("x", "0"))
    assert not admitted(definitions, PIN, tool("x", str(MOST + 1)))


async def test_a_queue_that_nobody_empties_has_an_end(
    definitions: Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUEUED_BYTES", 100)
    offer(definitions, PIN, tool("x" * 40), tool("x" * 60, "list"))
    assert not admitted(definitions, PIN, tool("x" * 60, "list"))
    await definitions.flush()
    offer(definitions, PIN, tool("x" * 60, "list"))

    assert admitted(definitions, PIN, tool("x" * 60, "list"))


NAMES = ("one", "two", "three")

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["seen", "approve", "refuse", "flush", "refresh"]),
        st.sampled_from([0, 1]),
        st.sampled_from([FREE, PIN, REVIEW, BOTH]),
        st.sampled_from(NAMES),
    ),
    max_size=25,
)


@given(STEPS)
@settings(max_examples=40)
def test_nothing_that_waits_or_was_refused_is_ever_admitted_under_a_pin(
    steps: list[tuple[str, int, ServerPolicy, str]],
) -> None:
    anyio.run(_walk, steps)


async def _walk(steps: list[tuple[str, int, ServerPolicy, str]]) -> None:
    """Two processes on one database. What is written changes by decisions only; who is up to date follows."""
    with TemporaryDirectory() as folder:
        databases = [await Database.open(Path(folder)) for _ in range(2)]
        async with databases[0].write() as session:
            session.add(WorkspaceRow(slug="demo", name="demo", origin="cli"))
        processes = [Definitions(database) for database in databases]
        stored: dict[str, str] = {}
        try:
            for what, number, held, description in steps:
                decided = await _step(processes[number], what, held, description)
                now = await states(processes[0])
                assert now == {**now, **stored, **decided}
                stored = now
                if what in ("flush", "refresh"):
                    _follows(processes[number], stored, only=what == "flush")
            for process in processes:
                await process.flush()
            stored = await states(processes[0])
            for process in processes:
                await process.refresh()
                _follows(process, stored)
        finally:
            for database in databases:
                await database.close()


async def _step(process: Definitions, what: str, held: ServerPolicy, description: str) -> dict[str, str]:
    """Do it; returns what was decided by it."""
    if what == "seen":
        before = {name for name in NAMES if not admitted(process, PIN, tool(name))}
        offer(process, held, tool(description))
        assert not [name for name in before - {description} if admitted(process, PIN, tool(name))]
    elif what == "flush":
        await process.flush()
    elif what == "refresh":
        await process.flush()
        await process.refresh()
    else:
        try:
            await process.decide("demo", "files", "read", digest_of(tool(description)), what == "approve", "cli:ada")
        except Mistake:
            return {}
        _follows(process, found := {description: "allowed" if what == "approve" else "refused"}, only=True)
        return found
    return {}


def _follows(process: Definitions, stored: dict[str, str], *, only: bool = False) -> None:
    """Whether a process admits just what is stored; `only`: as far as it has heard of that."""
    known = {name: process._of(FILES.key).states("read").get(digest_of(tool(name))) for name in NAMES}
    assert only or known == {name: stored.get(name) for name in NAMES}
    for name, state in known.items():
        assert [admitted(process, held, tool(name)) for held in (PIN, REVIEW, BOTH)] == [state == "allowed"] * 3
        assert admitted(process, FREE, tool(name)) == (state != "refused")
