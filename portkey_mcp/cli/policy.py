"""`policy`: every command about the policies of workspaces, gathered."""

import typer

from portkey_mcp.cli import policy_change, policy_check, policy_edit, policy_explain, policy_versions

app = typer.Typer(help="The policy of a workspace: which tools exist for whom.", no_args_is_help=True)
app.command()(policy_check.check)
app.command("explain")(policy_explain.explain_)
app.command("show")(policy_versions.show_)
app.command()(policy_versions.history)
app.command()(policy_versions.diff)
app.command()(policy_edit.edit)
app.command()(policy_change.save)
app.command()(policy_change.rollback)
app.command()(policy_change.enable)
app.command()(policy_change.disable)
app.command("set")(policy_change.set_)
