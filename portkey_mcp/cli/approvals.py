"""`approvals`: which calls people were asked about, and what they decided. Arguments are never shown."""

from datetime import UTC, datetime

import anyio
import typer

from portkey_mcp.approval.approvals import Approvals
from portkey_mcp.approval.record import Approval
from portkey_mcp.cli import show
from portkey_mcp.cli.options import AsJson, Config, Data, Workspace, load
from portkey_mcp.cli.stores import opened
from portkey_mcp.sealing import KeyRing
from portkey_mcp.settings import Settings

app = typer.Typer(help="Calls that people are asked about before they run.", no_args_is_help=True)


@app.command("list")
def list_(workspace: Workspace, config: Config = None, data: Data = None, as_json: AsJson = False) -> None:
    """List the latest 100 approvals of a workspace, the newest first."""
    rows = anyio.run(_list, load(config, data), workspace)
    show.records(rows, as_json=as_json, empty="Nobody was asked yet; a rule with `require_approval: true` asks.")


async def _list(settings: Settings, workspace: str) -> list[dict[str, object]]:
    async with opened(settings) as stores:
        await stores.workspace(workspace)
        keyring = KeyRing.of(settings.data, settings.secret_keys.get_secret_value())
        approvals = await Approvals(stores.database, keyring).recent(workspace)
        names = {key.id: key.name for key in await stores.identity.list_keys(workspace)}
    now = datetime.now(UTC)
    return [show.plain(_told(approval, names, now)) for approval in approvals]


def _told(approval: Approval, names: dict[str, str], now: datetime) -> dict[str, object]:
    """One approval for a person: keys by their names, as long as those are known."""
    kind, server, name = approval.thing
    return {
        "at": approval.created,
        "who": names.get(approval.who, approval.who),
        "what": f"{'' if kind == 'tool' else f'{kind}:'}{server}/{name}",
        "state": "expired" if approval.state == "asked" and approval.expires <= now else approval.state,
        "via": approval.via,
        "decided_by": names.get(approval.decided_by, approval.decided_by),
        "decided_at": approval.decided_at,
    }
