"""A gateway with a workspace of five servers: over stdio and HTTP, of both eras, one with tasks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.stories.gateway import Gateway, gateway
from tests.stories.house import document
from tests.stories.upstreams import CONFORMANCE, lively, running, stdio

LIVELY_ONES = ("api", "files", "notes", "web")
"""All but `jobs`, the conformance suite's fixture server."""


@asynccontextmanager
async def five_servers(data: Path, *, hosts: dict[str, str] | None = None, **team: Any) -> AsyncIterator[Gateway]:
    """Run them and the gateway; `team` are further parts of the workspace, such as `policy`."""
    async with (
        lively("web", "--era", "legacy") as web,
        lively("api", "--era", "modern") as api,
        running(CONFORMANCE, "--era", "modern") as jobs,
    ):
        servers = {
            "web": {"url": web.url},
            "api": {"url": api.url},
            "jobs": {"url": jobs.url},
            "files": stdio("files", protocol="2025-11-25"),
            "notes": stdio("notes", "--many", 250),
        }
        text = document({"team": {"servers": servers, **team}}, auth="none", hosts=hosts or {})
        async with gateway(text, data) as served:
            yield served
