"""The policies of workspaces: every version as its author wrote it, with who, when and why; the newest is in force.

A version is never changed, and one that is wrong is never stored. What the gateway serves from is `workspaces.policy`,
written in the same transaction. Where a file declares the policy, it changes in that file only; a version without text
says that the file no longer declares one.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast

import anyio.to_thread
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from portkey_mcp.errors import Conflict, Mistake
from portkey_mcp.registry.declared import DeclaredPolicy
from portkey_mcp.registry.document import parse_policy
from portkey_mcp.registry.tables import PolicyVersionRow, WorkspaceRow
from portkey_mcp.registry.wording import unknown
from portkey_mcp.storage.database import Database

PolicyOrigin = Literal["file", "cli", "api", "dashboard"]
"""From where a version came."""


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """One version of a workspace's policy. `number` counts from 1; `text` is YAML as written, empty for no policy."""

    workspace: str
    number: int
    text: str
    who: str
    why: str
    origin: PolicyOrigin
    at: datetime

    @property
    def managed(self) -> bool:
        """Whether a file manages the policy as long as this version is the newest."""
        return self.origin == "file" and self.text != ""


class Policies:
    """Reads the versions of policies, and adds new ones."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def current(self, workspace: str) -> PolicyVersion | None:
        """The version in force; None where the workspace has no policy.

        Raises:
            Mistake: there is no such workspace.
        """
        async with self._database.read() as session:
            await _workspace(session, workspace)
            return _in_force(await _newest(session, workspace))

    async def history(self, workspace: str) -> list[PolicyVersion]:
        """All versions, the newest first.

        Raises:
            Mistake: there is no such workspace.
        """
        query = select(PolicyVersionRow).filter_by(workspace=workspace).order_by(PolicyVersionRow.number.desc())
        async with self._database.read() as session:
            await _workspace(session, workspace)
            return [_version(row) for row in await session.scalars(query)]

    async def version(self, workspace: str, number: int) -> PolicyVersion:
        """One version.

        Raises:
            Mistake: there is no such workspace or version.
        """
        async with self._database.read() as session:
            await _workspace(session, workspace)
            row = await session.get(PolicyVersionRow, (workspace, number))
            newest = await _newest(session, workspace)
        if row is None:
            there_are = f"there are 1 to {newest.number}" if newest else "it has none yet"
            raise Mistake(f"the policy of workspace {workspace!r} has no version {number}; {there_are}")
        return _version(row)

    async def refuse_managed(self, workspace: str) -> None:
        """Do nothing where `save` may.

        Raises:
            Conflict: a file manages the policy.
            Mistake: there is no such workspace.
        """
        current = await self.current(workspace)
        if current is not None and current.managed:
            raise _managed(current)

    async def save(
        self, workspace: str, text: str, *, who: str, why: str, origin: PolicyOrigin, based_on: int | None = None
    ) -> PolicyVersion:
        """Put a new version in force. The text of the current one makes no new version: that one is returned.

        `based_on` is the number of the version that the author began from, 0 for none; None skips the comparison.

        Raises:
            Mistakes: all that is wrong in the text.
            Conflict: a file manages the policy, or another version was saved meanwhile.
            Mistake: there is no such workspace.
        """
        _, data = await anyio.to_thread.run_sync(parse_policy, text, "policy")
        async with self._database.write() as session:
            row = await _workspace(session, workspace)
            current = _in_force(await _newest(session, workspace))
            if current is not None and current.managed:
                raise _managed(current)
            if based_on is not None and based_on != (current.number if current else 0):
                raise _overtaken(workspace, based_on, current)
            if current is not None and current.text == text:
                return current
            return await _put(session, row, text, data, who=who, why=why, origin=origin)

    async def roll_back(
        self, workspace: str, number: int, *, who: str, why: str, origin: PolicyOrigin
    ) -> PolicyVersion:
        """Save the text of an earlier version again, as a new one.

        Raises:
            Mistake: as for `version` and `save`; or that version is none, since the file stopped declaring one then.
        """
        earlier = await self.version(workspace, number)
        if not earlier.text:
            raise Mistake(f"version {number} of the policy of workspace {workspace!r} is that there was none")
        return await self.save(workspace, earlier.text, who=who, why=why, origin=origin)


async def declare(session: AsyncSession, workspace: WorkspaceRow, declared: DeclaredPolicy | None) -> None:
    """Take over what a file says, in its transaction; None where it declares no policy.

    A declared policy replaces one made by hand, which stays in the history. Without, what the file had declared is
    ended, and what was made by hand stays.
    """
    newest = await _newest(session, workspace.slug)
    if declared is None:
        if newest is not None and newest.managed:
            why = "no longer declared"
            await _put(session, workspace, "", None, who=newest.who, why=why, origin="file")
    elif newest is None or not newest.managed or newest.text != declared.text:
        await _put(session, workspace, declared.text, declared.data, who=declared.file, why="", origin="file")
    elif workspace.policy != declared.data:
        workspace.policy = declared.data


async def made_by_hand(session: AsyncSession) -> set[str]:
    """The workspaces whose policy in force was made by hand."""
    query = select(PolicyVersionRow.workspace, PolicyVersionRow.origin).order_by(PolicyVersionRow.number)
    newest = dict((await session.execute(query)).all())
    return {workspace for workspace, origin in newest.items() if origin != "file"}


async def _put(
    session: AsyncSession, workspace: WorkspaceRow, text: str, data: Any, *, who: str, why: str, origin: PolicyOrigin
) -> PolicyVersion:
    newest = await _newest(session, workspace.slug)
    number = newest.number + 1 if newest else 1
    made = PolicyVersion(workspace.slug, number, text, who, why, origin, datetime.now(UTC))
    session.add(PolicyVersionRow(**{name: getattr(made, name) for name in PolicyVersion.__slots__}))
    workspace.policy = data
    await session.flush()
    return made


async def _newest(session: AsyncSession, workspace: str) -> PolicyVersion | None:
    query = select(PolicyVersionRow).filter_by(workspace=workspace).order_by(PolicyVersionRow.number.desc()).limit(1)
    row = (await session.scalars(query)).first()
    return None if row is None else _version(row)


def _in_force(newest: PolicyVersion | None) -> PolicyVersion | None:
    return newest if newest is not None and newest.text else None


async def _workspace(session: AsyncSession, slug: str) -> WorkspaceRow:
    row = await session.get(WorkspaceRow, slug)
    if row is None:
        raise Mistake(unknown("workspace", slug, await session.scalars(select(WorkspaceRow.slug))))
    return row


def _version(row: PolicyVersionRow) -> PolicyVersion:
    origin = cast(PolicyOrigin, row.origin)
    return PolicyVersion(row.workspace, row.number, row.text, row.who, row.why, origin, row.at)


def _managed(version: PolicyVersion) -> Conflict:
    return Conflict(
        f"the policy of workspace {version.workspace!r} is managed by a configuration file; "
        f"edit it there: {version.who}"
    )


def _overtaken(workspace: str, based_on: int, current: PolicyVersion | None) -> Conflict:
    began = f"version {based_on}" if based_on else "no policy"
    now = f"version {current.number}, by {current.who}, is in force" if current else "there is none any more"
    return Conflict(
        f"the policy of workspace {workspace!r} was changed meanwhile: this text was made from {began}, and {now}; "
        "compare the two, and save again"
    )
