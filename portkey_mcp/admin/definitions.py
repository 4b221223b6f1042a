"""Definitions of tools that wait for a person, what they change word by word, and the decision.

For owners and admins alone, to read too: what waits is hidden from everybody because a model that reads it may do what
it says, and a member's key may be a model's.
"""

from datetime import datetime
from typing import Annotated, Literal

import anyio.to_thread
from fastapi import Path, Query
from pydantic import BaseModel, Field

from portkey_mcp.admin.desk import Asking, Body
from portkey_mcp.admin.visiting import Services
from portkey_mcp.errors import NotFound
from portkey_mcp.policy.difference import words
from portkey_mcp.registry.definitions import DefinitionVersion
from portkey_mcp.registry.known import State
from portkey_mcp.registry.reviewing import SHORTEST, baseline

MOST_COMPARED = 5
"""Versions of one tool that are compared for one answer: a hostile one costs a second."""

ServerPath = Annotated[str, Path(description="The server.")]
NamePath = Annotated[str, Path(description="The tool's own name; it may have slashes.")]
Digest = Annotated[
    str | None, Query(min_length=SHORTEST, description="Only versions whose digest begins so, all of them compared.")
]


class Decision(Body):
    """What is to be done with one version."""

    digest: Annotated[str, Field(min_length=SHORTEST, description="The version's digest, or its beginning.")]
    decision: Literal["approve", "refuse"]


class Waiting(BaseModel):
    """A definition that waits: of a tool that is new, or of one that was let through in another form."""

    server: str
    name: str
    what: Literal["new", "changed"]
    since: datetime
    digest: str


class Run(BaseModel):
    """A piece of text; characters that nobody sees are written as `\\u{…}`."""

    kind: Literal["kept", "removed", "added"]
    text: str


class Change(BaseModel):
    """One member of the definition that is not what it was."""

    path: str
    what: Literal["new", "gone", "changed"]
    runs: list[Run]


class Definition(BaseModel):
    """One version. `decided_by` is empty where policy decided, and no person."""

    server: str
    name: str
    digest: str
    state: State
    first_seen: datetime
    decided_by: str
    decided_at: datetime | None


class Compared(Definition):
    """One version, and what it changes.

    `compared_with` is the digest of the version let through last beside it; null: there is none, and `changes` are all
    that it says. `changes` is null where nothing was compared: of many, those that wait are, the newest first.
    """

    compared_with: str | None = None
    changes: list[Change] | None = None


class DefinitionsDesk:
    """Answers requests about definitions."""

    def __init__(self, services: Services) -> None:
        self._definitions = services.definitions

    async def list_definitions(
        self,
        asker: Asking,
        state: Annotated[Literal["pending"], Query(description="Those that wait for a person.")] = "pending",
        server: Annotated[str | None, Query(description="Only those of one server.")] = None,
    ) -> list[Waiting]:
        """The definitions that wait for a person, by server and tool. Takes the role owner or admin."""
        asker.must_rule("see definitions that wait")
        found = await self._definitions.pending(asker.workspace, server)
        return [Waiting.model_validate(one, from_attributes=True) for one in found]

    async def read_definition(
        self, asker: Asking, server: ServerPath, name: NamePath, digest: Digest = None
    ) -> list[Compared]:
        """Every version of a tool's definition, the newest first, and what those that wait change, word by word.

        Takes the role owner or admin. At most five are compared; `digest` names others.
        """
        asker.must_rule("see definitions")
        versions = await self._definitions.versions(asker.workspace, server, name)
        found = [one for one in versions if digest is None or one.digest.startswith(digest.lower())]
        if not found:
            raise NotFound(_nothing(server, name, digest))
        wanted = [one for one in found if digest is not None or one.state == "pending"][:MOST_COMPARED]
        return await anyio.to_thread.run_sync(_compared, found, versions, {one.digest for one in wanted})

    async def decide_definition(self, asker: Asking, server: ServerPath, name: NamePath, body: Decision) -> Definition:
        """Let a version through, or refuse it, whatever its state. Takes the role owner or admin.

        What is refused is seen by nobody any more, whatever the policy says; what is let through, at once.
        """
        asker.must_rule("decide about definitions")
        versions = await self._definitions.versions(asker.workspace, server, name)
        if not any(one.digest.startswith(body.digest.lower()) for one in versions):
            raise NotFound(_nothing(server, name, body.digest))
        (decided,) = await self._definitions.decide(
            asker.workspace, server, name, body.digest, body.decision == "approve", asker.who
        )
        return Definition.model_validate(decided, from_attributes=True)


def _compared(found: list[DefinitionVersion], versions: list[DefinitionVersion], wanted: set[str]) -> list[Compared]:
    told = []
    for one in found:
        shown = Compared.model_validate(one, from_attributes=True)
        if one.digest in wanted:
            before = baseline(versions, one)
            shown.compared_with = before.digest if before else None
            shown.changes = [
                Change(path=change.path, what=change.what, runs=[Run(**run._asdict()) for run in change.runs])
                for change in words(before.definition if before else {}, one.definition)
            ]
        told.append(shown)
    return told


def _nothing(server: str, name: str, digest: str | None) -> str:
    beginning = f" whose digest begins with {digest!r}" if digest else ""
    return f"No definition of {server}/{name}{beginning} was ever seen in this workspace."
