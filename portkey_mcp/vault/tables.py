"""Tables of accounts at servers. All that is secret is sealed for exactly its row and column, see `sealed.py`."""

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, ForeignKeyConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portkey_mcp.storage.tables import Base, Instant


def _of_a_server() -> ForeignKeyConstraint:
    """What goes with its server."""
    return ForeignKeyConstraint(["workspace", "server"], ["servers.workspace", "servers.name"], ondelete="CASCADE")


class ConnectionRow(Base):
    """One credential at one server. `subject` is the principal whose it is; empty: all of the workspace share it.

    `issuer` is the authorization server that gave it; empty for headers that a person entered. `resource` is the URL of
    the server it was given for, as `addresses.canonical` has it. `state` is `good` or `ended`, and `why` says for a
    person why it ended. `wanted` are the scopes that the server asked for and the credential lacks. `sealed` holds all
    that is secret, JSON. `generation` counts its changes; who refreshes it holds the lease until `lease_until`.
    """

    __tablename__ = "connections"
    __table_args__ = (_of_a_server(),)

    workspace: Mapped[str] = mapped_column(primary_key=True)
    server: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    issuer: Mapped[str]
    resource: Mapped[str]
    state: Mapped[str]
    why: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(JSON)
    wanted: Mapped[list[str]] = mapped_column(JSON)
    sealed: Mapped[str]
    expires: Mapped[datetime | None] = mapped_column(Instant)
    generation: Mapped[int]
    connected_by: Mapped[str]
    created: Mapped[datetime] = mapped_column(Instant)
    refreshed: Mapped[datetime | None] = mapped_column(Instant)
    lease_holder: Mapped[str]
    lease_until: Mapped[datetime | None] = mapped_column(Instant)


class UpstreamClientRow(Base):
    """The client that the gateway registered at the authorization server of a server."""

    __tablename__ = "upstream_clients"
    __table_args__ = (_of_a_server(),)

    workspace: Mapped[str] = mapped_column(primary_key=True)
    server: Mapped[str] = mapped_column(primary_key=True)
    issuer: Mapped[str] = mapped_column(primary_key=True)
    redirect_uri: Mapped[str]
    sealed: Mapped[str]
    expires: Mapped[datetime | None] = mapped_column(Instant)
    created: Mapped[datetime] = mapped_column(Instant)


class ConnectFlowRow(Base):
    """A person on their way to an authorization server and back. `state` is the SHA-256 of OAuth's `state`."""

    __tablename__ = "connect_flows"
    __table_args__ = (_of_a_server(),)

    state: Mapped[str] = mapped_column(primary_key=True)
    workspace: Mapped[str]
    server: Mapped[str]
    person: Mapped[str]
    sealed: Mapped[str]
    expires: Mapped[datetime] = mapped_column(Instant, index=True)


class SignInTokenRow(Base):
    """What a person's identity provider gave the gateway when they signed in, for servers that take it (SEP-990)."""

    __tablename__ = "sign_in_tokens"

    person: Mapped[str] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), primary_key=True)
    provider: Mapped[str] = mapped_column(primary_key=True)
    issuer: Mapped[str]
    sealed: Mapped[str]
    expires: Mapped[datetime | None] = mapped_column(Instant)


class SigningKeyRow(Base):
    """A key of the gateway's own, with which it signs what it says of people. `public` is its JWK."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(primary_key=True)
    public: Mapped[dict[str, str]] = mapped_column(JSON)
    sealed: Mapped[str]
    created: Mapped[datetime] = mapped_column(Instant)
