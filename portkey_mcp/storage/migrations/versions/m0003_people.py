"""People: accounts, what they are in each workspace, API keys of their own, and browsers they are signed in with."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables, one group after the other."""
    _people()
    _browser_sessions()


def _people() -> None:
    """`people`, `memberships` and `group_members`; a key that belongs to a person ends with the membership."""
    op.create_table(
        "people",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("folded", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("password", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("disabled", sa.DateTime()),
        sa.UniqueConstraint("folded"),
    )
    op.create_table(
        "memberships",
        sa.Column(
            "workspace",
            sa.String(),
            sa.ForeignKey("workspaces.slug", ondelete="CASCADE"),
            nullable=False,
            primary_key=True,
        ),
        sa.Column(
            "person", sa.String(), sa.ForeignKey("people.id", ondelete="CASCADE"), nullable=False, primary_key=True
        ),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
    )
    op.create_index("ix_memberships_person", "memberships", ["person"])
    op.create_table(
        "group_members",
        sa.Column("workspace", sa.String(), primary_key=True),
        sa.Column("person", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), primary_key=True),
        sa.ForeignKeyConstraint(
            ["workspace", "person"], ["memberships.workspace", "memberships.person"], ondelete="CASCADE"
        ),
    )
    _keys_of_people()


def _keys_of_people() -> None:
    """`api_keys` with whose a key is. Made anew: SQLite adds no such foreign key to a table that is there."""
    op.rename_table("api_keys", "old_api_keys")
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("workspace", sa.String(), sa.ForeignKey("workspaces.slug", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("expires", sa.DateTime()),
        sa.Column("last_used", sa.DateTime()),
        sa.Column("person", sa.String()),
        sa.UniqueConstraint("workspace", "name"),
        sa.UniqueConstraint("digest"),
        sa.ForeignKeyConstraint(
            ["workspace", "person"], ["memberships.workspace", "memberships.person"], ondelete="CASCADE"
        ),
    )
    op.execute(
        "INSERT INTO api_keys SELECT id, workspace, name, digest, role, origin, created, expires, last_used, NULL "
        "FROM old_api_keys"
    )
    op.drop_table("old_api_keys")


def _browser_sessions() -> None:
    """`browser_sessions`: where people are signed in; they end with the person."""
    op.create_table(
        "browser_sessions",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("person", sa.String(), sa.ForeignKey("people.id", ondelete="CASCADE"), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("last_seen", sa.DateTime(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.UniqueConstraint("digest"),
    )
    op.create_index("ix_browser_sessions_person", "browser_sessions", ["person"])
