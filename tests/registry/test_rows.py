"""What is stored comes back equal."""

from portkey_mcp.model import Bundle, McpServer
from portkey_mcp.policy.document import EMPTY, parse
from portkey_mcp.registry import rows
from portkey_mcp.registry.tables import BundleRow, HostRow, ServerRow, WorkspaceRow

FILES = McpServer("demo", "files", "stdio", command=("npx", "-y"), env={"A": "b"}, cwd="/", process="shared", title="F")
SEARCH = McpServer("demo", "search", "sse", "https://x/sse", headers={"X": "y"}, protocol="2025-11-25", enabled=False)
READING = Bundle("demo", "reading", "Reading", ("files/read_*",))
POLICY = {"version": 1, "rules": [{"match": "*", "enabled": False}]}


def test_a_directory_is_made_of_its_rows() -> None:
    directory = rows.directory(
        [
            WorkspaceRow(slug="demo", name="Demo", policy=POLICY, origin="file"),
            WorkspaceRow(slug="empty", name="empty", policy=None, origin="cli"),
        ],
        [ServerRow(workspace="demo", name=s.name, origin="cli", **rows.server_columns(s)) for s in (FILES, SEARCH)],
        [BundleRow(workspace="demo", name="reading", origin="cli", **rows.bundle_columns(READING))],
        [HostRow(host="x.example.com", path="demo/files", origin="file")],
    )
    assert directory.workspaces["demo"].servers == {"files": FILES, "search": SEARCH}
    assert directory.workspaces["demo"].bundles == {"reading": READING}
    assert directory.workspaces["demo"].policy == parse(POLICY)
    assert directory.workspaces["empty"].servers == {}
    assert directory.workspaces["empty"].policy is EMPTY
    assert directory.hosts == {"x.example.com": "demo/files"}
