"""What one `portkey.yaml` declares, checked and in the gateway's own words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from portkey_mcp.model import DeclaredKey, DeclaredMember, Workspace
from portkey_mcp.settings import Auth
from portkey_mcp.trust import Trust


@dataclass(frozen=True, slots=True)
class DeclaredPolicy:
    """A policy document: its text, the data that it says, and the name of the file that it stands in."""

    text: str
    data: Any
    file: str


@dataclass(frozen=True, slots=True)
class Declared:
    """The whole of a file. `workspaces` carry their parsed policy, `policies` the documents it was parsed from.

    Keys in `api_keys` and secrets in `trust` are as written, references included. `files` are all that was read, for
    whoever watches.
    """

    public_url: str | None = None
    auth: Auth | None = None
    hosts: Mapping[str, str] = field(default_factory=dict)
    key_hosts: Mapping[str, str] = field(default_factory=dict)
    trust: Trust = field(default_factory=Trust)
    workspaces: Mapping[str, Workspace] = field(default_factory=dict)
    policies: Mapping[str, DeclaredPolicy] = field(default_factory=dict)
    api_keys: tuple[DeclaredKey, ...] = ()
    members: tuple[DeclaredMember, ...] = ()
    files: tuple[Path, ...] = ()
