"""What is kept between lists: which servers a hub has, and its lists as they were last written.

Pure. Nothing here decides what a visitor sees; a written list is given out again only for the very same lists of the
servers, rules, choice and visitor.
"""

import operator
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from portkey_mcp.gateway.freshness import Freshness
from portkey_mcp.gateway.lasting import Clock, Lasting
from portkey_mcp.gateway.shelf import Shelf
from portkey_mcp.model import Endpoint, McpServer, Workspace
from portkey_mcp.policy.decide import Rules
from portkey_mcp.policy.match import Pattern, compile_pattern
from portkey_mcp.wire import Json, Raw

WRITTEN, WRITTEN_BYTES = 2_000, 64 * 1024 * 1024
"""Pages of hubs that are kept as they were written, and their bytes."""

CHOICES = 10_000
"""Hubs and bundles whose choice of servers is kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The servers of a hub or a bundle, in the order of their names. `chosen` is a bundle's, None where all is."""

    workspace: Workspace
    title: str
    servers: Mapping[str, McpServer]
    chosen: tuple[Pattern, ...] | None


@dataclass(frozen=True, slots=True)
class Sources:
    """What a written list was made of: each server's `Snapshot.value`, the names of those that are stale, and how often
    somebody decided about definitions.
    """

    choice: Choice
    rules: Rules
    values: tuple[Any, ...]
    stale: tuple[str, ...]
    decided: int = 0

    def are(self, others: "Sources") -> bool:
        """Whether these are the very same, not only equal ones."""
        return (
            self.choice is others.choice
            and self.rules is others.rules
            and self.stale == others.stale
            and self.decided == others.decided
            and all(map(operator.is_, self.values, others.values))
        )


class Catalogue:
    """What lists share. One per process; `clock` counts seconds."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self.freshness = Freshness()
        self.lasting = Lasting(self.freshness, clock)
        self._choices: Shelf[Choice] = Shelf(CHOICES, 0)
        self._written: Shelf[tuple[Sources, Raw]] = Shelf(WRITTEN, WRITTEN_BYTES)

    def choice(self, endpoint: Endpoint) -> Choice:
        """The servers behind a hub or a bundle, worked out once for each workspace as it is, and as it is seen."""
        workspace = endpoint.workspace
        bundle = workspace.bundles.get(endpoint.name) if endpoint.kind == "bundle" else None
        # The workspace is another object for whoever may not use all its servers; what is kept keeps it, and its id.
        place = (id(workspace), bundle.name if bundle is not None else None)
        choice = self._choices.get(place)
        if choice is None or choice.workspace is not workspace:
            chosen = tuple(compile_pattern(text) for text in bundle.include) if bundle is not None else None
            title = (bundle.title or bundle.name) if bundle is not None else workspace.name or workspace.slug
            servers = {
                name: server
                for name, server in sorted(workspace.servers.items())
                if server.enabled and (chosen is None or any(pattern.server(name) for pattern in chosen))
            }
            choice = Choice(workspace, title, servers, chosen)
            self._choices.put(place, choice)
        return choice

    def written(self, place: tuple[Any, ...], sources: Sources, write: Callable[[], Json]) -> Raw:
        """A page as it was written last, or is now. `place` says whose page of which list it is."""
        found = self._written.get(place)
        if found is not None and found[0].are(sources):
            return found[1]
        page = Raw(write())
        self._written.put(place, (sources, page), len(page.text) + len(repr(place)))
        return page
