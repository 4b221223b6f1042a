"""Accounts at servers: connections, clients registered for them, people under way, tokens of sign-ins, own keys."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the tables."""
    op.add_column("servers", sa.Column("auth", sa.JSON()))
    op.add_column("servers", sa.Column("forward", sa.JSON(), nullable=False, server_default="{}"))
    _connections()
    _clients_and_flows()
    _own()


def _of_a_server() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["workspace", "server"], ["servers.workspace", "servers.name"], ondelete="CASCADE")


def _connections() -> None:
    op.create_table(
        "connections",
        sa.Column("workspace", sa.String(), primary_key=True),
        sa.Column("server", sa.String(), primary_key=True),
        sa.Column("subject", sa.String(), primary_key=True),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("wanted", sa.JSON(), nullable=False),
        sa.Column("sealed", sa.String(), nullable=False),
        sa.Column("expires", sa.DateTime()),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("connected_by", sa.String(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("refreshed", sa.DateTime()),
        sa.Column("lease_holder", sa.String(), nullable=False),
        sa.Column("lease_until", sa.DateTime()),
        _of_a_server(),
    )


def _clients_and_flows() -> None:
    op.create_table(
        "upstream_clients",
        sa.Column("workspace", sa.String(), primary_key=True),
        sa.Column("server", sa.String(), primary_key=True),
        sa.Column("issuer", sa.String(), primary_key=True),
        sa.Column("redirect_uri", sa.String(), nullable=False),
        sa.Column("sealed", sa.String(), nullable=False),
        sa.Column("expires", sa.DateTime()),
        sa.Column("created", sa.DateTime(), nullable=False),
        _of_a_server(),
    )
    op.create_table(
        "connect_flows",
        sa.Column("state", sa.String(), primary_key=True),
        sa.Column("workspace", sa.String(), nullable=False),
        sa.Column("server", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("sealed", sa.String(), nullable=False),
        sa.Column("expires", sa.DateTime(), nullable=False),
        _of_a_server(),
    )
    op.create_index("ix_connect_flows_expires", "connect_flows", ["expires"])


def _own() -> None:
    op.create_table(
        "sign_in_tokens",
        sa.Column("person", sa.String(), sa.ForeignKey("people.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("provider", sa.String(), primary_key=True),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("sealed", sa.String(), nullable=False),
        sa.Column("expires", sa.DateTime()),
    )
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.String(), primary_key=True),
        sa.Column("public", sa.JSON(), nullable=False),
        sa.Column("sealed", sa.String(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
    )
