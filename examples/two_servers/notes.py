"""A server of our own, in one file: two tools over stdio, written with the MCP Python SDK."""

from mcp.server.mcpserver import MCPServer

server = MCPServer("notes", log_level="WARNING")
notes: list[str] = []


@server.tool()
def add(text: str) -> str:
    """Keep a note for as long as this process runs."""
    notes.append(text)
    return f"Note {len(notes)} kept."


@server.tool()
def read() -> str:
    """Read all notes."""
    return "\n".join(notes) or "No notes yet."


if __name__ == "__main__":
    server.run("stdio")
