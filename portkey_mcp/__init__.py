"""A self-hosted MCP gateway: one URL per MCP server, for any client, in both protocol eras."""

__version__ = "0.1.0"
