"""`doctor`: walks the way of a Claude connector and says what is wrong with it, and how to mend it."""

import json
import os
import shutil
import sys
import textwrap
from collections import Counter
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated, Final

import anyio
import typer

from portkey_mcp.cli.options import AsJson
from portkey_mcp.doctor.finding import TITLES, Finding, Verdict
from portkey_mcp.doctor.walk import PATIENCE, examine

MARKS: Final[dict[Verdict, str]] = {"good": "✓", "doubtful": "!", "bad": "✗", "skipped": "–"}  # noqa: RUF001
PLAIN: Final[dict[Verdict, str]] = {"good": "+", "doubtful": "!", "bad": "x", "skipped": "-"}
"""The same for a terminal that has not these characters."""
COLOURS: Final[dict[Verdict, str]] = {"good": "green", "doubtful": "yellow", "bad": "red", "skipped": "bright_black"}
SLOW: Final = 0.005
"""Seconds below which an answer's time is not worth telling."""
INDENT: Final = " " * 14
WIDTH: Final = 118
"""Columns where no terminal says how many it has."""

Url = Annotated[str, typer.Argument(help="The URL that Claude is given.", show_default=False)]
Token = Annotated[
    str,
    typer.Option(
        "--token",
        envvar="PORTKEY_MCP_DOCTOR_TOKEN",
        help="A token or API key, to list the tools with. Better in the variable: others can see a command line.",
        show_default=False,
        show_envvar=True,
    ),
]
Register = Annotated[bool, typer.Option("--register", help="Register a client, too; it stays behind.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, max=300, help="Seconds for each request.")]


def doctor(
    url: Url, token: Token = "", register: Register = False, timeout: Timeout = PATIENCE, as_json: AsJson = False
) -> None:
    """Look at a connector's URL as Claude does, step by step; say what is wrong, and how to mend it."""
    counts = anyio.run(_examine, url, token.strip(), register, timeout, as_json)
    if not as_json:
        typer.echo(f"\n{summary(counts)}")
    if counts["bad"]:
        raise typer.Exit(1)


async def _examine(url: str, token: str, register: bool, timeout: float, as_json: bool) -> Counter[Verdict]:
    """Print each finding as it comes; returns how many there are of each verdict."""
    counts: Counter[Verdict] = Counter()
    step = ""
    async with aclosing(examine(url, token=token, register=register, timeout=timeout)) as findings:
        async for finding in findings:
            counts[finding.verdict] += 1
            if as_json:
                typer.echo(json.dumps(asdict(finding), ensure_ascii=False))
            else:
                if finding.step != step:
                    typer.echo(f"{chr(10) if step else ''}{TITLES[finding.step]}")
                    step = finding.step
                typer.echo(line(finding))
            sys.stdout.flush()
    return counts


def line(finding: Finding) -> str:
    """A finding for a person: mark, word, what it is, and below it how to mend it."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    marks = MARKS if _has("".join(MARKS.values()), encoding) else PLAIN
    mark = f"{marks[finding.verdict]} {finding.verdict:<8}"
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        mark = typer.style(mark, fg=COLOURS[finding.verdict])
    seconds = finding.seconds or 0.0
    took = f" ({seconds:.2f}\xa0s)" if seconds >= SLOW else ""
    mend = _wrapped(f"Mend: {finding.mend}") if finding.mend else []
    lines = f"\n{INDENT}".join([*_wrapped(f"{finding.what}{took}"), *mend])
    return f"  {mark}  {lines}".encode(encoding, "replace").decode(encoding)


def summary(counts: Counter[Verdict]) -> str:
    """The last line: what the verdicts come to."""
    if counts["bad"]:
        ending = "Claude will not get through before what is bad is mended."
    elif counts["doubtful"]:
        ending = "Nothing is bad; read what is doubtful."
    else:
        ending = "All is well, as far as can be seen from here."
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in MARKS if counts[verdict]) + f". {ending}"


def _wrapped(text: str) -> list[str]:
    width = max(40, shutil.get_terminal_size((WIDTH, 0)).columns - len(INDENT))
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return [one.replace("\xa0", " ") for one in lines]  # which only kept a number and its unit together


def _has(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
