"""What policy needs: its versions, counts and leases, definitions under review, approvals, and a record of calls."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _workspace(primary: bool = False) -> sa.Column[str]:
    return sa.Column(
        "workspace",
        sa.String(),
        sa.ForeignKey("workspaces.slug", ondelete="CASCADE"),
        nullable=False,
        primary_key=primary,
    )


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "policy_versions",
        _workspace(primary=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
    )
    # Until now only files declared policies; JSON, as they were stored, is YAML too.
    op.execute(
        "INSERT INTO policy_versions SELECT slug, 1, policy, 'portkey.yaml', '', 'file', CURRENT_TIMESTAMP "
        "FROM workspaces WHERE policy IS NOT NULL"
    )
    op.create_table(
        "counters",
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("starts", sa.Integer(), primary_key=True),
        sa.Column("ends", sa.Integer(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
    )
    op.create_index("ix_counters_ends", "counters", ["ends"])
    op.create_table(
        "leases",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("until", sa.Integer(), nullable=False),
    )
    op.create_index("ix_leases_key", "leases", ["key"])
    op.create_table(
        "definitions",
        _workspace(primary=True),
        sa.Column("server", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("digest", sa.String(), primary_key=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("first_seen", sa.DateTime(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("decided_at", sa.DateTime()),
        sa.Column("definition", sa.JSON(), nullable=False),
    )
    op.create_table(
        "approvals",
        sa.Column("id", sa.String(), primary_key=True),
        _workspace(),
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("server", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("sealed", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("via", sa.String(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("expires", sa.DateTime(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("decided_at", sa.DateTime()),
    )
    op.create_index("ix_approvals_digest", "approvals", ["digest"])
    op.create_table(
        "calls",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("workspace", sa.String(), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("principal_name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("client", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("server", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("duration_ms", sa.Double(), nullable=False),
        sa.Column("upstream_ms", sa.Double(), nullable=False),
        sa.Column("trace_id", sa.String(), nullable=False),
    )
    op.create_index("ix_calls_workspace", "calls", ["workspace", "at"])
