"""One message on its way through the corridor, as plain values: who asks what, in which era."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from portkey_mcp.gateway.inbound import RequestId
from portkey_mcp.gateway.session import Live, Session
from portkey_mcp.model import Era, Introduction, Visit
from portkey_mcp.wire import Json, dumps


@dataclass(slots=True, eq=False)
class Call:
    """One MCP request, not changed once made. `params` are raw, None when absent; capabilities and client info are the
    client's own.

    `session` and `live` belong to a legacy client that has shaken hands; `headers` are the HTTP request's, in lower
    case.
    """

    visit: Visit
    id: RequestId
    method: str
    params: Json | None
    era: Era
    version: str
    capabilities: Json = field(default_factory=dict)
    client_info: Json = field(default_factory=dict)
    session: Session | None = None
    live: Live | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    again: Callable[[], Awaitable[Visit]] | None = None
    """Admits the client once more, as things are then; raises a Refusal when it would be turned away."""
    checked: bool = False
    """Its `Mcp-Param-*` headers were compared with the arguments that came with them, which policy changed since."""
    withheld: tuple[str, ...] = ()
    """Client capabilities that the server this is for never learns of."""

    @property
    def introduction(self) -> Introduction:
        """How the caller is introduced upstream. Equal callers share what upstream keeps per session.

        A session of its own where the client has one; else whoever is the same principal, from the same endpoint,
        with the same capabilities.
        """
        live = self.live
        if live is None or self.withheld:
            return self._introduced()
        if live.introduction is None:
            live.introduction = self._introduced()
        return live.introduction

    def _introduced(self) -> Introduction:
        principal = self.visit.principal.id
        if self.session is not None:
            party = self.session.id
        else:
            party = f"{principal} {self.visit.endpoint.path} {dumps(self.capabilities).decode()}"
        if self.withheld:
            party = f"{party} without {' '.join(self.withheld)}"
        return Introduction(
            party=party,
            principal=principal,
            capabilities=self.capabilities,
            client_info=self.client_info,
            version=self.version if self.era == "legacy" else "",
            besides=(self.params or {}) if self.era == "legacy" and self.method == "initialize" else {},
            who=self.visit.principal,
        )

    def without(self, withheld: tuple[str, ...]) -> "Call":
        """The same caller, as a server knows it that may not ask for these."""
        capabilities = {name: value for name, value in self.capabilities.items() if name not in withheld}
        return replace(self, capabilities=capabilities, withheld=withheld)

    def about(self, method: str, params: Json | None) -> "Call":
        """The same caller asking something else."""
        if method == self.method and params is self.params:
            return self
        return replace(self, method=method, params=params)
