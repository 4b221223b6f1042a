"""The command line: `portkey-mcp NOUN VERB`, one file a noun.

Exit codes: 0 done, 1 refused or failed, 2 wrong use or a wrong file. A person's mistake is one line, never a traceback.
"""

import sys

import typer

from portkey_mcp import __version__
from portkey_mcp.cli import (
    approvals,
    audit,
    connections,
    db,
    doctor,
    files,
    invitations,
    keys,
    people,
    policy,
    review,
    secrets,
    serve,
    servers,
    workspaces,
)
from portkey_mcp.errors import Mistake, PortkeyError

app = typer.Typer(
    name="portkey-mcp",
    help="A self-hosted MCP gateway: one URL for each MCP server, for any client.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(serve.serve)
app.command()(serve.demo)
app.command()(files.check)
app.command()(files.schema)
app.command()(doctor.doctor)
app.add_typer(workspaces.app, name="workspaces")
app.add_typer(servers.app, name="servers")
app.add_typer(keys.app, name="keys")
app.add_typer(connections.app, name="connections")
people.app.command()(invitations.invite)
people.app.command()(invitations.invitations)
people.app.command()(invitations.uninvite)
app.add_typer(people.app, name="people")
app.add_typer(policy.app, name="policy")
app.add_typer(approvals.app, name="approvals")
app.add_typer(review.app, name="review")
app.add_typer(audit.app, name="audit")
app.add_typer(secrets.app, name="secrets")
app.add_typer(db.app, name="db")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """Run the command that `sys.argv` names, and exit."""
    try:
        app()
    except Exception as error:
        cause = _cause(error)
        if not isinstance(cause, PortkeyError):
            raise
        typer.echo(str(cause), err=True)
        sys.exit(2 if isinstance(cause, Mistake) else 1)


def _cause(error: BaseException) -> BaseException:
    """What failed, out of the groups that task groups wrap it in."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
