"""The options that many commands share, and how they become settings."""

from pathlib import Path
from typing import Annotated, Any

import typer

from portkey_mcp import settings

Config = Annotated[
    Path | None,
    typer.Option("--config", envvar="PORTKEY_MCP_CONFIG", metavar="FILE", help="The portkey.yaml to provision from."),
]
Data = Annotated[
    Path | None,
    typer.Option("--data", envvar="PORTKEY_MCP_DATA", metavar="DIR", help="Directory of the database and its key."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Host = Annotated[str | None, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")]
Port = Annotated[int | None, typer.Option("--port", metavar="PORT", help="Port to listen on; 0 takes any free one.")]
Workspace = Annotated[str, typer.Option("--workspace", "-w", metavar="SLUG", help="The workspace.")]


def load(config: Path | None, data: Path | None, **given: Any) -> settings.Settings:
    """The settings of this command; None stands for "not given".

    Raises:
        Mistakes: an option or a variable is wrong.
    """
    return settings.load(config=config, data=data, **given)
