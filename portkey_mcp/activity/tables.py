"""The tables of what happened, owned by this room: calls, and acts. Never an argument, a result or a secret."""

from datetime import datetime
from typing import Any

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


class ActRow(Base):
    """One act that matters to security: who, from where, what, to whom, and why it was refused where it was.

    `workspace` is empty for what concerns the gateway as a whole. `outcome`: `done` or `refused`. `detail` is JSON of
    names and ids.
    """

    __tablename__ = "acts"
    __table_args__ = (Index("ix_acts_workspace", "workspace", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant)
    workspace: Mapped[str]
    actor: Mapped[str]
    actor_name: Mapped[str]
    address: Mapped[str]
    act: Mapped[str]
    subject: Mapped[str]
    outcome: Mapped[str]
    why: Mapped[str]
    client: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)
