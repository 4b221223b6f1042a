"""`policy`: check a document, show a workspace's, and explain what it decides."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import anyio
import typer
import yaml

from portkey_mcp.cli import show
from portkey_mcp.cli.options import AsJson, Config, Data, Workspace, load
from portkey_mcp.cli.stores import opened
from portkey_mcp.errors import Mistake
from portkey_mcp.model import Endpoint, Principal, Role, Visit
from portkey_mcp.model import Workspace as WorkspaceModel
from portkey_mcp.policy.decide import Thing
from portkey_mcp.policy.document import EMPTY, Policy
from portkey_mcp.policy.explain import Explanation, explain
from portkey_mcp.policy.match import KINDS
from portkey_mcp.registry.document import load_policy
from portkey_mcp.settings import Settings

app = typer.Typer(help="The policy of a workspace: which tools exist for whom.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="A policy document in YAML.", show_default=False)]
ThingArgument = Annotated[
    str,
    typer.Argument(metavar="THING", help="server/tool, prompt:server/name or resource:server/uri.", show_default=False),
]
RoleOption = Annotated[Role, typer.Option("--role", help="Role of the one who asks.")]
Group = Annotated[list[str] | None, typer.Option("--group", help="A group of the one who asks; repeatable.")]
Person = Annotated[str, typer.Option("--person", help="Id of the one who asks.")]


@app.command()
def check(file: File) -> None:
    """Say what is wrong in a policy document; nothing, if all is well."""
    load_policy(file)


@app.command("show")
def show_(workspace: Workspace, config: Config = None, data: Data = None, as_json: AsJson = False) -> None:
    """Print a workspace's policy."""
    policy = anyio.run(_policy, load(config, data), workspace)
    document = policy.model_dump(mode="json", by_alias=True, exclude_none=True)
    if as_json:
        show.records([document], as_json=True)
    else:
        typer.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), nl=False)


async def _policy(settings: Settings, workspace: str) -> Policy:
    return (await _workspace(settings, workspace)).policy or EMPTY


async def _workspace(settings: Settings, slug: str) -> WorkspaceModel:
    async with opened(settings) as stores:
        return await stores.workspace(slug)


@app.command("explain")
def explain_(
    thing: ThingArgument,
    workspace: Workspace,
    role: RoleOption = "member",
    group: Group = None,
    person: Person = "somebody",
    config: Config = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a tool, prompt or resource exists for somebody, and which rules say so."""
    asked, found = _thing(thing), anyio.run(_workspace, load(config, data), workspace)
    principal = Principal(person, person, "person", {workspace: role}, tuple(group or ()))
    answer = explain(found.policy or EMPTY, Visit(principal, Endpoint("hub", found)), asked)
    if as_json:
        show.records([asdict(answer)], as_json=True)
    else:
        _say(thing, answer)


def _thing(text: str) -> Thing:
    head, slash, name = text.partition("/")
    prefix, colon, server = head.rpartition(":")
    kind = prefix if colon else "tool"
    if not slash or not server or not name or kind not in KINDS:
        raise Mistake(f"{text!r} is not understood; expected server/tool, prompt:server/name or resource:server/uri")
    return Thing(kind, server, name)


def _say(thing: str, answer: Explanation) -> None:
    typer.echo(f"{thing} is {'allowed' if answer.allowed else 'hidden'}: {answer.reason}")
    for fit in answer.fits:
        says = {True: "enables", False: "disables", None: "says nothing about"}[fit.enabled]
        typer.echo(f"  rule {fit.number} ({', '.join(fit.match)}) {says} it{' and decides' if fit.decided else ''}")
