"""`policy edit`: a person's editor on the policy of a workspace; checked, compared and explained before it is saved.

What was typed is never lost: whenever nothing is saved, the file stays and its place is told.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import anyio
import typer

from portkey_mcp.cli.options import Config, Data, Workspace, load
from portkey_mcp.cli.policy_limits import used_up
from portkey_mcp.cli.policy_versions import print_diff
from portkey_mcp.cli.stores import Stores, opened
from portkey_mcp.cli.who import who
from portkey_mcp.errors import Mistake, Mistakes
from portkey_mcp.model import Endpoint, Visit
from portkey_mcp.model import Workspace as WorkspaceModel
from portkey_mcp.policy.document import EMPTY, Policy, schema
from portkey_mcp.policy.impact import impact, visitors
from portkey_mcp.policy.warnings import warnings
from portkey_mcp.registry.definitions import Definitions
from portkey_mcp.registry.document import parse_policy, text_of
from portkey_mcp.registry.policies import PolicyVersion
from portkey_mcp.registry.policy_text import HEADER
from portkey_mcp.settings import Settings

Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Why; kept in the history.")]
Yes = Annotated[bool, typer.Option("--yes", help="Save without a question; needed where there is no terminal.")]

BEGINNING: Final = HEADER + "version: 1\nrules: []\n"
"""What a workspace without a policy begins with."""

EDITORS: Final = ("vi", "nano")


@dataclass(frozen=True, slots=True)
class Outlook:
    """What saving a policy would mean: `changes` for whom, and `cautions` about what is probably a mistake."""

    changes: list[str]
    cautions: list[str]


def edit(workspace: Workspace, why: Why = "", yes: Yes = False, config: Config = None, data: Data = None) -> None:
    """Open a workspace's policy in $VISUAL or $EDITOR, check it, show what would change, and save it."""
    if not yes and not sys.stdin.isatty():
        raise Mistake("there is no terminal to ask on whether to save; give --yes")
    settings, command = load(config, data), _editor()
    began = anyio.run(_begin, settings, workspace)
    file = _draft(workspace, began.text if began else BEGINNING)
    try:
        text = _edited(command, file, asks=sys.stdin.isatty())
        if text is None:
            typer.echo("Nothing was changed. (An editor with a window of its own must wait, like `code --wait`.)")
        else:
            _save(settings, workspace, began, text, why, yes)
    except BaseException:
        typer.echo(f"Nothing was saved; your text is in {file}", err=True)
        raise
    shutil.rmtree(file.parent)


async def _begin(settings: Settings, workspace: str) -> PolicyVersion | None:
    async with opened(settings) as stores:
        await stores.policies.refuse_managed(workspace)
        return await stores.policies.current(workspace)


def _editor() -> list[str]:
    wanted = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    try:
        command = shlex.split(wanted) if wanted else []
    except ValueError as error:
        raise Mistake(f"VISUAL or EDITOR, {wanted!r}, cannot be read: {error}") from None
    if not command:
        command = [found for name in EDITORS if (found := shutil.which(name))][:1]
    if not command:
        raise Mistake("there is no editor; set EDITOR to one, or use `portkey-mcp policy save FILE`")
    if shutil.which(command[0]) is None:
        raise Mistake(f"the editor {command[0]!r} of VISUAL or EDITOR is not there")
    return command


def _draft(workspace: str, text: str) -> Path:
    """A file for the editor, for this user only, with the schema beside it that its first line may name."""
    folder = Path(tempfile.mkdtemp(prefix="portkey-mcp-"))
    (folder / "policy.schema.json").write_text(json.dumps(schema()), encoding="utf-8")
    file = folder / f"{workspace}.yaml"
    file.write_bytes(text.encode())
    return file


def _edited(command: list[str], file: Path, asks: bool) -> str | None:
    """What came out of the editor, valid; None when that is what went in. Wrong text is edited again or given up."""
    before = text_of(file)
    while True:
        ended = subprocess.run([*command, str(file)], check=False)  # noqa: S603 - the user's own editor
        if ended.returncode:
            raise Mistake(f"the editor {command[0]!r} ended with code {ended.returncode}")
        try:
            text = text_of(file)
            if text == before:
                return None
            parse_policy(text, str(file))
            return text
        except Mistakes as wrong:
            if not asks:
                raise
            typer.echo(str(wrong), err=True)
            if not typer.confirm("Edit again?", default=True):
                raise typer.Exit(2) from None


def _save(settings: Settings, workspace: str, began: PolicyVersion | None, text: str, why: str, yes: bool) -> None:
    number = began.number if began else 0
    policy, _ = parse_policy(text, "policy")
    outlook = anyio.run(_look_ahead, settings, workspace, policy)
    print_diff(began.text if began else "", text, f"version {number}" if began else "no policy", "yours")
    print_outlook(outlook)
    if not yes and not typer.confirm("Save?", default=False):
        raise typer.Exit(1)
    saved = anyio.run(_store, settings, workspace, text, why, number)
    typer.echo(f"Version {saved.number} of the policy of workspace {workspace!r} is in force.")


async def _store(settings: Settings, workspace: str, text: str, why: str, number: int) -> PolicyVersion:
    async with opened(settings) as stores:
        return await stores.policies.save(workspace, text, who=who(), why=why, origin="cli", based_on=number)


async def _look_ahead(settings: Settings, workspace: str, policy: Policy) -> Outlook:
    async with opened(settings) as stores:
        return await look_ahead(stores, workspace, policy)


async def look_ahead(stores: Stores, slug: str, policy: Policy) -> Outlook:
    """What it would mean to save this policy, told from what is registered and known of its servers."""
    workspace = await stores.workspace(slug)
    before, things = workspace.policy or EMPTY, await Definitions(stores.database).things(slug)
    seen_by = visitors(before, policy, workspace) + await everybody_of(stores, workspace)
    return Outlook(impact(before, policy, things, seen_by), await cautions(stores, workspace, policy))


async def everybody_of(stores: Stores, workspace: WorkspaceModel) -> list[Visit]:
    """The service accounts and people of a workspace, as visitors."""
    hub = Endpoint("hub", workspace)
    return [Visit(principal, hub) for principal in await stores.identity.everybody(workspace.slug)]


async def cautions(stores: Stores, workspace: WorkspaceModel, policy: Policy) -> list[str]:
    """What somebody should read before this policy is saved: probable mistakes, though it is valid, and limits that are
    used up already; a line each.
    """
    things = await Definitions(stores.database).things(workspace.slug)
    everybody = visitors(policy, policy, workspace) + await everybody_of(stores, workspace)
    gone = await used_up(stores, policy, everybody, things)
    return [*warnings(policy, workspace.servers, things), *gone]


def print_outlook(outlook: Outlook) -> None:
    """Print what would change for whom, and then what to beware of."""
    for line in outlook.changes or ["Nothing changes for anybody that is known here."]:
        typer.echo(line)
    for line in outlook.cautions:
        typer.echo(f"Warning: {line}", err=True)
