"""Every name that leaves this process in telemetry: spans, attributes, values.

The conventions for MCP are in development and moved between packages, so their strings stand here and nowhere else
(opentelemetry.io, semantic conventions for generative AI: MCP). What has no convention is in our own namespace.
"""

from typing import Final

SERVICE: Final = "portkey-mcp"
"""`service.name`, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES say otherwise."""

SCOPE: Final = "portkey_mcp"
"""The name of the tracer; the SDK's own spans have the scope `mcp-python-sdk` and are never exported."""

METHOD: Final = "mcp.method.name"
PROTOCOL_VERSION: Final = "mcp.protocol.version"
SESSION: Final = "mcp.session.id"
RESOURCE_URI: Final = "mcp.resource.uri"
REQUEST_ID: Final = "jsonrpc.request.id"
STATUS_CODE: Final = "rpc.response.status_code"
ERROR_TYPE: Final = "error.type"
TOOL: Final = "gen_ai.tool.name"
PROMPT: Final = "gen_ai.prompt.name"
OPERATION: Final = "gen_ai.operation.name"
NETWORK_TRANSPORT: Final = "network.transport"
NETWORK_PROTOCOL: Final = "network.protocol.name"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"

WORKSPACE: Final = "portkey_mcp.workspace"
ENDPOINT: Final = "portkey_mcp.endpoint"
"""Path below the origin without `/mcp`; empty for the root hub."""
SERVER: Final = "portkey_mcp.server"
"""The registered server's name: on every CLIENT span, and on a SERVER span whose endpoint is one server."""
ERA: Final = "portkey_mcp.era"
"""`legacy` or `modern`: of the client's leg on a SERVER span, of the upstream's on a CLIENT span."""

EXECUTE_TOOL: Final = "execute_tool"
TOOL_ERROR: Final = "tool_error"
"""`error.type` of a tool result with `isError: true`."""
