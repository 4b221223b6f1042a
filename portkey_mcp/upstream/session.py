"""What a legacy handshake over HTTP gave: the session that every later request names."""

from dataclasses import dataclass, field

from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER

from portkey_mcp.errors import UpstreamDown, UpstreamError
from portkey_mcp.upstream.heads import line
from portkey_mcp.upstream.messages import METHOD_NOT_FOUND
from portkey_mcp.wire import Json

SESSION_HEADER = "Mcp-Session-Id"


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """`id` is empty where the server keeps no session, `version` where it named none, `hello` is its answer, raw."""

    id: str
    version: str
    hello: Json

    lines: bytes = field(init=False)
    """The headers that every request of the session carries, rendered."""

    def __post_init__(self) -> None:
        """Raises ValueError where id or version cannot be a header's value."""
        version = line(MCP_PROTOCOL_VERSION_HEADER, self.version) if self.version else b""
        # The id goes back byte by byte as it came.
        own = line(SESSION_HEADER, self.id, "latin-1") if self.id else b""
        object.__setattr__(self, "lines", version + own)

    def is_lost(self, error: UpstreamError | UpstreamDown) -> bool:
        """Whether an error says that the server has forgotten this session; then the request never ran."""
        unknown_method = isinstance(error, UpstreamError) and error.code == METHOD_NOT_FOUND
        return bool(self.id) and error.status == 404 and not unknown_method


NO_SESSION = Session("", "", {})
"""Before the handshake."""
