"""What every call works with: made once by app.py, and the same for all."""

from dataclasses import dataclass, field
from typing import Protocol

from portkey_mcp.gateway.bridge.parked import Parking
from portkey_mcp.gateway.catalogue import Catalogue
from portkey_mcp.gateway.gate import Gate
from portkey_mcp.gateway.noting import Note
from portkey_mcp.gateway.offers import Offers
from portkey_mcp.gateway.schemas import Schemas
from portkey_mcp.gateway.started import Started
from portkey_mcp.gateway.visible import NoPins, Pins
from portkey_mcp.gateway.wanting import Wanting
from portkey_mcp.model import Introduction, McpServer
from portkey_mcp.sealing import KeyRing
from portkey_mcp.telemetry.spans import Spans
from portkey_mcp.upstream.link import Link


class Links(Protocol):
    """Where links come from."""

    async def link(self, server: McpServer, visitor: Introduction) -> Link:
        """The caller's link to a server, opened when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Means:
    """`timeout` is a call's, in seconds."""

    links: Links
    keyring: KeyRing
    parking: Parking
    schemas: Schemas
    spans: Spans
    timeout: float
    catalogue: Catalogue = field(default_factory=Catalogue)
    gate: Gate = field(default_factory=Gate)
    pins: Pins = field(default_factory=NoPins)
    offers: Offers = field(default_factory=Offers)
    started: Started = field(default_factory=Started)
    wanting: Wanting = field(default_factory=Wanting)
    note: Note = field(default=lambda record: None)
