"""Workspaces, servers, bundles, host aliases, secrets and API keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _workspace(primary: bool = False) -> sa.Column[str]:
    return sa.Column(
        "workspace",
        sa.String(),
        sa.ForeignKey("workspaces.slug", ondelete="CASCADE"),
        nullable=False,
        primary_key=primary,
    )


def upgrade() -> None:
    """Create the first tables."""
    revision_table = op.create_table(
        "revision", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("number", sa.Integer(), nullable=False)
    )
    op.bulk_insert(revision_table, [{"id": 1, "number": 0}])
    op.create_table(
        "workspaces",
        sa.Column("slug", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("policy", sa.JSON()),
        sa.Column("origin", sa.String(), nullable=False),
    )
    op.create_table(
        "servers",
        _workspace(primary=True),
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("transport", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("command", sa.JSON(), nullable=False),
        sa.Column("env", sa.JSON(), nullable=False),
        sa.Column("cwd", sa.String(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("protocol", sa.String(), nullable=False),
        sa.Column("process", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
    )
    op.create_table(
        "bundles",
        _workspace(primary=True),
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("include", sa.JSON(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
    )
    op.create_table(
        "hosts",
        sa.Column("host", sa.String(), primary_key=True),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
    )
    op.create_table(
        "secrets",
        _workspace(primary=True),
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("server", sa.String(), nullable=False),
        sa.Column("sealed", sa.String(), nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(), primary_key=True),
        _workspace(),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("expires", sa.DateTime()),
        sa.Column("last_used", sa.DateTime()),
        sa.UniqueConstraint("workspace", "name"),
        sa.UniqueConstraint("digest"),
    )
