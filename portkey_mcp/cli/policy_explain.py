"""`policy explain`: why somebody sees a thing or does not, and what a call of it would meet now."""

import ipaddress
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import anyio
import typer

from portkey_mcp.cli import show
from portkey_mcp.cli.options import AsJson, Config, Data, Workspace, load
from portkey_mcp.cli.stores import Stores, opened
from portkey_mcp.errors import Mistake, StoreDown
from portkey_mcp.model import Endpoint, Principal, Role, Visit
from portkey_mcp.model import Workspace as WorkspaceModel
from portkey_mcp.policy.decide import Allow, Rules, Thing
from portkey_mcp.policy.document import EMPTY, Policy
from portkey_mcp.policy.explain import Demand, Explanation, Step, explain
from portkey_mcp.policy.limits import charges_of, left_of
from portkey_mcp.policy.nearest import nearest_name
from portkey_mcp.policy.wording import listing, printable, thing_of, thing_text
from portkey_mcp.registry.definitions import Definitions, DefinitionVersion
from portkey_mcp.registry.known import must_be_allowed
from portkey_mcp.settings import Settings
from portkey_mcp.storage.counters import SqliteCounter
from portkey_mcp.wire import Json, MalformedJson, loads

ThingArgument = Annotated[
    str,
    typer.Argument(metavar="THING", help="server/tool, prompt:server/name or resource:server/uri.", show_default=False),
]
As = Annotated[
    str | None,
    typer.Option(
        "--as", metavar="WHO", help="Who asks: an API key, by its name or id, or a member, by e-mail address."
    ),
]
RoleOption = Annotated[Role | None, typer.Option("--role", help="Role of the one who asks; member, if not given.")]
Group = Annotated[list[str] | None, typer.Option("--group", help="A group of the one who asks; repeatable.")]
Person = Annotated[str | None, typer.Option("--person", metavar="ID", help="The person who asks, by id.")]
Args = Annotated[str | None, typer.Option("--args", metavar="JSON", help="The arguments of the call, an object.")]
Address = Annotated[str, typer.Option("--address", metavar="IP", help="Address that the request comes from.")]

VERDICTS: Final = {
    "allowed": ("is allowed", "green"),
    "asked": ("is allowed once approved", "yellow"),
    "depends": ("depends", "yellow"),
    "refused": ("would be refused now", "red"),
    "hidden": ("is hidden", "red"),
}

KINDS_OF_PRINCIPAL: Final = {"service": "API key", "person": "person", "local": "local admin"}


@dataclass(frozen=True, slots=True)
class _Asked:
    """The question, as it was asked."""

    thing: Thing
    workspace: str
    key: str | None
    role: Role | None
    groups: tuple[str, ...]
    person: str
    args: Json | None
    address: str


@dataclass(frozen=True, slots=True)
class _Answer:
    principal: Principal
    explanation: Explanation
    notes: list[str]


def explain_(
    thing: ThingArgument,
    workspace: Workspace,
    as_: As = None,
    role: RoleOption = None,
    group: Group = None,
    person: Person = None,
    args: Args = None,
    address: Address = "",
    config: Config = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a tool, prompt or resource exists for somebody, which rules say so, and what a call would meet."""
    if as_ is not None and (role is not None or person is not None):
        raise Mistake("--as names somebody who has a role of their own; leave out --role and --person")
    asked = _Asked(
        thing_of(thing),
        workspace,
        as_,
        role,
        tuple(group or ()),
        person or "somebody",
        _arguments(args),
        _address(address),
    )
    answer = anyio.run(_answer, load(config, data), asked)
    if as_json:
        show.records([{**asdict(answer.explanation), "notes": answer.notes}], as_json=True)
    else:
        _say(asked, answer)


def _arguments(text: str | None) -> Json | None:
    try:
        found: Any = None if text is None else loads(text)
    except MalformedJson as error:
        raise Mistake(f"--args is no JSON: {error}") from None
    if text is not None and not isinstance(found, dict):
        raise Mistake("""--args is no object; expected one like '{"repo": "acme/app"}'""")
    return found if text is not None else None


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text)) if text else ""
    except ValueError:
        raise Mistake(f"--address {text!r} is no IP address; expected one like 10.0.0.7") from None


async def _answer(settings: Settings, asked: _Asked) -> _Answer:
    async with opened(settings) as stores:
        workspace = await stores.workspace(asked.workspace)
        policy: Policy = workspace.policy or EMPTY
        visit = Visit(await _principal(stores, asked), Endpoint("hub", workspace), asked.address)
        definitions, (kind, server, name) = Definitions(stores.database), asked.thing
        versions = await definitions.versions(workspace.slug, server, name) if kind == "tool" else []
        now = datetime.now(UTC)
        explanation = explain(
            policy,
            visit,
            asked.thing,
            args=asked.args,
            annotations=_annotations(versions),
            used=await _left(stores, policy, visit, asked.thing, now),
            review=_review(policy, asked.thing, versions),
            now=now,
        )
        notes = list(_notes(workspace, asked.thing, await definitions.things(workspace.slug)))
        if explanation.review and any(version.state == "allowed" for version in versions):
            notes.append("an earlier definition was let through; where the server still offers that one, it is seen")
    return _Answer(visit.principal, explanation, notes)


async def _principal(stores: Stores, asked: _Asked) -> Principal:
    slug = asked.workspace
    if asked.key is None:
        return Principal(asked.person, asked.person, "person", {slug: asked.role or "member"}, asked.groups)
    keys = await stores.identity.list_keys(slug)
    key = next((key for key in keys if asked.key in (key.name, key.id)), None)
    found = await _member(stores, slug, asked.key) if key is None else await stores.identity.key_principal(key.id)
    if found is None and key is not None:
        raise Mistake(f"nobody comes with API key {asked.key!r}: {key.person}, whose it is, is kept out")
    if found is None and "@" in asked.key:
        known = [one.email for one in await stores.identity.people.all(slug) if one.disabled is None]
        raise Mistake(f"workspace {slug!r} has no member {asked.key!r}; known are: {listing(known) or 'none'}")
    if found is None:
        named = listing([key.name for key in keys]) or "none"
        raise Mistake(f"workspace {slug!r} has no API key {asked.key!r}; known are: {named}")
    return replace(found, groups=asked.groups)


async def _member(stores: Stores, slug: str, named: str) -> Principal | None:
    """The member with this e-mail address or id; None for anybody else, and for one who is kept out."""
    await stores.identity.refresh()
    found = stores.identity.people.named(named)
    return found if found is not None and found.role_in(slug) is not None else None


async def _left(stores: Stores, policy: Policy, visit: Visit, thing: Thing, now: datetime) -> list[Json]:
    """What is left of each limit; empty where there is none, or nobody can tell just now."""
    decision = Rules(policy).decide(visit, thing)
    if not isinstance(decision, Allow) or not decision.terms.limits:
        return []
    charges = charges_of(decision.terms, visit, thing, policy.time_zone, now)
    try:
        async with SqliteCounter(stores.database.path) as counter:
            used = await counter.used([charge.take for charge in charges])
    except StoreDown:
        return []
    return left_of(charges, used, policy.time_zone, now)


def _annotations(versions: Sequence[DefinitionVersion]) -> Json | None:
    """What the tool says of itself, as it was seen last; None where it was never seen."""
    if not versions:
        return None
    said = versions[0].definition.get("annotations")
    return said if isinstance(said, dict) else {}


def _review(policy: Policy, thing: Thing, versions: Sequence[DefinitionVersion]) -> str:
    """How the newest definition is held back; empty where it is not. Which one a server offers now is not recorded."""
    held = Rules(policy).server(thing.server)
    if not versions:
        return ""
    newest = versions[0]
    if newest.state == "refused":
        when = f" on {newest.decided_at.date().isoformat()}" if newest.decided_at else ""
        return f"refused by {newest.decided_by or 'nobody known'}{when}"
    if newest.state == "pending" and must_be_allowed(held):
        what = "changed and" if any(version.state == "allowed" for version in versions) else "new and"
        return f"{what} pending review since {newest.first_seen.date().isoformat()}; see `portkey-mcp review`"
    return ""


def _notes(workspace: WorkspaceModel, thing: Thing, things: Sequence[Thing]) -> Iterator[str]:
    """What no policy decides, and yet may be the reason."""
    server = workspace.servers.get(thing.server)
    if server is None:
        near = nearest_name(thing.server, workspace.servers)
        hint = f"; did you mean {near}?" if near else ""
        yield f"workspace {workspace.slug!r} has no server {thing.server!r}{hint}"
        return
    if not server.enabled:
        yield f"server {thing.server!r} is disabled"
    names = [known.name for known in things if known.server == thing.server and known.kind == thing.kind]
    if names and thing.name not in names:
        near = nearest_name(thing.name, names)
        hint = f"; did you mean {thing.server}/{printable(near)}?" if near else ""
        yield f"server {thing.server!r} was never seen to offer this {thing.kind}{hint}"


def _say(asked: _Asked, answer: _Answer) -> None:
    explanation = answer.explanation
    words, colour = VERDICTS[explanation.verdict]
    reason = f" {explanation.reason}" if explanation.verdict == "depends" else f": {explanation.reason}"
    typer.secho(
        f"{thing_text(asked.thing)} {words}{reason}", fg=colour, color=False if os.environ.get("NO_COLOR") else None
    )
    for note in answer.notes:
        typer.echo(f"Note: {note}")
    typer.echo()
    decided, met = list(_decided(asked, answer)), [_demand(demand) for demand in explanation.demands]
    for number, line in enumerate(decided, start=1):
        typer.echo(f"{number:>3}. {line}")
    if met:
        typer.echo("\nA call now meets, in this order:\n")
    for number, line in enumerate(met, start=len(decided) + 1):
        typer.echo(f"{number:>3}. {line}")


def _decided(asked: _Asked, answer: _Answer) -> Iterator[str]:
    who, explanation = answer.principal, answer.explanation
    own = list(who.groups_in(asked.workspace))
    groups = f", in group {listing(own)}" if own else ""
    what = f"is {explanation.role} of" if explanation.role else "has no role in"
    yield f"{who.name} ({KINDS_OF_PRINCIPAL[who.kind]}{groups}) {what} workspace {asked.workspace}"
    if explanation.role and not explanation.steps:
        yield "no rule of the policy is about it"
    for step in explanation.steps:
        yield _step(step)
    if explanation.review:
        yield f"its newest definition is {explanation.review}"


def _step(step: Step) -> str:
    whom = "" if step.whom == "everybody" else f", for {step.whom}"
    head = f"rule {step.rule} ({', '.join(step.match)}{whom})"
    says = [
        f"{saying.text}{'' if saying.overridden_by is None else f' (rule {saying.overridden_by} overrides)'}"
        f"{', which decides' if step.decides and saying.member == 'enabled' else ''}"
        for saying in step.says
    ]
    if len(says) == 1:
        return f"{head}: {says[0]}"
    return "\n".join((f"{head}:", *(f"       {said}" for said in says)))


def _demand(demand: Demand) -> str:
    said = f"{demand.text} (rule {demand.rule})"
    if demand.member == "limits":
        return f"{said}: {_left_of(demand.left)}"
    if demand.member == "when":
        return f"{said}: {_holds(demand.holds, 'it holds', 'it does not hold', 'give --args to know')}"
    if demand.member == "arguments" and demand.holds is False:
        return f"{said}: the call gives one of them itself"
    if demand.member == "read_only":
        return f"{said}: {_holds(demand.holds, 'it does', 'it does not', 'it was never seen')}"
    return said


def _holds(holds: bool | None, yes: str, no: str, unknown: str) -> str:
    return unknown if holds is None else yes if holds else no


def _left_of(left: Json | None) -> str:
    if left is None:
        return "what is left cannot be told just now"
    opens = ""
    if "opensAt" in left:
        opens = f"; begins anew at {datetime.fromisoformat(left['opensAt']).isoformat(' ', 'minutes')}"
    return f"{left['left']:,} left, {left['used']:,} used{opens}"
