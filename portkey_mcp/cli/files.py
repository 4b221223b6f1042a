"""`check` and `schema`: the files that a person edits."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from portkey_mcp.policy import document as policy
from portkey_mcp.registry import document

File = Annotated[Path, typer.Argument(help="A portkey.yaml.", show_default=False)]
Which = Annotated[Literal["portkey", "policy"], typer.Argument(help="Which file: portkey.yaml or a policy document.")]


def check(file: File) -> None:
    """Say what is wrong in a portkey.yaml and in the policies it names; nothing, if all is well."""
    document.load(file)


def schema(which: Which = "portkey") -> None:
    """Print the JSON Schema of a file, for editors."""
    typer.echo(json.dumps(document.schema() if which == "portkey" else policy.schema(), indent=2))
