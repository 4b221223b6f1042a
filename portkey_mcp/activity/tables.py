"""The table of calls, owned by this room. Never an argument or a result."""

from datetime import datetime

from sqlalchemy import JSON, Index
from sqlalchemy.orm import Mapped, mapped_column

from portkey_mcp.storage.tables import Base, Instant


class CallRow(Base):
    """One request that used something: who, what, and how it ended.

    `kind`, `role`, `groups`, `client` and `address` are what policy knew of the principal. `outcome`: `ok`,
    `tool_error`, `error`, `refused`, `cancelled` or `input_required`; `error` says more, without anybody's words.
    """

    __tablename__ = "calls"
    __table_args__ = (Index("ix_calls_workspace", "workspace", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant)
    workspace: Mapped[str]
    principal: Mapped[str]
    principal_name: Mapped[str]
    kind: Mapped[str]
    role: Mapped[str]
    groups: Mapped[list[str]] = mapped_column(JSON)
    client: Mapped[str]
    address: Mapped[str]
    server: Mapped[str]
    method: Mapped[str]
    name: Mapped[str]
    outcome: Mapped[str]
    error: Mapped[str]
    duration_ms: Mapped[float]
    upstream_ms: Mapped[float]
    trace_id: Mapped[str]
