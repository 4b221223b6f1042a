"""`policy check`: what is wrong in a document, what it would change, and what it would have done to past calls."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import anyio
import typer

from portkey_mcp.activity.recall import recent
from portkey_mcp.cli import show
from portkey_mcp.cli.options import AsJson, Config, Data, load
from portkey_mcp.cli.policy_edit import Outlook, look_ahead, print_outlook
from portkey_mcp.cli.stores import Stores, opened
from portkey_mcp.errors import Mistake
from portkey_mcp.policy.decide import Thing
from portkey_mcp.policy.document import Policy
from portkey_mcp.policy.simulate import Replay, Simulation
from portkey_mcp.registry.definitions import Definitions
from portkey_mcp.registry.document import load_policy
from portkey_mcp.settings import Settings

MOST_ROWS: Final = 40
"""Rows of the table that a person is shown; --json tells all."""

File = Annotated[Path, typer.Argument(help="A policy document in YAML.", show_default=False)]
Against = Annotated[
    str | None,
    typer.Option("--workspace", "-w", metavar="SLUG", help="Also say what it would change in this workspace."),
]
Simulate = Annotated[bool, typer.Option("--simulate", help="Replay recorded calls: what it would have refused.")]
Days = Annotated[int, typer.Option("--days", min=1, metavar="N", help="How many days of calls to replay.")]


def check(
    file: File,
    workspace: Against = None,
    simulate: Simulate = False,
    days: Days = 7,
    config: Config = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Say what is wrong in a policy document; nothing, if all is well.

    With a workspace, also what is probably a mistake, and what would change for whom; neither is an error.
    """
    policy, _ = load_policy(file)
    if workspace is None:
        if simulate:
            raise Mistake("--simulate replays the calls of a workspace; name it with --workspace SLUG")
        if as_json:
            show.records([_told(Outlook([], []), None)], as_json=True)
        return
    outlook, simulation = anyio.run(_compare, load(config, data), workspace, policy, days if simulate else None)
    if as_json:
        show.records([_told(outlook, simulation)], as_json=True)
        return
    print_outlook(outlook)
    if simulation is not None:
        typer.echo()
        _print(simulation, days)


def _told(outlook: Outlook, simulation: Simulation | None) -> dict[str, Any]:
    told: dict[str, Any] = {"warnings": outlook.cautions, "impact": outlook.changes}
    return told if simulation is None else {**told, "simulation": asdict(simulation)}


async def _compare(
    settings: Settings, slug: str, policy: Policy, days: int | None
) -> tuple[Outlook, Simulation | None]:
    async with opened(settings) as stores:
        outlook = await look_ahead(stores, slug, policy)
        return outlook, None if days is None else await _replayed(stores, slug, policy, days)


async def _replayed(stores: Stores, slug: str, policy: Policy, days: int) -> Simulation:
    replay = Replay(policy, await stores.workspace(slug), await _annotations(stores, slug, policy))
    async for call in recent(stores.database, slug, days, now=datetime.now(UTC)):
        replay.add(call)
    return replay.outcome()


async def _annotations(stores: Stores, slug: str, policy: Policy) -> dict[Thing, Mapping[str, Any]]:
    """What the tools say of themselves, as they were seen last; only where a rule looks at it."""
    if not any(rule.read_only for rule in policy.rules):
        return {}
    definitions = Definitions(stores.database)
    found: dict[Thing, Mapping[str, Any]] = {}
    for thing in await definitions.things(slug):
        newest = next(iter(await definitions.versions(slug, thing.server, thing.name)), None)
        said = newest.definition.get("annotations") if newest is not None else None
        found[thing] = said if isinstance(said, dict) else {}
    return found


def _print(simulation: Simulation, days: int) -> None:
    if not simulation.calls:
        typer.echo(f"No calls of the last {_days(days)} are recorded.")
        return
    rows = [
        {
            "rule": finding.rule,
            "who": finding.principal_name or finding.principal,
            "what": finding.thing,
            "would be refused": finding.refused,
            "why": finding.why,
        }
        for finding in simulation.findings
    ]
    if rows:
        show.records(rows[:MOST_ROWS], as_json=False)
        if len(rows) > MOST_ROWS:
            typer.echo(f"and {len(rows) - MOST_ROWS} more; --json tells all")
        typer.echo()
    typer.echo(_totals(simulation, days))


def _totals(simulation: Simulation, days: int) -> str:
    calls = f"{simulation.calls:,} call{'' if simulation.calls == 1 else 's'}"
    then = f" ({simulation.refused_then:,} were refused then)" if simulation.refused_then else ""
    said = f"Of {calls} in {_days(days)} {simulation.refused:,} would have been refused{then}"
    if not simulation.depends:
        return f"{said}."
    members = ", ".join(f"{member} {count:,}" for member, count in sorted(simulation.depends_on.items()))
    what = "arguments, results or a person" if set(simulation.depends_on) - _OF_ARGUMENTS else "arguments"
    return f"{said}; for {simulation.depends:,} it depends on {what} ({members})."


_OF_ARGUMENTS: Final = frozenset({"when", "check_arguments", "max_arguments", "redact"})


def _days(days: int) -> str:
    return "1 day" if days == 1 else f"{days} days"
