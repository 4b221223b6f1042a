"""The table of API keys, owned by `identity/keys.py`. Keys themselves are never stored, only their SHA-256."""

from datetime import datetime

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portkey_mcp.storage.tables import Base, Instant


class ApiKeyRow(Base):
    """One API key. `id` outlives a change of the key, so that its principal stays the same."""

    __tablename__ = "api_keys"
    __table_args__ = (UniqueConstraint("workspace", "name"), UniqueConstraint("digest"))

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace: Mapped[str] = mapped_column(ForeignKey("workspaces.slug", ondelete="CASCADE"))
    name: Mapped[str]
    digest: Mapped[str]
    role: Mapped[str]
    origin: Mapped[str]
    created: Mapped[datetime] = mapped_column(Instant)
    expires: Mapped[datetime | None] = mapped_column(Instant)
    last_used: Mapped[datetime | None] = mapped_column(Instant)
