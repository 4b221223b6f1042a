"""The fixture upstream and a real gateway as processes of their own, for as long as a `with` block runs."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conformance.suite import ROOT

if TYPE_CHECKING:  # drivers start once for each scenario, and this import takes longer than all others
    from tests.conformance.everything.eras import Era

STOPPING = 15
"""Seconds a process has to end by itself once it is told to."""


@contextmanager
def upstream(era: "Era") -> Iterator[str]:
    """Start the fixture server in an era; gives its URL."""
    with _program(["-m", "tests.conformance.upstream", "--era", era], r"ready (\S+)") as url:
        yield url


@contextmanager
def gateway(server: str) -> Iterator[str]:
    """Start a gateway that has `server` as its only upstream; gives the URL of that server's endpoint."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "portkey.yaml")
        config.write_text(json.dumps(document(server)))
        with serve(config, Path(folder, "data")) as origin:
            yield f"{origin}/conformance/everything/mcp"


@contextmanager
def serve(config: Path, data: Path) -> Iterator[str]:
    """Start a gateway on a file and a data directory; gives its origin."""
    command = ["serve", "--config", str(config), "--data", str(data), "--port", "0"]
    with _program(["-m", "portkey_mcp", *command], r"listens on (\S+)") as origin:
        yield origin


def document(server: str) -> dict[str, object]:
    """The `portkey.yaml` of a gateway that asks nobody who they are and has one upstream."""
    workspace = {"servers": {"everything": {"url": server}}}
    return {"version": 1, "gateway": {"auth": "none"}, "workspaces": {"conformance": workspace}}


@contextmanager
def _program(arguments: list[str], ready: str) -> Iterator[str]:
    """Run Python with these arguments; gives what the line that matches `ready` says in its group.

    Raises:
        RuntimeError: it ended before it was ready; carries what it wrote.
    """
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert process.stdout is not None
        with process.stdout as lines:
            try:
                found = next((match for line in lines if (match := re.search(ready, line))), None)
                if found is None:
                    errors.seek(0)
                    raise RuntimeError(f"{arguments} ended: {errors.read()[-3000:]}")
                yield found[1]
            finally:
                process.terminate()
                try:
                    process.wait(STOPPING)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
