"""Tables of who calls: API keys, people, and what people are in workspaces.

Keys themselves are never stored, only their SHA-256; of passwords only Argon2id hashes.
"""

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, ForeignKeyConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portkey_mcp.storage.tables import Base, Instant


class ApiKeyRow(Base):
    """One API key. `id` outlives a change of the key, so that its principal stays the same.

    `person` is whom it belongs to, a member of the workspace; None for one that stands for a service account. `role` is
    what the key may be at most; `scopes` are those it has, None for all; `server` the only one it is good for, if any.
    """

    __tablename__ = "api_keys"
    __table_args__ = (
        UniqueConstraint("workspace", "name"),
        UniqueConstraint("digest"),
        ForeignKeyConstraint(
            ["workspace", "person"], ["memberships.workspace", "memberships.person"], ondelete="CASCADE"
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace: Mapped[str] = mapped_column(ForeignKey("workspaces.slug", ondelete="CASCADE"))
    name: Mapped[str]
    digest: Mapped[str]
    role: Mapped[str]
    origin: Mapped[str]
    created: Mapped[datetime] = mapped_column(Instant)
    expires: Mapped[datetime | None] = mapped_column(Instant)
    last_used: Mapped[datetime | None] = mapped_column(Instant)
    person: Mapped[str | None]
    scopes: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    server: Mapped[str] = mapped_column(server_default="")


class PersonRow(Base):
    """One person. `email` as it was given, `folded` as it is compared; `password` is a hash, or empty: then none fits.

    `origin` is `file` for one whom nobody but a file has made: without a membership left, they are gone. `claimed` are
    the groups that their identity provider named at the last sign-in.
    """

    __tablename__ = "people"
    __table_args__ = (UniqueConstraint("folded"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str]
    folded: Mapped[str]
    name: Mapped[str]
    password: Mapped[str]
    origin: Mapped[str]
    created: Mapped[datetime] = mapped_column(Instant)
    disabled: Mapped[datetime | None] = mapped_column(Instant)
    claimed: Mapped[list[str]] = mapped_column(JSON, server_default="[]")


class LoginRow(Base):
    """That a subject of an identity provider is a person here: by issuer and `sub`, never by e-mail address alone."""

    __tablename__ = "logins"

    issuer: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    person: Mapped[str] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    created: Mapped[datetime] = mapped_column(Instant)
    last_used: Mapped[datetime] = mapped_column(Instant)


class InvitationRow(Base):
    """A link that makes whoever opens it first a member of a workspace. Never stored itself, but its digest.

    Without a `workspace` it makes the first person, who becomes owner of everything there is. `email` empty: anybody.
    """

    __tablename__ = "invitations"
    __table_args__ = (UniqueConstraint("digest"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    workspace: Mapped[str | None] = mapped_column(ForeignKey("workspaces.slug", ondelete="CASCADE"))
    email: Mapped[str]
    role: Mapped[str]
    groups: Mapped[list[str]] = mapped_column(JSON)
    inviter: Mapped[str]
    created: Mapped[datetime] = mapped_column(Instant)
    expires: Mapped[datetime] = mapped_column(Instant)
    used: Mapped[datetime | None] = mapped_column(Instant)


class MembershipRow(Base):
    """What a person is in a workspace. It goes with either, and takes the person's keys and groups there along."""

    __tablename__ = "memberships"

    workspace: Mapped[str] = mapped_column(ForeignKey("workspaces.slug", ondelete="CASCADE"), primary_key=True)
    person: Mapped[str] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), primary_key=True, index=True)
    role: Mapped[str]
    origin: Mapped[str]


class GroupMemberRow(Base):
    """That a member of a workspace is in a group there; a group is nothing but its members."""

    __tablename__ = "group_members"
    __table_args__ = (
        ForeignKeyConstraint(
            ["workspace", "person"], ["memberships.workspace", "memberships.person"], ondelete="CASCADE"
        ),
    )

    workspace: Mapped[str] = mapped_column(primary_key=True)
    person: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)


class BrowserSessionRow(Base):
    """One browser in which a person is signed in. Its cookie's value is never stored, only the SHA-256 of that."""

    __tablename__ = "browser_sessions"
    __table_args__ = (UniqueConstraint("digest"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    person: Mapped[str] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    digest: Mapped[str]
    created: Mapped[datetime] = mapped_column(Instant)
    last_seen: Mapped[datetime] = mapped_column(Instant)
    agent: Mapped[str]
    address: Mapped[str]
