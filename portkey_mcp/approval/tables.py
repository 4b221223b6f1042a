"""The table of approvals, owned by this room. Arguments are sealed: whoever decides sees them, and nobody else."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from portkey_mcp.storage.tables import Base, Instant


class ApprovalRow(Base):
    """One call that waits, or waited, for a person. `digest` binds it to the exact call.

    `state`: `asked`, `granted`, `denied` or `used`; `via`: how the person was asked, `elicitation` or `page`.
    """

    __tablename__ = "approvals"

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace: Mapped[str] = mapped_column(ForeignKey("workspaces.slug", ondelete="CASCADE"))
    principal: Mapped[str]
    server: Mapped[str]
    kind: Mapped[str]
    name: Mapped[str]
    digest: Mapped[str] = mapped_column(index=True)
    sealed: Mapped[str]
    state: Mapped[str]
    via: Mapped[str]
    created: Mapped[datetime] = mapped_column(Instant)
    expires: Mapped[datetime] = mapped_column(Instant)
    decided_by: Mapped[str]
    decided_at: Mapped[datetime | None] = mapped_column(Instant)
