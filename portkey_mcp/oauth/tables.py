"""Tables of the OAuth server. Codes, tokens and clients' secrets are never stored, only their SHA-256."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, ForeignKeyConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portkey_mcp.storage.tables import Base, Instant


class ClientRow(Base):
    """A client that registered itself (RFC 7591). `digest` is of what it said, so that the same one is kept once.

    `secret` is a digest; empty for a public client. `said` is all that it said of itself, as it is told again.
    """

    __tablename__ = "oauth_clients"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    redirect_uris: Mapped[list[str]] = mapped_column(JSON)
    auth_method: Mapped[str]
    secret: Mapped[str]
    digest: Mapped[str] = mapped_column(index=True)
    said: Mapped[dict[str, Any]] = mapped_column(JSON)
    address: Mapped[str]
    created: Mapped[datetime] = mapped_column(Instant)
    last_used: Mapped[datetime | None] = mapped_column(Instant)


class GrantRow(Base):
    """What one person allowed one client: all its tokens hang on it, and end with it, as it does with the membership.

    `reach` is where it is good: `workspace`, or `workspace/name`. `resource` is the URL it was asked for.
    """

    __tablename__ = "oauth_grants"
    __table_args__ = (
        ForeignKeyConstraint(
            ["workspace", "person"], ["memberships.workspace", "memberships.person"], ondelete="CASCADE"
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    person: Mapped[str] = mapped_column(index=True)
    workspace: Mapped[str]
    client: Mapped[str] = mapped_column(index=True)
    client_name: Mapped[str]
    redirect_host: Mapped[str]
    reach: Mapped[str]
    resource: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(JSON)
    issuer: Mapped[str]
    address: Mapped[str]
    created: Mapped[datetime] = mapped_column(Instant)
    last_used: Mapped[datetime | None] = mapped_column(Instant)


class CodeRow(Base):
    """An authorization code (RFC 6749, section 4.1.2): good once. One that was `used` stays until it expires."""

    __tablename__ = "oauth_codes"

    digest: Mapped[str] = mapped_column(primary_key=True)
    grant: Mapped[str] = mapped_column(ForeignKey("oauth_grants.id", ondelete="CASCADE"), index=True)
    redirect_uri: Mapped[str]
    challenge: Mapped[str]
    expires: Mapped[datetime] = mapped_column(Instant)
    used: Mapped[datetime | None] = mapped_column(Instant)


class TokenRow(Base):
    """An access or a refresh token. `replaced` is when a refresh token gave way to a newer one."""

    __tablename__ = "oauth_tokens"

    digest: Mapped[str] = mapped_column(primary_key=True)
    grant: Mapped[str] = mapped_column(ForeignKey("oauth_grants.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(JSON)
    created: Mapped[datetime] = mapped_column(Instant)
    expires: Mapped[datetime] = mapped_column(Instant, index=True)
    replaced: Mapped[datetime | None] = mapped_column(Instant)


class ConsentRow(Base):
    """That a person said yes once: the same client, redirect and place need not ask again for these scopes."""

    __tablename__ = "oauth_consents"
    __table_args__ = (
        ForeignKeyConstraint(
            ["workspace", "person"], ["memberships.workspace", "memberships.person"], ondelete="CASCADE"
        ),
    )

    person: Mapped[str] = mapped_column(primary_key=True)
    client: Mapped[str] = mapped_column(primary_key=True)
    redirect_uri: Mapped[str] = mapped_column(primary_key=True)
    reach: Mapped[str] = mapped_column(primary_key=True)
    workspace: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(JSON)
    created: Mapped[datetime] = mapped_column(Instant)


class AssertionRow(Base):
    """An assertion that was exchanged already, until it would have expired (RFC 7523, section 3, item 7)."""

    __tablename__ = "oauth_assertions"

    digest: Mapped[str] = mapped_column(primary_key=True)
    expires: Mapped[datetime] = mapped_column(Instant, index=True)
