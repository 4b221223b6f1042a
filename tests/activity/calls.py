"""One call, to be varied."""

from datetime import UTC, datetime
from typing import Any

from portkey_mcp.activity.record import CallRecord

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

CALL = CallRecord(
    at=NOON,
    workspace="demo",
    principal="key:1",
    principal_name="ci",
    kind="service",
    role="member",
    groups=("ops",),
    client="",
    address="10.0.0.7",
    server="files",
    method="tools/call",
    name="read_file",
    outcome="ok",
    error="",
    duration_ms=12.5,
    upstream_ms=11.0,
    trace_id="0af7651916cd43dd8448eb211c80319c",
)


def call(**other: Any) -> CallRecord:
    """The call, with other values."""
    return CALL._replace(**other)
