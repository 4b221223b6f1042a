"""Runs the command line in this process, as a terminal would see it."""

import contextlib
import io
import sys
from typing import NamedTuple
from unittest import mock

from portkey_mcp.cli import main


class Ran(NamedTuple):
    """Exit code, and what was printed where."""

    code: int
    out: str
    err: str


def run(*arguments: object) -> Ran:
    """Run `portkey-mcp` with these arguments."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.object(sys, "argv", ["portkey-mcp", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Ran(code, out.getvalue(), err.getvalue())
