"""`audit`: what was done that matters to security, by whom, from where, and what was refused."""

import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

import anyio
import typer

from portkey_mcp.activity.acts import ACTS
from portkey_mcp.activity.audit import LARGEST_PAGE, Noted, Wanted
from portkey_mcp.cli import show
from portkey_mcp.cli.options import AsJson, Config, Data, load
from portkey_mcp.cli.stores import opened
from portkey_mcp.errors import Mistake
from portkey_mcp.settings import Settings

app = typer.Typer(help="What was done that matters to security.", no_args_is_help=True)

UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}

Filter = Annotated[str | None, typer.Option("--workspace", "-w", metavar="SLUG", help="Only those of this workspace.")]
Named = Annotated[str | None, typer.Option("--act", metavar="ACT", help=f"Only one kind: {', '.join(ACTS)}.")]
Who = Annotated[str | None, typer.Option("--who", help="Only those of one id, e-mail address or name.")]
Outcome = Annotated[Literal["done", "refused"] | None, typer.Option("--outcome", help="Only those that ended so.")]
Since = Annotated[
    str, typer.Option("--since", metavar="WHEN", help="Only later ones: 90m, 12h, 7d, or a date like 2026-11-22.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="How many at most, of the newest.")]


@app.command("list")
def list_(
    workspace: Filter = None,
    act: Named = None,
    who: Who = None,
    outcome: Outcome = None,
    since: Since = "",
    limit: Limit = 100,
    config: Config = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List acts, the newest first. Those of the gateway as a whole, like people who sign in, are of no workspace."""
    if act is not None and act not in ACTS:
        raise Mistake(f"there is no act {act!r}; expected one of {', '.join(ACTS)}")
    wanted = Wanted(workspace, act, who, outcome, moment(since, datetime.now(UTC)) if since else None)
    found = anyio.run(_list, load(config, data), wanted, limit)
    rows = [show.plain(asdict(one)) if as_json else _told(one) for one in found]
    show.records(rows, as_json=as_json, empty="Nothing was noted yet that fits.")


async def _list(settings: Settings, wanted: Wanted, limit: int) -> list[Noted]:
    found: list[Noted] = []
    async with opened(settings) as stores:
        if wanted.workspace is not None:
            await stores.workspace(wanted.workspace)
        while len(found) < limit:
            before = found[-1].id if found else None
            page = await stores.audit.recent(wanted, before=before, limit=min(LARGEST_PAGE, limit - len(found)))
            found += page
            if not page:
                break
    return found


def _told(one: Noted) -> dict[str, object]:
    """One act for a person: what fits into a line."""
    return show.plain(
        {
            "at": one.at,
            "who": one.actor_name or one.actor,
            "act": one.act,
            "outcome": f"{one.outcome}: {one.why}" if one.why else one.outcome,
            "subject": one.subject,
            "workspace": one.workspace,
            "address": one.address,
            "client": one.client,
            "more": ", ".join(f"{name}={value}" for name, value in one.detail.items()),
        }
    )


def moment(text: str, now: datetime) -> datetime:
    """The moment that `90m`, `12h`, `7d` or an ISO 8601 date or time means; without an offset it is in UTC.

    Raises:
        Mistake: it means none.
    """
    ago = re.fullmatch(r"([0-9]{1,6})([mhd])", text)
    try:
        if ago:
            return now - int(ago[1]) * UNITS[ago[2]]
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Mistake(
            f"{text!r} is no moment; expected one like 90m, 12h, 7d, 2026-11-22 or 2026-11-22T18:30"
        ) from None
