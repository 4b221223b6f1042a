"""Tables of the registry. `origin` of a row says who manages it: a file's rows change in the file only."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from portkey_mcp.storage.tables import Base, Instant


class Managed(Base):
    """What a file, a command or a page made."""

    __abstract__ = True

    origin: Mapped[str]


class Member(Managed):
    """What belongs to a workspace and has a name there; it goes with its workspace."""

    __abstract__ = True

    workspace: Mapped[str] = mapped_column(ForeignKey("workspaces.slug", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)


class WorkspaceRow(Managed):
    """A workspace. `policy` is the policy document as it was written."""

    __tablename__ = "workspaces"

    slug: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    policy: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)


class ServerRow(Member):
    """A server; the columns are the fields of `model.McpServer`."""

    __tablename__ = "servers"

    transport: Mapped[str]
    url: Mapped[str]
    command: Mapped[list[str]] = mapped_column(JSON)
    env: Mapped[dict[str, str]] = mapped_column(JSON)
    cwd: Mapped[str]
    headers: Mapped[dict[str, str]] = mapped_column(JSON)
    protocol: Mapped[str]
    process: Mapped[str]
    title: Mapped[str]
    enabled: Mapped[bool]
    access: Mapped[dict[str, list[str]] | None] = mapped_column(JSON(none_as_null=True))
    """Who of the workspace may use it, as `model.Access`; None: everybody."""
    auth: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """How the gateway proves itself there, as `proof.Auth`."""
    forward: Mapped[dict[str, str]] = mapped_column(JSON, server_default="{}")


class BundleRow(Member):
    """A bundle; the columns are the fields of `model.Bundle`."""

    __tablename__ = "bundles"

    title: Mapped[str]
    include: Mapped[list[str]] = mapped_column(JSON)


class HostRow(Managed):
    """A host alias and the path it stands for. `keys` says that clients come there with an API key only."""

    __tablename__ = "hosts"

    host: Mapped[str] = mapped_column(primary_key=True)
    path: Mapped[str]
    keys: Mapped[bool] = mapped_column(server_default="0")


class SecretRow(Base):
    """A secret, sealed for exactly this row. `server` is the one it came with, and goes with."""

    __tablename__ = "secrets"

    workspace: Mapped[str] = mapped_column(ForeignKey("workspaces.slug", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    server: Mapped[str]
    sealed: Mapped[str]


class PolicyVersionRow(Base):
    """One version of a workspace's policy, as its author wrote it; `number` counts from 1 in each workspace."""

    __tablename__ = "policy_versions"

    workspace: Mapped[str] = mapped_column(ForeignKey("workspaces.slug", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    who: Mapped[str]
    why: Mapped[str]
    origin: Mapped[str]
    at: Mapped[datetime] = mapped_column(Instant)


class DefinitionRow(Base):
    """One definition that a server offered of one of its tools. `state`: `allowed`, `pending` or `refused`.

    The definition itself comes last: SQLite walks through all of a row that stands before the column it is asked for.
    """

    __tablename__ = "definitions"

    workspace: Mapped[str] = mapped_column(ForeignKey("workspaces.slug", ondelete="CASCADE"), primary_key=True)
    server: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    first_seen: Mapped[datetime] = mapped_column(Instant)
    decided_by: Mapped[str]
    decided_at: Mapped[datetime | None] = mapped_column(Instant)
    definition: Mapped[dict[str, Any]] = mapped_column(JSON)
