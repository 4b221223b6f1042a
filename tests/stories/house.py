"""The text of a `portkey.yaml` for a story. YAML is a superset of JSON, so it is written as JSON."""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def document(workspaces: dict[str, dict[str, Any]], **gateway: Any) -> str:
    """`workspaces` maps each slug to its part: `servers`, `bundles`, `api_keys`, `policy`."""
    return json.dumps({"version": 1, "gateway": gateway, "workspaces": workspaces})


def open_house(**servers: dict[str, Any]) -> str:
    """One workspace, `team`, with these servers, and everybody a local admin."""
    return document({"team": {"servers": servers}}, auth="none")


def module(name: str, *arguments: str) -> dict[str, Any]:
    """A stdio server that is a module of this repository."""
    return {"command": [sys.executable, "-m", name, *arguments], "cwd": str(ROOT)}
