"""Sign-in: logins by identity providers, invitations, what keys are good for, and all of the OAuth server; acts."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the tables, one group after the other."""
    _columns()
    _identity()
    _clients()
    _grants()
    _acts()


def _columns() -> None:
    """What tables there are gain."""
    op.add_column("api_keys", sa.Column("scopes", sa.JSON()))
    op.add_column("api_keys", sa.Column("server", sa.String(), nullable=False, server_default=""))
    op.add_column("people", sa.Column("claimed", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("servers", sa.Column("access", sa.JSON()))
    op.add_column("hosts", sa.Column("keys", sa.Boolean(), nullable=False, server_default="0"))


def _identity() -> None:
    """`logins` and `invitations`."""
    op.create_table(
        "logins",
        sa.Column("issuer", sa.String(), primary_key=True),
        sa.Column("subject", sa.String(), primary_key=True),
        sa.Column("person", sa.String(), sa.ForeignKey("people.id", ondelete="CASCADE"), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("last_used", sa.DateTime(), nullable=False),
    )
    op.create_index("ix_logins_person", "logins", ["person"])
    op.create_table(
        "invitations",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("workspace", sa.String(), sa.ForeignKey("workspaces.slug", ondelete="CASCADE")),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("inviter", sa.String(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("expires", sa.DateTime(), nullable=False),
        sa.Column("used", sa.DateTime()),
        sa.UniqueConstraint("digest"),
    )


def _clients() -> None:
    """`oauth_clients`, and the assertions that were used."""
    op.create_table(
        "oauth_clients",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("redirect_uris", sa.JSON(), nullable=False),
        sa.Column("auth_method", sa.String(), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("said", sa.JSON(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("last_used", sa.DateTime()),
    )
    op.create_index("ix_oauth_clients_digest", "oauth_clients", ["digest"])
    op.create_table(
        "oauth_assertions",
        sa.Column("digest", sa.String(), primary_key=True),
        sa.Column("expires", sa.DateTime(), nullable=False),
    )
    op.create_index("ix_oauth_assertions_expires", "oauth_assertions", ["expires"])


def _of_a_member(*columns: sa.Column[Any]) -> list[sa.schema.SchemaItem]:
    return [
        *columns,
        sa.ForeignKeyConstraint(
            ["workspace", "person"], ["memberships.workspace", "memberships.person"], ondelete="CASCADE"
        ),
    ]


def _grants() -> None:
    """`oauth_grants` and what hangs on them, and `oauth_consents`; all of it ends with the membership."""
    op.create_table(
        "oauth_grants",
        *_of_a_member(
            sa.Column("id", sa.String(), primary_key=True),
            sa.Column("person", sa.String(), nullable=False),
            sa.Column("workspace", sa.String(), nullable=False),
            sa.Column("client", sa.String(), nullable=False),
            sa.Column("client_name", sa.String(), nullable=False),
            sa.Column("redirect_host", sa.String(), nullable=False),
            sa.Column("reach", sa.String(), nullable=False),
            sa.Column("resource", sa.String(), nullable=False),
            sa.Column("scopes", sa.JSON(), nullable=False),
            sa.Column("issuer", sa.String(), nullable=False),
            sa.Column("address", sa.String(), nullable=False),
            sa.Column("created", sa.DateTime(), nullable=False),
            sa.Column("last_used", sa.DateTime()),
        ),
    )
    op.create_index("ix_oauth_grants_person", "oauth_grants", ["person"])
    op.create_index("ix_oauth_grants_client", "oauth_grants", ["client"])
    _of_grants()
    op.create_table(
        "oauth_consents",
        *_of_a_member(
            sa.Column("person", sa.String(), primary_key=True),
            sa.Column("client", sa.String(), primary_key=True),
            sa.Column("redirect_uri", sa.String(), primary_key=True),
            sa.Column("reach", sa.String(), primary_key=True),
            sa.Column("workspace", sa.String(), nullable=False),
            sa.Column("scopes", sa.JSON(), nullable=False),
            sa.Column("created", sa.DateTime(), nullable=False),
        ),
    )


def _of_grants() -> None:
    """`oauth_codes` and `oauth_tokens`."""
    op.create_table(
        "oauth_codes",
        sa.Column("digest", sa.String(), primary_key=True),
        sa.Column("grant", sa.String(), sa.ForeignKey("oauth_grants.id", ondelete="CASCADE"), nullable=False),
        sa.Column("redirect_uri", sa.String(), nullable=False),
        sa.Column("challenge", sa.String(), nullable=False),
        sa.Column("expires", sa.DateTime(), nullable=False),
        sa.Column("used", sa.DateTime()),
    )
    op.create_index("ix_oauth_codes_grant", "oauth_codes", ["grant"])
    op.create_table(
        "oauth_tokens",
        sa.Column("digest", sa.String(), primary_key=True),
        sa.Column("grant", sa.String(), sa.ForeignKey("oauth_grants.id", ondelete="CASCADE"), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("expires", sa.DateTime(), nullable=False),
        sa.Column("replaced", sa.DateTime()),
    )
    op.create_index("ix_oauth_tokens_grant", "oauth_tokens", ["grant"])
    op.create_index("ix_oauth_tokens_expires", "oauth_tokens", ["expires"])


def _acts() -> None:
    """`acts`."""
    op.create_table(
        "acts",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("workspace", sa.String(), nullable=False),
        *(
            sa.Column(name, sa.String(), nullable=False)
            for name in ("actor", "actor_name", "address", "act", "subject", "outcome", "why", "client")
        ),
        sa.Column("detail", sa.JSON(), nullable=False),
    )
    op.create_index("ix_acts_workspace", "acts", ["workspace", "at"])
