"""How commands print: a table for people, one JSON object a line for programs."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import typer


def records(rows: Sequence[Mapping[str, Any]], *, as_json: bool, empty: str = "Nothing here yet.") -> None:
    """Print records that all have the same members; `empty` is said to a person when there is none."""
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row, ensure_ascii=False))
        return
    if not rows:
        typer.echo(empty)
        return
    table = [[name.upper().replace("_", " ") for name in rows[0]], *([_cell(v) for v in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    match value:
        case None | "" | [] | ():
            return "-"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(map(str, value))
        case _:
            # A name or title comes from a stranger's server: it must not steer the terminal.
            return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(value))


def plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """The same record with moments as ISO 8601 text, in UTC and to the second."""
    return {
        name: value.astimezone(UTC).isoformat(timespec="seconds") if isinstance(value, datetime) else value
        for name, value in record.items()
    }
