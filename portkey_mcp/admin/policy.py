"""The policy of a workspace over the API: read, checked, saved whole or in one member, and brought back.

The document says for whom what is hidden, and the arguments that policy fills in may be secrets: so it is read, like it
is changed, by owners and admins alone. Any member may have a draft checked, against what exists for them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import anyio
import anyio.to_thread
from fastapi import Path
from pydantic import AfterValidator, BaseModel, Field

from portkey_mcp.admin.desk import Asking, Body
from portkey_mcp.admin.failing import Place, places
from portkey_mcp.admin.visiting import Services, Visitor, existing, visitor
from portkey_mcp.errors import Conflict, Mistake, Mistakes, NotFound
from portkey_mcp.model import Visit
from portkey_mcp.policy.access import hidden_from
from portkey_mcp.policy.decide import Thing
from portkey_mcp.policy.document import Policy, Rule
from portkey_mcp.policy.impact import impact, visitors
from portkey_mcp.policy.match import compile_pattern
from portkey_mcp.policy.parts import Whom
from portkey_mcp.policy.warnings import warnings
from portkey_mcp.registry.document import parse_policy
from portkey_mcp.registry.policies import PolicyOrigin, PolicyVersion
from portkey_mcp.registry.policy_text import set_member
from portkey_mcp.registry.wording import unknown

MEMBERS = [field.alias or name for name, field in Rule.model_fields.items() if name not in ("match", "for_")]
"""What a rule may say."""

MOST_RULES = 500
"""Rules of a draft of which more is told than its mistakes. To compare each with all others is work for seconds then,
and grows with their square and more; any member may send one."""

LARGEST_NUMBER = 10**9
"""Of a version; a larger one was never given, and the database could not look for it."""


def _pattern(text: str) -> str:
    compile_pattern(text)
    return text


def _member(name: str) -> str:
    if name not in MEMBERS:
        raise ValueError(unknown("member", name, MEMBERS))
    return name


Why = Annotated[str, Field(max_length=1000, description="Why, for the history.")]
Number = Annotated[int, Path(ge=1, le=LARGEST_NUMBER, description="Of a version; they count from 1.")]


class Draft(Body):
    """A document that may become the policy."""

    text: Annotated[str, Field(description="The document, in YAML.")]


class Document(Draft):
    """A document to be put in force."""

    why: Why = ""
    based_on: Annotated[
        int | None,
        Field(ge=0, description="The version it was made from, 0 for none; null overwrites whatever is in force."),
    ]


class Change(Body):
    """One member of one rule, to be set or taken out."""

    match: Annotated[str, Field(description="The rule's pattern, exactly."), AfterValidator(_pattern)]
    member: Annotated[str, Field(description="Which, as `enabled` or `limits`."), AfterValidator(_member)]
    value: Annotated[Any, Field(description="What it is to say; null takes it out.")]
    for_: Annotated[Whom | None, Field(alias="for", description="The rule's `for`, exactly; null for everybody.")] = (
        None
    )
    why: Why = ""
    based_on: Annotated[int | None, Field(ge=0, description="Refused where another version is in force.")] = None


class Earlier(Body):
    """A version to be brought back."""

    number: Annotated[int, Field(ge=1, le=LARGEST_NUMBER)]
    why: Why = ""


class Version(BaseModel):
    """A version of the policy. Where there is none: number 0 and no text, and everything is allowed to every member.

    `managed`: a configuration file says it, and it changes there only. `who` and `origin`: by whom, and from where.
    """

    number: int
    who: str
    why: str
    origin: PolicyOrigin | None
    managed: bool
    at: datetime | None


class Text(Version):
    """A version with its text."""

    text: str


class Outlook(BaseModel):
    """What a draft would mean. With mistakes it cannot be saved, and nothing else is said of it.

    `warnings` are about what is valid and probably meant otherwise. `impact` says, for owners and admins, for whom what
    would change; null for others, and of more than 500 rules.
    """

    mistakes: list[Place]
    warnings: list[str]
    impact: list[str] | None


@dataclass(frozen=True, slots=True)
class _Prospect:
    """What a draft is compared with. `visits` None: for whom it would change something is not told."""

    before: Policy
    servers: tuple[str, ...]
    things: tuple[Thing, ...]
    around: Visitor
    keys: tuple[Visit, ...] | None


class PolicyDesk:
    """Answers requests about policies."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._policies = services.policies
        # A large draft is work for seconds, and any member may send one: one at a time, whoever waits.
        self._alone = anyio.CapacityLimiter(1)

    async def read_policy(self, asker: Asking) -> Text:
        """The policy in force. Takes the role owner or admin."""
        asker.must_rule("read the policy")
        return _text(await self._policies.current(asker.workspace))

    async def save_policy(self, asker: Asking, body: Document) -> Text:
        """Put a document in force as a new version. Takes the role owner or admin.

        409 where another version was saved since `based_on`, or a configuration file manages the policy; 422 with every
        mistake where the document is wrong: nothing is changed then.
        """
        asker.must_rule("change the policy")
        return await self._save(asker, body.text, body.why, body.based_on)

    async def change_policy(self, asker: Asking, body: Change) -> Text:
        """Set one member of the rule about a pattern, or take it out, and keep all else as it is written.

        Takes the role owner or admin. Where no rule has this pattern and this `for`, one is added at the end. 409 and
        422 as for a whole document.
        """
        asker.must_rule("change the policy")
        await self._policies.refuse_managed(asker.workspace)
        before = await self._policies.current(asker.workspace)
        number = before.number if before else 0
        if body.based_on not in (None, number):
            raise Conflict(
                f"the policy of workspace {asker.workspace!r} was changed meanwhile: version {body.based_on} was "
                f"expected, and {number or 'none'} is in force; read it again"
            )
        if before is None and body.value is None:
            return _text(None)
        text = await anyio.to_thread.run_sync(_changed, before.text if before else "", body, limiter=self._alone)
        return await self._save(asker, text, body.why, number)

    async def _save(self, asker: Asking, text: str, why: str, based_on: int | None) -> Text:
        return _text(
            await self._policies.save(asker.workspace, text, who=asker.who, why=why, origin="api", based_on=based_on)
        )

    async def list_policy_versions(self, asker: Asking) -> list[Version]:
        """Every version there was, the newest first, without the texts. Takes the role owner or admin."""
        asker.must_rule("read the policy's history")
        return [Version(**_facts(one)) for one in await self._policies.history(asker.workspace)]

    async def read_policy_version(self, asker: Asking, number: Number) -> Text:
        """One version. Takes the role owner or admin."""
        asker.must_rule("read the policy's history")
        try:
            return _text(await self._policies.version(asker.workspace, number))
        except Mistake as mistake:
            raise NotFound(str(mistake)) from None

    async def roll_back_policy(self, asker: Asking, body: Earlier) -> Text:
        """Put an earlier version in force again, as a new one. Takes the role owner or admin."""
        asker.must_rule("change the policy")
        why = body.why or f"back to version {body.number}"
        return _text(await self._policies.roll_back(asker.workspace, body.number, who=asker.who, why=why, origin="api"))

    async def check_policy(self, asker: Asking, body: Draft) -> Outlook:
        """Say what is wrong in a draft, what is probably meant otherwise, and for whom what would change.

        Nothing is saved. Any member may ask, and is told as much as exists for them; what would change, and for whom,
        is for owners and admins.
        """
        prospect = await self._prospect(asker)
        return await anyio.to_thread.run_sync(_outlook, body.text, prospect, limiter=self._alone)

    async def _prospect(self, asker: Asking) -> _Prospect:
        around = await visitor(self._services, asker)
        keys = None
        if asker.rules:
            things = await self._services.definitions.things(asker.workspace)
            found = await self._services.identity.everybody(asker.workspace)
            keys = tuple(Visit(principal, around.visit.endpoint) for principal in found)
        else:
            things = [thing for thing, _ in await existing(self._services, around)]
        hidden = frozenset() if asker.rules else hidden_from(asker.principal, around.workspace)
        servers = tuple(name for name in around.workspace.servers if name not in hidden)
        return _Prospect(around.rules.policy, servers, tuple(things), around, keys)


def _outlook(text: str, prospect: _Prospect) -> Outlook:
    try:
        draft, _ = parse_policy(text, "policy")
    except Mistakes as wrong:
        return Outlook(mistakes=places(wrong), warnings=[], impact=None if prospect.keys is None else [])
    if len(draft.rules) > MOST_RULES:
        told = f"the document has {len(draft.rules):,} rules; of more than {MOST_RULES} only mistakes are told"
        return Outlook(mistakes=[], warnings=[told], impact=None)
    changes = None
    if prospect.keys is not None:
        whom = [*visitors(prospect.before, draft, prospect.around.workspace), *prospect.keys]
        changes = impact(prospect.before, draft, prospect.things, whom)
    cautions = warnings(draft, prospect.servers, prospect.things)
    return Outlook(mistakes=[], warnings=cautions, impact=changes)


def _changed(text: str, change: Change) -> str:
    whom = change.for_.model_dump(mode="json", exclude_none=True) if change.for_ is not None else None
    try:
        return set_member(text, change.match, change.member, change.value, whom)
    except RecursionError:
        raise Mistake("the value is nested too deeply") from None


def _facts(version: PolicyVersion) -> dict[str, Any]:
    return {name: getattr(version, name) for name in Version.model_fields}


def _text(version: PolicyVersion | None) -> Text:
    if version is None:
        return Text(number=0, text="", who="", why="", origin=None, managed=False, at=None)
    return Text(**_facts(version), text=version.text)
