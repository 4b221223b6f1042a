"""Why a tool is there or is not, for who asks or for an API key: what `policy.explain` says, with what is left."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Query

from portkey_mcp.admin.desk import Asking
from portkey_mcp.admin.visiting import Services, Visitor, admitted, annotations_of, terms_of, visitor
from portkey_mcp.errors import Mistake, NotFound
from portkey_mcp.policy.decide import Thing
from portkey_mcp.policy.explain import Explanation, explain
from portkey_mcp.policy.limits import charges_of, left_of
from portkey_mcp.policy.wording import thing_of
from portkey_mcp.registry.definitions import DefinitionVersion
from portkey_mcp.wire import Json, MalformedJson, loads

ThingQuery = Annotated[str, Query(description="`server/tool`, `prompt:server/name` or `resource:server/uri`.")]
As = Annotated[
    str | None,
    Query(alias="as", description="An API key of the workspace, by id or name; who asks, if not given."),
]
Address = Annotated[
    str | None,
    Query(description="The IP address asked from, for rules that are for networks; where you are, if not given."),
]
Arguments = Annotated[str | None, Query(description="The call's arguments, a JSON object, for `when` conditions.")]

WAITS = {"pending": "waiting for a person to review it", "refused": "refused by a person", "allowed": ""}


class ExplainDesk:
    """Answers why."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def explain(
        self, asker: Asking, thing: ThingQuery, as_: As = None, args: Arguments = None, address: Address = None
    ) -> Explanation:
        """Say what a call of this thing would meet now, and which rule of the policy decides what.

        Any member may ask for themselves; to ask for an API key takes the role owner or admin. What stands in
        `thing` is the server's own name, which a policy may have renamed. Members are told of what exists for them, and
        what a call would meet; why something does not, and the rules themselves, only owners and admins: 404.
        """
        asked, given = thing_of(thing), _arguments(args)
        about = await visitor(self._services, asker, as_, address)
        now = datetime.now(UTC)
        versions = await self._versions(about, asked)
        review = _review(self._services, about, versions)
        if not asker.rules and (terms_of(about, asked) is None or review or (asked.kind == "tool" and not versions)):
            raise NotFound("There is no such thing here for you. An administrator of the workspace can ask why.")
        explanation = explain(
            about.rules.policy,
            about.visit,
            asked,
            args=given,
            annotations=annotations_of(versions[0]) if versions else None,
            used=await self._left(about, asked, now),
            review=review,
            now=now,
        )
        return explanation if asker.rules else replace(explanation, steps=())

    async def _versions(self, about: Visitor, asked: Thing) -> list[DefinitionVersion]:
        if asked.kind != "tool":
            return []
        return await self._services.definitions.versions(about.workspace.slug, asked.server, asked.name)

    async def _left(self, about: Visitor, asked: Thing, now: datetime) -> list[Json]:
        terms = terms_of(about, asked)
        if terms is None:
            return []
        zone = about.rules.policy.time_zone
        charges = charges_of(terms, about.visit, asked, zone, now)
        used = await self._services.counter.used([charge.take for charge in charges])
        return left_of(charges, used, zone, now)


def _review(services: Services, about: Visitor, versions: list[DefinitionVersion]) -> str:
    """How the definition that was seen last waits; that is the one a server offers, as far as anybody knows."""
    if not versions or admitted(services, about, versions[:1]):
        return ""
    return WAITS[versions[0].state]


def _arguments(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        found = loads(text)
    except MalformedJson as error:
        raise Mistake(f"args is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise Mistake('args is no JSON object, like {"repo": "acme/site"}')
    return found
